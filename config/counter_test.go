package config_test

import (
	"context"
	"errors"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/recipes"
	"github.com/docent-io/docent/server/servertest"
)

const counter = "/counters/jobs"

func wantCount(ctx context.Context, t *testing.T, k *config.Counter, want int64) {
	t.Helper()
	if got, err := k.Get(ctx); err != nil || got != want {
		t.Errorf("the counter is %d, %v; want %d", got, err, want)
	}
}

func TestCounter(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	k := config.NewCounter(c, counter, nil)
	wantCount(ctx, t, k, 0)
	if set, err := k.CompareAndSet(ctx, 1, 2); err != nil || set {
		t.Errorf("CompareAndSet of another number = %v, %v", set, err)
	}
	for want := int64(3); want <= 9; want += 3 {
		if got, err := k.Add(ctx, 3); err != nil || got != want {
			t.Errorf("Add = %d, %v; want %d", got, err, want)
		}
	}
	if set, err := k.CompareAndSet(ctx, 9, math.MaxInt64); err != nil || !set {
		t.Errorf("CompareAndSet = %v, %v", set, err)
	}
	if _, err := k.Add(ctx, 1); !errors.Is(err, config.ErrOverflow) {
		t.Errorf("Add = %v, want %v", err, config.ErrOverflow)
	}
	wantCount(ctx, t, k, math.MaxInt64)
	must(t, k.Close(ctx))
	must(t, k.Close(ctx))
	if names, _, err := c.Children(ctx, counter); err != nil || len(names) != 0 {
		t.Errorf("after Close: %v, %v", names, err)
	}
}

// kazoo #569, and the layouts of Curator (zookeeper-protocol.md §14.2).
func TestCounterFormats(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	for what, f := range map[string]struct {
		codec recipes.Codec[int64]
		data  string
		want  int64
		after string
	}{
		"nothing":      {config.Decimal(), "", 1, "1"},
		"kazoo's":      {config.Decimal(), "-3", -2, "-2"},
		"Curator's 32": {config.Int32(), "\xff\xff\xff\xfe", -1, "\xff\xff\xff\xff"},
		"Curator's 64": {config.Int64(), "\x00\x00\x00\x00\x00\x00\x00\xff", 256, "\x00\x00\x00\x00\x00\x00\x01\x00"},
		"empty 64":     {config.Int64(), "", 1, "\x00\x00\x00\x00\x00\x00\x00\x01"},
	} {
		_, err := c.Create(ctx, counter, []byte(f.data), client.Parents())
		must(t, err)
		k := config.NewCounter(c, counter, f.codec)
		if got, err := k.Add(ctx, 1); err != nil || got != f.want {
			t.Errorf("%s: Add = %d, %v; want %d", what, got, err, f.want)
		}
		if node, err := c.Get(ctx, counter); err != nil || string(node.Data) != f.after {
			t.Errorf("%s: written as %q, %v; want %q", what, node.Data, err, f.after)
		}
		must(t, k.Close(ctx))
		must(t, c.Delete(ctx, counter, -1))
	}
	_, err := c.Create(ctx, counter, []byte("\x7f\xff\xff\xff"))
	must(t, err)
	if _, err := config.NewCounter(c, counter, config.Int32()).Add(ctx, 1); !errors.Is(err, config.ErrOverflow) {
		t.Errorf("Add = %v, want %v", err, config.ErrOverflow)
	}
	var bad *config.RejectedError
	if _, err := config.NewCounter(c, counter, nil).Add(ctx, 1); !errors.As(err, &bad) {
		t.Errorf("Add to what is no counter = %v", err)
	}
}

// RECIPES.md 2.12: whatever reply is lost while others add, each addition counts once.
func TestCounter_C6_AddsExactlyOnce(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	var all sync.WaitGroup
	var sum, running atomic.Int64
	const adders, adds = 4, 30
	for range adders {
		k := config.NewCounter(srv.Dial(t), counter, nil)
		running.Add(1)
		all.Go(func() {
			defer running.Add(-1)
			for range adds {
				if _, err := k.Add(ctx, 1); err != nil {
					t.Error(err)
				}
				sum.Add(1)
			}
		})
	}
	for i := range 8 {
		srv.Inject(servertest.DropReply("multi", 2+3*i))
	}
	srv.Inject(servertest.DropReply("create", 1), servertest.DropReply("create", 3))
	all.Wait()
	wantCount(ctx, t, config.NewCounter(srv.Dial(t), counter, nil), adders*adds)
}

// crowd is twenty who add to the counter, a thousand times in all each time they are let. A few do so at the same time:
// if all did, nineteen of twenty attempts would come too late.
type crowd struct {
	counters []*config.Counter
	added    int64
}

const together = 4

func newCrowd(t *testing.T, srv *servertest.Server) *crowd {
	w := new(crowd)
	for range 20 {
		w.counters = append(w.counters, config.NewCounter(srv.Dial(t), counter, nil))
	}
	return w
}

func (w *crowd) add(ctx context.Context, t *testing.T) {
	var all sync.WaitGroup
	turns := make(chan struct{}, together)
	for _, k := range w.counters {
		all.Go(func() {
			for range 1000 / len(w.counters) {
				turns <- struct{}{}
				if _, err := k.Add(ctx, 1); err != nil {
					t.Error(err)
				}
				<-turns
			}
		})
	}
	all.Wait()
	w.added += 1000
}

// RECIPES.md 2.12: each time the one whose request or reply was lost connects again, others have added a thousand times.
// It adds once all the same; only where its session has ended by then it may say that it does not know.
func TestCounter_C6_ThousandAddsDuringEachReconnect(t *testing.T) {
	drop := func(k servertest.Kind, op string, n int) servertest.Fault {
		return servertest.Fault{Kind: k, Op: op, N: n}
	}
	for what, story := range map[string]struct {
		faults     []servertest.Fault
		reconnects int
		expire     bool // the session, when the first reconnect is due
		unsure     bool // Add does not know,
		counted    bool // and this is how it is
	}{
		"reply":               {faults: []servertest.Fault{drop(servertest.ReplyDropped, "multi", 1)}, reconnects: 1},
		"request":             {faults: []servertest.Fault{drop(servertest.RequestDropped, "multi", 1)}, reconnects: 1},
		"late":                {faults: []servertest.Fault{drop(servertest.CommittedLate, "multi", 1)}, reconnects: 1},
		"reply of the marker": {faults: []servertest.Fault{drop(servertest.ReplyDropped, "create", 1)}, reconnects: 1},
		"reply and look": {faults: []servertest.Fault{
			drop(servertest.ReplyDropped, "multi", 1), drop(servertest.ReplyDropped, "getData", 2),
			drop(servertest.RequestDropped, "getData", 3),
		}, reconnects: 3},
		"two requests and a reply": {faults: []servertest.Fault{
			drop(servertest.RequestDropped, "multi", 1), drop(servertest.RequestDropped, "multi", 1), // one after the other
			drop(servertest.ReplyDropped, "multi", 3),
		}, reconnects: 3},
		"reply and session": {
			faults: []servertest.Fault{drop(servertest.ReplyDropped, "multi", 1)}, reconnects: 1, expire: true, unsure: true, counted: true,
		},
		"request and session": {
			faults: []servertest.Fault{drop(servertest.RequestDropped, "multi", 1)}, reconnects: 1, expire: true, unsure: true,
		},
		"reply of a read, and session": {
			faults: []servertest.Fault{drop(servertest.ReplyDropped, "getData", 1)}, reconnects: 1, expire: true,
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv, ctx := servertest.New(t, servertest.NoSockets()), context.Background()
				others := newCrowd(t, srv)
				reconnects, expire := -1, int64(0)
				c := srv.Dial(t, func(cfg *client.Config) {
					cfg.DialContext = func(dialing context.Context, network, addr string) (net.Conn, error) {
						if reconnects++; reconnects > 0 {
							others.add(ctx, t)
						}
						if expire != 0 {
							must(t, srv.Server().ExpireSession(ctx, expire))
							expire = 0
						}
						return srv.DialContext(dialing, network, addr)
					}
				})
				k := config.NewCounter(c, counter, nil)
				_, err := k.Add(ctx, 1) // makes the counter
				must(t, err)
				must(t, k.Close(ctx))
				s, err := c.Session(ctx)
				must(t, err)
				if story.expire {
					expire = s.ID()
				}
				for i := range story.faults {
					story.faults[i].Session = s.ID()
				}
				srv.Inject(story.faults...)
				mine := int64(1)
				switch _, err := k.Add(ctx, 1); {
				case err == nil && !story.unsure, story.unsure && story.counted && errors.Is(err, client.ErrMaybeApplied):
					mine++
				case story.unsure && errors.Is(err, client.ErrMaybeApplied):
				default:
					t.Errorf("Add = %v", err)
				}
				_, err = k.Add(ctx, 1) // as if nothing had been, and connected for sure
				must(t, err)
				if reconnects < story.reconnects {
					t.Errorf("%d reconnects, want %d", reconnects, story.reconnects)
				}
				wantCount(ctx, t, k, others.added+mine+1)
			})
		})
	}
}

func TestCounterOutlivesItsSession(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	k := config.NewCounter(c, counter, nil)
	_, err := k.Add(ctx, 1)
	must(t, err)
	s, err := c.Session(ctx)
	must(t, err)
	srv.Expire(c)
	<-s.Context().Done()
	_, err = k.Add(ctx, 1)
	must(t, err)
	names, _, err := c.Children(ctx, counter)
	must(t, err)
	for _, name := range names { // somebody tidies up
		must(t, c.Delete(ctx, counter+"/"+name, -1))
	}
	_, err = k.Add(ctx, 1)
	must(t, err)
	wantCount(ctx, t, k, 3)
	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := k.Add(over, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("Add = %v", err)
	}
	wantCount(ctx, t, k, 3)
}
