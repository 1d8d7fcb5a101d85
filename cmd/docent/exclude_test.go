//go:build unix

package main_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/recipes/fence"
)

// TestExclusion lets two processes take one lock through different servers. Neither their sessions' ends, nor those of
// servers, nor a holder that sleeps past its timeout may let both work at once.
func TestExclusion(t *testing.T) {
	e := startEnsemble(t)
	t.Run("two hundred rounds each", func(t *testing.T) { testRounds(t, e) })
	t.Run("rounds while the leader is killed", func(t *testing.T) { testRoundsWithoutLeader(t, e) })
	t.Run("session ended by somebody", func(t *testing.T) { testSessionEnded(t, e) })
	t.Run("server killed, another takes over", func(t *testing.T) { testServerReplaced(t, e) })
	t.Run("server killed, session expires", func(t *testing.T) { testSessionExpires(t, e) })
	t.Run("stopped past its timeout and resumed", func(t *testing.T) { testStoppedHolder(t, e) })
	e.sameTrees(t)
}

// bout is a lock, what it guards, and two who want it.
type bout struct {
	a, b    *puppet
	journal string
}

// newBout starts two puppets, each with its own servers.
func newBout(t *testing.T, timeout time.Duration, serversA, serversB []string) bout {
	t.Helper()
	journal := filepath.Join(t.TempDir(), "journal")
	cfg := puppetConfig{Timeout: timeout, Path: "/locks/" + strings.ReplaceAll(t.Name(), "/", "-"), Journal: journal, Store: newStore(t)}
	start := func(name string, servers []string) *puppet {
		cfg.Name, cfg.Servers = name, servers
		return startPuppet(t, cfg)
	}
	return bout{start("A", serversA), start("B", serversB), journal}
}

// newStore is a resource that outlives its users and admits no token below one it has admitted. It returns its URL.
func newStore(t *testing.T) string {
	t.Helper()
	guard := fence.Memory()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := strconv.ParseUint(r.FormValue("token"), 10, 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		switch err := guard.Admit(r.Context(), "the store", token); {
		case errors.Is(err, fence.ErrStaleToken):
			http.Error(w, err.Error(), http.StatusConflict)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

const (
	admitted = "200"
	refused  = "409"
)

// locked waits until p holds the lock, and returns its token and when it got it.
func (p *puppet) locked() (token uint64, at time.Time) {
	p.t.Helper()
	words := p.await("locked")
	token, err := strconv.ParseUint(words[0], 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return token, p.time(words[1])
}

// lost waits until p has learned that it no longer holds the lock, and returns when it did.
func (p *puppet) lost() time.Time {
	p.t.Helper()
	words := p.await("lost")
	p.t.Logf("%s lost the lock: %s", p.name, strings.Join(words[1:], " "))
	return p.time(words[0])
}

func (p *puppet) time(nanos string) time.Time {
	p.t.Helper()
	n, err := strconv.ParseInt(nanos, 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return time.Unix(0, n)
}

// writes makes p write to the store, and fails the test unless that answers with status.
func (p *puppet) writes(status string) {
	p.t.Helper()
	p.tell("write")
	if got := p.await("store")[0]; got != status {
		p.t.Errorf("%s: the store answered %s, want %s", p.name, got, status)
	}
}

// takesOver waits until b, which has been told to lock, holds the lock with a higher token than a did, and
// writes.
func (m bout) takesOver(t *testing.T, tokenA uint64) (at time.Time) {
	t.Helper()
	tokenB, at := m.b.locked()
	if tokenB <= tokenA {
		t.Errorf("token of the second holder is %d, want more than %d", tokenB, tokenA)
	}
	m.b.writes(admitted)
	return at
}

// goesOn checks that the lock works as before: b lets go of it, a takes it.
func (m bout) goesOn(t *testing.T) {
	t.Helper()
	m.a.tell("lock")
	m.b.tell("unlock")
	m.b.await("unlocked")
	m.a.locked()
	m.a.writes(admitted)
}

// verify reads the journal: whoever entered must have left before another entered, each with a higher token than the
// one before. It returns how often each process entered.
func (m bout) verify(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile(m.journal)
	if err != nil {
		t.Fatal(err)
	}
	entered := make(map[string]int)
	inside, last := "", uint64(0)
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		verb, who, _ := strings.Cut(line, " ")
		pid, num, _ := strings.Cut(who, " ")
		token, err := strconv.ParseUint(num, 10, 64)
		switch {
		case err != nil:
			t.Fatalf("journal line %d is %q", i+1, line)
		case verb == "enter" && inside != "":
			t.Fatalf("journal line %d: %s entered while %s was inside", i+1, who, inside)
		case verb == "leave" && inside != who:
			t.Fatalf("journal line %d: %s left while %q was inside", i+1, who, inside)
		case verb == "enter" && token <= last:
			t.Fatalf("journal line %d: token %d behind %d", i+1, token, last)
		case verb == "enter":
			inside, last = who, token
			entered[pid]++
		default:
			inside = ""
		}
	}
	return entered
}

// finish waits until both have done their rounds, and checks the journal.
func (m bout) finish(t *testing.T, rounds int) {
	t.Helper()
	for _, p := range []*puppet{m.a, m.b} {
		done := p.await("done")
		t.Logf("%s: %s rounds, %s more in which the lock was lost or not got", p.name, done[0], done[1])
	}
	entered := m.verify(t)
	for _, p := range []*puppet{m.a, m.b} {
		if n := entered[fmt.Sprint(p.cmd.Process.Pid)]; n < rounds {
			t.Errorf("%s is in the journal %d times, want at least %d", p.name, n, rounds)
		}
	}
}

func testRounds(t *testing.T, e ensemble) {
	const rounds = 200
	m := newBout(t, 10*time.Second, []string{e[0].addr}, []string{e[1].addr})
	m.a.tell(fmt.Sprint("rounds ", rounds))
	m.b.tell(fmt.Sprint("rounds ", rounds))
	m.finish(t, rounds)
}

func testRoundsWithoutLeader(t *testing.T, e ensemble) {
	const rounds = 100
	m := newBout(t, 10*time.Second, e.addrs(), e.addrs())
	m.a.tell(fmt.Sprint("rounds ", rounds))
	m.b.tell(fmt.Sprint("rounds ", rounds))
	testkit.Eventually(t, "they are at it", func() bool {
		st, err := os.Stat(m.journal)
		return err == nil && st.Size() > 500
	})
	leader := e.leader(t)
	leader.kill()
	m.finish(t, rounds)
	leader.start()
	leader.ready()
}

// The session is closed under the holder's feet. No clock protects from that, so for the moment until it hears of it
// the holder may believe: the store refuses it.
func testSessionEnded(t *testing.T, e ensemble) {
	m := newBout(t, 10*time.Second, []string{e[0].addr}, []string{e[1].addr})
	m.a.tell("lock")
	token, _ := m.a.locked()
	m.a.writes(admitted)
	m.b.tell("lock")
	m.a.tell("ticket")
	ticket := m.a.await("ticket")
	id, err := strconv.ParseInt(ticket[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	password, err := hex.DecodeString(ticket[1])
	if err != nil {
		t.Fatal(err)
	}
	endSession(t, e[2].addr, id, password)
	m.takesOver(t, token)
	m.a.writes(refused)
	m.a.lost()
	m.goesOn(t)
}

// Within the session's timeout the holder finds another server, and notices nothing.
func testServerReplaced(t *testing.T, e ensemble) {
	m := newBout(t, 15*time.Second, e.addrs(), e.addrs())
	m.a.tell("lock")
	token, _ := m.a.locked()
	m.b.tell("lock")
	addr := m.a.await("connected")[0]
	for _, s := range e {
		if s.addr != addr {
			continue
		}
		s.kill()
		m.a.await("connected")
		s.start()
		s.ready()
	}
	m.a.writes(admitted)
	if slices.ContainsFunc(m.a.stdout.lines(), func(line string) bool { return strings.HasPrefix(line, "lost") }) {
		t.Error("A lost the lock within its session's timeout")
	}
	m.a.tell("unlock")
	m.a.await("unlocked")
	m.takesOver(t, token)
	m.goesOn(t)
}

// The holder has no other server to go to. It must know that it has lost before anybody else holds the lock.
func testSessionExpires(t *testing.T, e ensemble) {
	m := newBout(t, 2*time.Second, []string{e[2].addr}, []string{e[1].addr})
	m.a.tell("lock")
	token, _ := m.a.locked()
	m.a.writes(admitted)
	m.b.tell("lock")
	e[2].kill()
	lost, locked := m.a.lost(), m.takesOver(t, token)
	t.Logf("A knew %v before B was let in", locked.Sub(lost).Round(time.Millisecond))
	if !lost.Before(locked) {
		t.Errorf("A learned of its loss %v after B had got the lock", lost.Sub(locked))
	}
	m.a.writes(refused)
	e[2].start()
	e[2].ready()
	m.goesOn(t)
}

// A process that sleeps cannot know that it has lost. What it does first when it wakes is refused by the store.
func testStoppedHolder(t *testing.T, e ensemble) {
	m := newBout(t, 2*time.Second, []string{e[0].addr}, []string{e[1].addr})
	m.a.tell("lock")
	token, _ := m.a.locked()
	m.a.writes(admitted)
	m.b.tell("lock")
	m.a.signal(syscall.SIGSTOP)
	m.takesOver(t, token)
	m.a.tell("write")
	m.a.signal(syscall.SIGCONT)
	if got := m.a.await("store")[0]; got != refused {
		t.Errorf("the store answered a holder that had slept past its timeout with %s, want %s", got, refused)
	}
	m.a.lost()
	m.goesOn(t)
}
