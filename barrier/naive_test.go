package barrier_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server/servertest"
)

// The barriers of this file are built as others have built theirs. Each test runs the same story with ours, which holds,
// and with the naive one, which must not: or else the story would show nothing.

type waitFunc func(ctx context.Context, c *client.Client, path string) error

func ours(ctx context.Context, c *client.Client, path string) error {
	return barrier.NewGate(c, path).Wait(ctx)
}

// kazoo Barrier.wait: it waits on a flag that only a DELETED event sets.
func waitForTheFlag(ctx context.Context, c *client.Client, path string) error {
	s, err := c.Session(ctx)
	if err != nil {
		return err
	}
	_, closed, w, err := s.ExistsW(ctx, path)
	if err != nil {
		return err
	}
	defer w.Close()
	if !closed {
		return nil
	}
	if ev, err := w.Wait(context.WithoutCancel(ctx)); err != nil || ev.Type != client.EventDeleted {
		<-ctx.Done() // nobody sets the flag any more
		return context.Cause(ctx)
	}
	return nil
}

// curator GH-1290: whatever wakes the waiter lets it pass.
func waitForAnyWake(ctx context.Context, c *client.Client, path string) error {
	s, err := c.Session(ctx)
	if err != nil {
		return err
	}
	_, closed, w, err := s.ExistsW(ctx, path)
	if err != nil {
		return err
	}
	defer w.Close()
	if !closed {
		return nil
	}
	_, err = w.Wait(ctx)
	return err
}

// waitAtPrefix waits until nothing is left whose name begins like the gate's. (etcd #16223, etcd PR #16156)
func waitAtPrefix(ctx context.Context, c *client.Client, path string) error {
	s, err := c.Session(ctx)
	if err != nil {
		return err
	}
	for {
		names, _, w, err := s.ChildrenW(ctx, "/")
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, path[1:]) }) {
			w.Close()
			return nil
		}
		_, err = w.Wait(ctx)
		w.Close()
		if err != nil {
			return err
		}
	}
}

func TestGate_NaiveOnes(t *testing.T) {
	expired := func(ctx context.Context, t *testing.T, srv *servertest.Server, waiter, other *client.Client) {
		srv.Expire(waiter)
		synctest.Wait()
		must(t, barrier.NewGate(other, "/gate").Open(ctx))
	}
	for what, story := range map[string]struct {
		naive   waitFunc
		happens func(ctx context.Context, t *testing.T, srv *servertest.Server, waiter, other *client.Client)
		passes  bool
	}{
		"kazoo Barrier.wait: the session expires, and the gate opens": {waitForTheFlag, expired, true},
		"curator GH-1290: the closed gate is touched": {waitForAnyWake, func(ctx context.Context, t *testing.T, _ *servertest.Server, _, other *client.Client) {
			_, err := other.Set(ctx, "/gate", []byte("touched"), -1)
			must(t, err)
		}, false},
		"etcd #16223: it opens, and one with a longer name stays closed": {waitAtPrefix, func(ctx context.Context, t *testing.T, _ *servertest.Server, _, other *client.Client) {
			must(t, barrier.NewGate(other, "/gate-2").Close(ctx))
			must(t, barrier.NewGate(other, "/gate").Open(ctx))
		}, true},
	} {
		t.Run(what, func(t *testing.T) {
			passes := func(t *testing.T, wait waitFunc) (passed bool) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					srv := servertest.New(t, servertest.NoSockets())
					waiter, other := srv.Dial(t), srv.Dial(t)
					must(t, barrier.NewGate(other, "/gate").Close(ctx))
					out := make(chan error, 1)
					go func() { out <- wait(ctx, waiter, "/gate") }()
					synctest.Wait()
					story.happens(ctx, t, srv, waiter, other)
					passed = <-out == nil
				})
				return passed
			}
			if got := passes(t, ours); got != story.passes {
				t.Errorf("our Wait passes: %v, want %v", got, story.passes)
			}
			if got := passes(t, story.naive); got == story.passes {
				t.Error("the naive one is not caught")
			}
		})
	}
}

// textbook enters as the ZooKeeper recipe says, and as Curator and kazoo do: `ready` lies among the members, and counts
// (Netflix #99, kazoo DoubleBarrier); who gives up or fails stays (CURATOR-318, CURATOR-80).
func textbook(ctx context.Context, c *client.Client, path, name string, n int) error {
	s, err := c.Session(ctx)
	if err != nil {
		return err
	}
	if _, err := s.Create(ctx, path+"/"+name, nil, client.Ephemeral(), client.Parents()); err != nil {
		return err
	}
	for {
		_, ready, w, err := s.ExistsW(ctx, path+"/ready")
		if err != nil {
			return err
		}
		names, _, err := s.Children(ctx, path)
		if err == nil && !ready && len(names) < n {
			_, err = w.Wait(ctx)
		}
		w.Close()
		if err != nil {
			return err
		}
		if ready || len(names) >= n {
			_, err := s.Create(ctx, path+"/ready", nil)
			if errors.Is(err, client.ErrNodeExists) {
				err = nil
			}
			return err
		}
	}
}

// Netflix #99, kazoo DoubleBarrier: a `ready` that a crashed crowd left behind lets a single one in. CURATOR-318, CURATOR-80:
// one that has given up is counted, and lets a single one in.
func TestDouble_NaiveOnes(t *testing.T) {
	enter := func(ctx context.Context, c *client.Client, path, name string, n int) error {
		_, err := barrier.New(c, path, n).Enter(ctx)
		return err
	}
	alone := func(t *testing.T, enter func(ctx context.Context, c *client.Client, path, name string, n int) error, leftOver string) (entered bool) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			srv := servertest.New(t, servertest.NoSockets())
			a, b := srv.Dial(t), srv.Dial(t)
			if leftOver == "ready" { // two enter, and crash
				members := make(chan error, 2)
				for i, c := range []*client.Client{a, b} {
					go func() { members <- enter(ctx, c, step, string(rune('a'+i)), 2) }()
				}
				must(t, <-members)
				must(t, <-members)
				srv.Expire(a)
				srv.Expire(b)
			} else {
				short, giveUp := context.WithTimeout(ctx, time.Second)
				defer giveUp()
				if err := enter(short, a, step, "a", 2); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("one of two enters: %v", err)
				}
			}
			entered = enter(ctx, srv.Dial(t), step, "c", 2) == nil
		})
		return entered
	}
	for _, leftOver := range []string{"ready", "one who gave up"} {
		t.Run(leftOver, func(t *testing.T) {
			if alone(t, enter, leftOver) {
				t.Error("one of two has entered")
			}
			if !alone(t, textbook, leftOver) {
				t.Error("the naive one is not caught")
			}
		})
	}
}

// once lets a client connect once: when that connection breaks it is as good as dead, and its session runs out.
func once(cfg *client.Config) {
	dial, connected := cfg.DialContext, new(atomic.Bool)
	cfg.SessionTimeout = 2 * time.Second
	cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if connected.Swap(true) {
			return nil, errors.New("it has crashed")
		}
		return dial(ctx, network, addr)
	}
}

// The member whose transaction starts the barrier crashes: before that took place, and nobody is in; after, and the other
// is in, and the report names the crashed one.
func TestDouble_B1_TheOneThatStartsItCrashes(t *testing.T) {
	for _, f := range []servertest.Fault{servertest.DropRequest("multi", 2), servertest.DropReply("multi", 2)} {
		t.Run(string(f.Kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				srv := servertest.New(t, servertest.NoSockets())
				a, b, c := srv.Dial(t, named("a")), srv.Dial(t, named("b"), once), srv.Dial(t, named("c"))
				first := entering(ctx, a, 2)
				synctest.Wait()
				srv.Inject(f) // its first transaction joins, its second starts
				if e := <-entering(ctx, b, 2); !sessionEnded(e.err) {
					t.Fatalf("the one that crashed: %v", e.err)
				}
				if f.Kind == servertest.ReplyDropped {
					e := <-first
					must(t, e.err)
					wantReport(t, leave(ctx, e.m), 1, "a", "b")
					return
				}
				present(t, c, 1, 1) // the server takes longer than it to find that its session is over
				select {
				case e := <-first:
					t.Fatalf("alone in a barrier of two: %v", e.err)
				default:
				}
				second := <-entering(ctx, c, 2)
				must(t, second.err)
				done := leave(ctx, second.m)
				wantReport(t, leave(ctx, (<-first).m), 1, "a c", "")
				wantReport(t, done, 1, "a c", "")
			})
		})
	}
}
