//go:build unix

package main_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
)

// member is one `docent serve` of an ensemble, which may be started again and again with the same flags.
type member struct {
	*process
	t    testing.TB
	name string
	addr string // for clients
	peer string
	args []string
}

// start runs the member, and returns at once.
func (m *member) start() {
	m.t.Helper()
	m.process = run(m.t, m.name, exec.Command(docent(m.t), m.args...))
}

// ready waits until the member says that it serves.
func (m *member) ready() {
	m.t.Helper()
	if _, _, err := m.stdout.await(0, "docent: serving clients on "+m.addr); err != nil {
		m.t.Fatalf("%s: %v", m.name, err)
	}
}

// ask sends a four-letter word and returns the answer.
func (m *member) ask(word string) (string, error) {
	nc, err := net.DialTimeout("tcp", m.addr, time.Second)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(nc, word); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(nc)
	return string(answer), err
}

// ensemble is three members.
type ensemble []*member

// members prepares an ensemble of n with empty data folders, and starts nothing.
func members(t testing.TB, n int, flags ...string) ensemble {
	t.Helper()
	addrs := freeAddrs(t, 2*n)
	var peers []string
	for i := range n {
		peers = append(peers, fmt.Sprintf("%d=%s", i+1, addrs[n+i]))
	}
	var e ensemble
	for i := range n {
		args := append([]string{"serve", "--id", fmt.Sprint(i + 1), "--data", t.TempDir(), "--listen", addrs[i],
			"--peers", strings.Join(peers, ","), "--4lw-whitelist", "*"}, flags...)
		e = append(e, &member{t: t, name: fmt.Sprint("member ", i+1), addr: addrs[i], peer: addrs[n+i], args: args})
	}
	return e
}

// startEnsemble starts an ensemble of three and waits until all of it serves.
func startEnsemble(t testing.TB, flags ...string) ensemble {
	t.Helper()
	e := members(t, 3, flags...)
	for _, m := range e {
		m.start()
	}
	for _, m := range e {
		m.ready()
	}
	return e
}

func (e ensemble) addrs() []string {
	var addrs []string
	for _, m := range e {
		addrs = append(addrs, m.addr)
	}
	return addrs
}

// leader waits until a member says that it leads, and returns it.
func (e ensemble) leader(t testing.TB) (leader *member) {
	t.Helper()
	testkit.Eventually(t, "some member leads", func() bool {
		for _, m := range e {
			if answer, err := m.ask("srvr"); err == nil && strings.Contains(answer, "Mode: leader") {
				leader = m
				return true
			}
		}
		return false
	})
	return leader
}

// sameTrees waits until all members have applied the same transactions, and fails the test if their trees differ then.
// Nobody may write meanwhile.
func (e ensemble) sameTrees(t testing.TB) {
	t.Helper()
	hashes := make([]string, len(e))
	testkit.Eventually(t, "all members are at one zxid", func() bool {
		zxids := make(map[string]bool)
		for i, m := range e {
			answer, err := m.ask("hash")
			zxid, _, ok := strings.Cut(answer, ": ")
			if err != nil || !ok {
				return false
			}
			hashes[i], zxids[zxid] = strings.TrimSpace(answer), true
		}
		return len(zxids) == 1
	})
	for i := range e {
		if hashes[i] != hashes[0] {
			t.Errorf("%s is at %s, but %s at %s", e[i].name, hashes[i], e[0].name, hashes[0])
		}
	}
	t.Logf("all members are at %s", hashes[0])
}

// dial returns a client that knows the servers at addrs, and is closed at the end of the test.
func dial(t testing.TB, timeout time.Duration, addrs ...string) *client.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := client.Dial(ctx, client.Config{Servers: addrs, SessionTimeout: timeout})
	if err != nil {
		t.Fatalf("dial %v: %v", addrs, err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
