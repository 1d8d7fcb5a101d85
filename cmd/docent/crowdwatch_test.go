//go:build unix

package main_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
)

// cut breaks all connections that pass.
func (r *relay) cut() {
	r.mu.Lock()
	conns := r.conns
	r.conns = nil
	r.mu.Unlock()
	for _, nc := range conns {
		nc.Close()
	}
}

// Many watch one node: when it changes, all of them are told, and before long.
func TestCrowd_WatchersOfOneNode(t *testing.T) {
	n := crowdSize(t, 300)
	m := standalone(t)
	m.start()
	m.ready()
	boss := dial(t, 30*time.Second, m.addr)
	if _, err := boss.Create(t.Context(), "/bell", nil); err != nil {
		t.Fatal(err)
	}
	watches := make([]*client.Watch, n)
	clients, _ := crowd(t, n, 30*time.Second, []string{m.addr}, func(i int, s *client.Session) (err error) {
		_, watches[i], err = s.GetW(t.Context(), "/bell")
		return err
	})
	began := time.Now()
	if _, err := boss.Set(t.Context(), "/bell", []byte("rung"), -1); err != nil {
		t.Fatal(err)
	}
	acknowledged := time.Since(began)
	for i, w := range watches {
		select {
		case <-w.Done():
		case <-time.After(patience):
			t.Fatalf("the watch of session %d has not heard of the change", i)
		}
		if ev, err := w.Wait(t.Context()); err != nil || ev.Path != "/bell" {
			t.Errorf("session %d: %v, %v", i, ev, err)
		}
	}
	told := time.Since(began)
	t.Logf("watchers of one node: %d sessions, all told %v after the change, which was acknowledged after %v", n, told.Round(time.Millisecond), acknowledged.Round(time.Millisecond))
	if told > 2*time.Second && !raceEnabled {
		t.Errorf("told after %v", told)
	}
	each(t, n, func(i int) error { return clients[i].Close() })
}

// Those who follow a node by its events alone miss no change, though their connections are cut again and again, shortly before
// it or shortly behind it.
func TestCrowd_WatchersCutOff(t *testing.T) {
	n, cuts := 10, 8
	if os.Getenv("DOCENT_CROWD") != "" {
		n, cuts = 100, 1000
	}
	m := standalone(t)
	m.start()
	m.ready()
	r := newRelay(t, m.addr)
	boss := dial(t, 30*time.Second, m.addr)
	if _, err := boss.Create(t.Context(), "/bell", []byte("0")); err != nil {
		t.Fatal(err)
	}
	known, news := make([]atomic.Int64, n), make(chan struct{}, 1)
	ctx, stop := context.WithCancel(t.Context())
	clients, _ := crowd(t, n, 30*time.Second, []string{r.addr()}, func(int, *client.Session) error { return nil })
	failed := make(chan error, n)
	for i, c := range clients {
		go func() {
			failed <- follow(ctx, c, func(value int64) {
				known[i].Store(value)
				select {
				case news <- struct{}{}:
				default:
				}
			})
		}()
	}
	began := time.Now()
	for change := int64(1); change <= int64(cuts); change++ {
		if change%2 == 0 {
			r.cut()
		}
		if _, err := boss.Set(t.Context(), "/bell", strconv.AppendInt(nil, change, 10), -1); err != nil {
			t.Fatal(err)
		}
		if change%2 != 0 {
			r.cut()
		}
		limit := time.After(patience)
		for i := range known {
			for known[i].Load() < change {
				select {
				case <-news:
				case err := <-failed:
					t.Fatal(err)
				case <-limit:
					t.Fatalf("watcher %d knows of change %d, and not of %d", i, known[i].Load(), change)
				}
			}
		}
	}
	t.Logf("watchers cut off: %d sessions cut %d times, %d changes told in %v, none lost", n, cuts, n*cuts, time.Since(began).Round(time.Millisecond))
	stop()
	for range clients {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	each(t, n, func(i int) error { return clients[i].Close() })
}

// follow tells the values of a node that a client learns of by one watch after the other, until ctx ends.
func follow(ctx context.Context, c *client.Client, tell func(int64)) error {
	s, err := c.Session(ctx)
	for err == nil {
		var node client.Node
		var w *client.Watch
		var value int64
		if node, w, err = s.GetW(ctx, "/bell"); err == nil {
			value, err = strconv.ParseInt(string(node.Data), 10, 64)
		}
		if err == nil {
			tell(value)
			_, err = w.Wait(ctx)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("a watcher: %w", err)
}

// A session with very many watches has them all when its connection was cut: what changed meanwhile is told, and so is what
// changes later.
func TestCrowd_WatchesOfOneSession(t *testing.T) {
	n := 10 * crowdSize(t, 300)
	m := standalone(t)
	admin := freeAddrs(t, 1)[0]
	m.args = append(m.args, "--admin-listen", admin)
	m.start()
	m.ready()
	r := newRelay(t, m.addr)
	boss, c := dial(t, 30*time.Second, m.addr), dial(t, 30*time.Second, r.addr())
	if _, err := boss.Create(t.Context(), "/w", nil); err != nil {
		t.Fatal(err)
	}
	s, err := c.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	path := func(i int) string { return fmt.Sprintf("/w/%09d", i) }
	watches := make([]*client.Watch, n)
	for from := 0; from < n; from += 1000 {
		b := s.Batch()
		futures := make([]*client.Future[client.Existence], min(1000, n-from))
		for i := range futures {
			futures[i] = b.ExistsW(path(from + i))
		}
		if err := b.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i, f := range futures {
			e, err := f.Get()
			if err != nil {
				t.Fatal(err)
			}
			watches[from+i] = e.Watch
		}
	}
	r.cut()
	began := time.Now()
	const some = 50
	change := func(from int) {
		t.Helper()
		for i := range some {
			if _, err := boss.Create(t.Context(), path(from+i*(n/some)), nil); err != nil {
				t.Fatal(err)
			}
		}
		for i := range some {
			select {
			case <-watches[from+i*(n/some)].Done():
			case <-time.After(patience):
				t.Fatalf("%s was made, and its watch has not heard of it", path(from+i*(n/some)))
			}
		}
	}
	change(0) // some of them while the session is away
	if err := s.Sync(t.Context(), "/"); err != nil {
		t.Fatal(err)
	}
	back := time.Since(began)
	testkit.Eventually(t, "the server has the watches that wait", func() bool { return scrape(t, admin, false)["docent_watches"] == float64(n-some) })
	change(1)
	t.Logf("watches of one session: %d registered again, the session was back %v after the cut, none lost", n-some, back.Round(time.Millisecond))
	for i, w := range watches {
		select {
		case <-w.Done():
			if i%(n/some) > 1 {
				t.Fatalf("the watch of %s has ended, and nothing has changed there", path(i))
			}
		default:
		}
	}
}
