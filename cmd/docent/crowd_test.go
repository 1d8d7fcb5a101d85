//go:build unix

package main_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/internal/wire"
)

// crowdSize is how many sessions a test has: DOCENT_CROWD, else as few as show the thing.
func crowdSize(t testing.TB, few int) int {
	s := os.Getenv("DOCENT_CROWD")
	if s == "" {
		return few
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// crowd dials n clients at once, 64 at a time, and lets each prepare.
func crowd(t testing.TB, n int, timeout time.Duration, addrs []string, prepare func(i int, s *client.Session) error) ([]*client.Client, []*client.Session) {
	t.Helper()
	clients, sessions := make([]*client.Client, n), make([]*client.Session, n)
	each(t, n, func(i int) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var err error
		if clients[i], err = client.Dial(ctx, client.Config{Servers: addrs, SessionTimeout: timeout}); err != nil {
			return err
		}
		if sessions[i], err = clients[i].Session(ctx); err != nil {
			return err
		}
		return prepare(i, sessions[i])
	})
	return clients, sessions
}

// each calls f for 0 to n-1, 64 at a time.
func each(t testing.TB, n int, f func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	gate := make(chan struct{}, 64)
	for i := range n {
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			if err := f(i); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// A reconnect storm: all sessions, each with an ephemeral node and a watch, lose the server at once, which is killed and
// started again. All are back before long, none has expired, and every watch hears of the change it waits for.
func TestCrowd_ReconnectStorm(t *testing.T) {
	n := crowdSize(t, 300)
	m := standalone(t)
	m.args = append(m.args, "--4lw-whitelist", "*")
	m.start()
	m.ready()
	boss := dial(t, 30*time.Second, m.addr)
	for _, p := range []string{"/storm", "/bell"} {
		if _, err := boss.Create(t.Context(), p, nil); err != nil {
			t.Fatal(err)
		}
	}
	watches := make([]*client.Watch, n)
	clients, sessions := crowd(t, n, 30*time.Second, []string{m.addr}, func(i int, s *client.Session) (err error) {
		if _, err = s.Create(t.Context(), fmt.Sprintf("/storm/%05d", i), nil, client.Ephemeral()); err == nil {
			_, watches[i], err = s.GetW(t.Context(), "/bell")
		}
		return err
	})
	m.kill()
	m.start()
	m.ready()
	began := time.Now()
	each(t, n, func(i int) error { return sessions[i].Sync(t.Context(), "/") })
	back := time.Since(began)
	for i, s := range sessions {
		if s.Context().Err() != nil {
			t.Errorf("session %d: %v", i, context.Cause(s.Context()))
		}
	}
	names, _, err := boss.Children(t.Context(), "/storm")
	if err != nil || len(names) != n {
		t.Errorf("%d ephemeral nodes of %d sessions, %v", len(names), n, err)
	}
	if _, err := boss.Set(t.Context(), "/bell", []byte("rung"), -1); err != nil {
		t.Fatal(err)
	}
	for i, w := range watches {
		select {
		case <-w.Done():
		case <-time.After(patience):
			t.Fatalf("the watch of session %d has not heard of the change", i)
		}
	}
	t.Logf("reconnect storm: %d sessions, all back %v after the start, none expired", n, back.Round(time.Millisecond))
	if back > 15*time.Second {
		t.Errorf("back after %v", back)
	}
	each(t, n, func(i int) error { return clients[i].Close() })
}

// A session flood: sessions with an ephemeral node each are opened and left without a word. All end in their time, with their
// nodes, and a healthy client is not held up when they do.
func TestCrowd_SessionFlood(t *testing.T) {
	n := 5 * crowdSize(t, 100)
	m := standalone(t)
	admin := freeAddrs(t, 1)[0]
	m.args = append(m.args, "--admin-listen", admin, "--admin-pprof")
	m.start()
	m.ready()
	boss := dial(t, 30*time.Second, m.addr)
	if _, err := boss.Create(t.Context(), "/flood", nil); err != nil {
		t.Fatal(err)
	}
	before := scrape(t, admin, true)
	anyone := []wire.ACL{{Perms: wire.PermAll, Scheme: "world", ID: "anyone"}}
	ephemeral := wire.CreateRequest{Path: "/flood/n", ACL: anyone, Flags: wire.FlagEphemeral | wire.FlagSequential}
	each(t, n, func(int) error {
		c := rawDial(t, m.addr)
		defer c.Close() // as one that dies: the session is not closed, and its port is free again at once
		if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
			return err
		}
		c.attach(t)
		if _, err := c.Write(request(1, wire.OpCreate, ephemeral.Append(nil, wire.OpCreate)...)); err != nil {
			return err
		}
		_, err := c.reply()
		return err
	})
	abandoned := time.Now()
	var worst time.Duration
	for left := int32(1); left > 0; {
		began := time.Now()
		stat, err := boss.Set(t.Context(), "/flood", nil, -1)
		if err != nil {
			t.Fatal(err)
		}
		worst = max(worst, time.Since(began))
		left = stat.NumChildren
		if time.Since(abandoned) > 4*10*time.Second {
			t.Fatalf("%d nodes are still there", left)
		}
	}
	took := time.Since(abandoned)
	var after metrics
	testkit.Eventually(t, "the sessions are gone", func() bool {
		after = scrape(t, admin, true)
		return after["docent_sessions"] == before["docent_sessions"]
	})
	t.Logf("session flood: %d sessions with a timeout of 10 s, all gone %v after the last was left; slowest write meanwhile %v; heap %.1f MB before, %.1f after",
		n, took.Round(time.Millisecond), worst, before.memory()/1e6, after.memory()/1e6)
	if took > 20*time.Second {
		t.Errorf("they lasted %v, twice their timeout is 20 s", took)
	}
	if limit := 1.1*before.memory() + 5e6; after.memory() > limit {
		t.Errorf("%.0f bytes of heap and stacks in the end, %.0f before", after.memory(), before.memory())
	}
}

// A process that may open few files takes fewer connections than that, goes on serving those it has, does not spin, and takes new
// ones when there is room.
func TestCrowd_FewDescriptors(t *testing.T) {
	m := standalone(t)
	admin := freeAddrs(t, 1)[0]
	m.args = append(m.args, "--admin-listen", admin)
	m.process = run(t, m.name, exec.Command("/bin/sh", append([]string{"-c", `ulimit -n 256; exec "$0" "$@"`, docent(t)}, m.args...)...))
	m.ready()
	healthy := dial(t, 10*time.Second, m.addr)
	if _, err := healthy.Create(t.Context(), "/a", nil); err != nil {
		t.Fatal(err)
	}
	var conns []rawConn
	for range 400 {
		conns = append(conns, rawDial(t, m.addr)) // taken by the kernel at any rate
	}
	testkit.Eventually(t, "connections are refused", func() bool { return scrape(t, admin, false)["docent_connections_rejected_total"] > 0 })
	cpu := scrape(t, admin, false)["process_cpu_seconds_total"]
	began := time.Now()
	for time.Since(began) < time.Second {
		if _, err := healthy.Set(t.Context(), "/a", nil, -1); err != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond) // a light load, so that spinning would show
	}
	if used := scrape(t, admin, false)["process_cpu_seconds_total"] - cpu; used > 0.6 {
		t.Errorf("%.2f s of CPU time in a second with few requests", used)
	}
	if open := scrape(t, admin, false)["process_open_fds"]; open > 250 {
		t.Errorf("%.0f files are open, there is room for nothing else", open)
	}
	for _, c := range conns {
		c.Close()
	}
	testkit.Eventually(t, "the connections are gone", func() bool { return scrape(t, admin, false)["docent_connections"] <= 1 })
	late := dial(t, 10*time.Second, m.addr)
	if _, err := late.Set(t.Context(), "/a", nil, -1); err != nil {
		t.Error(err)
	}
	m.alive()
}
