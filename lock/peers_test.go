package lock_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/interop/peers"
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/server/servertest"
)

func dialAt(t testing.TB, addr string, o ...func(*client.Config)) *client.Client {
	t.Helper()
	cfg := client.Config{Servers: []string{addr}}
	for _, f := range o {
		f(&cfg)
	}
	c, err := client.Dial(within(t, soon), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// takeOver ends the session of c from elsewhere, as a second process that has its password could.
func takeOver(t testing.TB, addr string, c *client.Client) {
	t.Helper()
	s, err := c.Session(within(t, soon))
	if err != nil {
		t.Fatal(err)
	}
	ticket := s.Ticket()
	peers.EndSession(t, addr, ticket.SessionID, ticket.Password)
}

// The same against Apache ZooKeeper: turns, waiting, giving up, loss of the session, and no more requests than at home.
func TestMutex_OnApacheZooKeeper(t *testing.T) {
	addr := peers.Zookeeper(t)
	a, b := dialAt(t, addr), dialAt(t, addr)
	first := mustLock(t, a, "/locks/x")
	if _, err := lock.New(b, "/locks/x").TryLock(within(t, soon)); err == nil {
		t.Error("TryLock of a lock that is held succeeded")
	}
	ctx, cancel := context.WithCancel(context.Background())
	given := lockLater(t, ctx, b, "/locks/x", 1)
	cancel()
	if o := mustGet(t, given); o.held != nil {
		t.Error("a cancelled Lock returned a hold")
	}
	waitForChildren(t, a, "/locks/x", 1)

	done := lockLater(t, within(t, soon), b, "/locks/x", 1)
	takeOver(t, addr, a)
	mustEnd(t, first.Context(), client.ErrSessionExpired)
	second := mustGet(t, done)
	if second.err != nil {
		t.Fatal(second.err)
	}
	if second.held.Token() <= first.Token() {
		t.Errorf("token %d after %d", second.held.Token(), first.Token())
	}
	mustUnlock(t, first)
	if err := lock.New(a, "/locks/x").Break(within(t, soon), second.held.Token()); err != nil {
		t.Fatal(err)
	}
	mustEnd(t, second.held.Context(), lock.ErrLockLost)
	waitForChildren(t, a, "/locks/x", 0)
}

// kazooTurns enters under kazoo's lock again and again, and adds one to a counter in a file: read, sleep, write.
const kazooTurns = `
import sys, time
from kazoo.client import KazooClient
from kazoo.recipe.lock import Lock
addr, path, counter, turns, pattern = sys.argv[1:]
zk = KazooClient(hosts=addr)
zk.start()
for _ in range(int(turns)):
    with Lock(zk, path, "kazoo", extra_lock_patterns=[pattern] if pattern else []):
        n = int(open(counter).read())
        time.sleep(0.002)
        open(counter, "w").write(str(n + 1))
zk.stop()
`

// Go and kazoo take turns on one path. kazoo takes part with a pattern for our names, and on its own with LayoutKazoo;
// see zookeeper-protocol.md 14.5.
func TestMutex_TakesTurnsWithKazoo(t *testing.T) {
	python := ""
	for _, p := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(p, "-c", "import kazoo").Run() == nil {
			python = p
			break
		}
	}
	if python == "" {
		peers.Missing(t, "kazoo (Debian: apt-get install python3-kazoo)")
	}
	servers := map[string]func(t *testing.T) string{
		"docent":    func(t *testing.T) string { return servertest.New(t).Addr() },
		"zookeeper": func(t *testing.T) string { return peers.Zookeeper(t) },
	}
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			addr := start(t)
			for _, c := range []struct {
				layout  lock.Layout
				pattern string
			}{{lock.LayoutCurator, "lock-"}, {lock.LayoutKazoo, ""}} {
				t.Run(fmt.Sprint("layout ", c.layout), func(t *testing.T) {
					takeTurns(t, addr, python, fmt.Sprint("/locks/", c.layout), c.pattern, lock.Compat(c.layout))
				})
			}
		})
	}
}

func takeTurns(t *testing.T, addr, python, path, pattern string, o lock.Option) {
	const turns, members = 25, 2
	counter := filepath.Join(t.TempDir(), "counter")
	if err := os.WriteFile(counter, []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx := within(t, time.Minute)
	var wg sync.WaitGroup
	for range members {
		wg.Go(func() {
			out, err := exec.CommandContext(ctx, python, "-c", kazooTurns, addr, path, counter, strconv.Itoa(turns), pattern).CombinedOutput()
			if err != nil {
				t.Errorf("kazoo: %v\n%s", err, out)
			}
		})
		c := dialAt(t, addr)
		wg.Go(func() {
			for range turns {
				err := lock.Do(ctx, c, path, func(context.Context, *lock.Held) error { return addOne(counter) }, o)
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	text, err := os.ReadFile(counter)
	if want := strconv.Itoa(turns * 2 * members); err != nil || string(text) != want {
		t.Errorf("the counter is %s (%v), want %s: some were inside together", text, err, want)
	}
}

func addOne(counter string) error {
	text, err := os.ReadFile(counter)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	time.Sleep(2 * time.Millisecond) // room for whoever is inside as well
	return os.WriteFile(counter, []byte(strconv.Itoa(n+1)), 0o600)
}
