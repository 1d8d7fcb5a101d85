package groups_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/server/servertest"
)

// Each test of this file tells one story twice: with ours, which holds, and with a naive variant that has the bug, which
// must not, or else the story would show nothing.

const member = "/jobs/7/workers/w1"

// joinOnce is kazoo Party's join: it creates the node, once and for all.
func joinOnce(ctx context.Context, c *client.Client) error {
	_, err := c.Create(ctx, member, []byte(`{}`), client.Ephemeral(), client.Parents())
	if errors.Is(err, client.ErrNodeExists) {
		return nil // CURATOR-154, dubbo PR #5135: it is there already
	}
	return err
}

func joinOurs(ctx context.Context, c *client.Client) error {
	_, err := groups.Join(ctx, c, "/jobs/7/workers", worker{}, groups.ID("w1"))
	return err
}

// once lets a client connect once: when that connection breaks it is as good as dead, and its session runs out.
func once(cfg *client.Config) {
	dial, connected := cfg.DialContext, new(atomic.Bool)
	cfg.SessionTimeout = 4 * time.Second
	cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if connected.Swap(true) {
			return nil, errors.New("it has crashed")
		}
		return dial(ctx, network, addr)
	}
}

// kazoo Party, gozk #90: who has lost its session never joins again.
// CURATOR-258, CURATOR-97, CURATOR-154, dubbo PR #5135, zkconfig-resources PR #26: a process starts again while the node of
// its old session is still there, takes it for its own, and is gone with that session.
func TestJoin_NaiveOnes(t *testing.T) {
	expires := func(ctx context.Context, t *testing.T, srv *servertest.Server, join func(context.Context, *client.Client) error) {
		c := srv.Dial(t)
		must(t, join(ctx, c))
		srv.Expire(c)
	}
	startsAgain := func(ctx context.Context, t *testing.T, srv *servertest.Server, join func(context.Context, *client.Client) error) {
		old := srv.Dial(t, once)
		must(t, join(ctx, old))
		srv.Cut()
		must(t, join(ctx, srv.Dial(t)))
	}
	for what, happens := range map[string]func(context.Context, *testing.T, *servertest.Server, func(context.Context, *client.Client) error){
		"the session expires": expires, "the process starts again": startsAgain,
	} {
		t.Run(what, func(t *testing.T) {
			remains := func(t *testing.T, join func(context.Context, *client.Client) error) (there bool) {
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
					defer cancel()
					srv := servertest.New(t, servertest.NoSockets())
					happens(ctx, t, srv, join)
					afterwards := time.NewTimer(20 * time.Second) // all old sessions are over by then
					defer afterwards.Stop()
					<-afterwards.C
					var err error
					_, there, err = srv.Dial(t).Exists(ctx, member, client.Fresh())
					must(t, err)
				})
				return there
			}
			if !remains(t, joinOurs) {
				t.Error("our member is gone")
			}
			if remains(t, joinOnce) {
				t.Error("the naive one is not caught")
			}
		})
	}
}

// RECIPES.md 2.10: Curator registers again on every reconnect, and replaces a node by deleting and creating it, "so that
// watchers fire": everybody sees the instance vanish.
func TestRegister_NaiveReplacement(t *testing.T) {
	const path = "/svc/appmgr/am-1"
	naive := func(ctx context.Context, t *testing.T, c *client.Client) (again func()) {
		create := func() {
			_, err := c.Create(ctx, path, []byte(`{"name":"appmgr","id":"am-1"}`), client.Ephemeral(), client.Parents())
			must(t, err)
		}
		create()
		return func() {
			must(t, c.Delete(ctx, path, -1))
			create()
		}
	}
	careful := func(ctx context.Context, t *testing.T, c *client.Client) (again func()) {
		r := register(ctx, t, c, manager("am-1", 1))
		return func() { must(t, r.Update(ctx, func(in *groups.Instance) { in.Port++ })) }
	}
	vanishes := func(t *testing.T, register func(ctx context.Context, t *testing.T, c *client.Client) (again func())) (n int) {
		srv, ctx := servertest.New(t), testContext(t)
		c, observer := srv.Dial(t), srv.Dial(t)
		again := register(ctx, t, c)
		s, err := observer.Session(ctx)
		must(t, err)
		stream, err := s.AddWatch(ctx, "/svc", client.PersistentRecursive)
		must(t, err)
		defer stream.Close()
		srv.Cut()
		must(t, c.Sync(ctx, "/"))
		must(t, observer.Sync(ctx, "/")) // its watch is set again: what comes is seen
		again()
		_, err = c.Create(ctx, "/svc/end", nil)
		must(t, err)
		for {
			ev, err := stream.Next(ctx)
			must(t, err)
			switch {
			case ev.Type == client.EventDeleted:
				n++
			case ev.Path == "/svc/end":
				return n
			}
		}
	}
	if n := vanishes(t, careful); n != 0 {
		t.Errorf("our instance has vanished %d times", n)
	}
	if n := vanishes(t, naive); n == 0 {
		t.Error("the naive one is not caught")
	}
}

// consul #2890, consul #9283, consul #1208: all instances flap at once, and the list runs empty. Without a guard it does.
func TestDiscover_D3_NeverEmptyAtOnce(t *testing.T) {
	shrinksTo := func(t *testing.T, guard time.Duration) (least int) {
		srv, ctx := servertest.New(t), testContext(t)
		var managers []*client.Client
		for i := range 5 {
			managers = append(managers, srv.Dial(t))
			register(ctx, t, managers[i], manager(fmt.Sprint("am-", i), i))
		}
		d := discover(ctx, t, srv.Dial(t), groups.WithGuard(guard))
		if guard == 0 {
			for _, c := range managers {
				c.Close()
			}
		} else {
			for _, c := range managers { // the sessions go, and the instances come back on the next ones
				srv.Expire(c)
			}
		}
		c := srv.Dial(t)
		register(ctx, t, c, manager("end", 99))
		least = 5
		for list, err := range d.Changes(ctx) {
			must(t, err)
			end := false
			for _, in := range list {
				end = end || in.ID == "end"
			}
			if least = min(least, len(list)); end {
				return least
			}
		}
		return least
	}
	if n := shrinksTo(t, time.Minute); n < 3 { // two who go are not a mass yet; from the third on all five are shown again
		t.Errorf("only %d of 5 were shown", n)
	}
	if n := shrinksTo(t, 0); n > 2 {
		t.Errorf("without a guard %d of 5 were shown: the story shows nothing", n)
	}
}

// CURATOR-452, CURATOR-105, CURATOR-705, curator GH-1246: asked right after the start, a directory looks empty, unless one
// waits for Synced, as Pick's callers are told to and PickWait does.
func TestDiscoverNaiveStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		srv := servertest.New(t, servertest.NoSockets())
		register(ctx, t, srv.Dial(t), manager("am-1", 1))
		d := groups.Discover(ctx, srv.Dial(t), "appmgr")
		defer d.Close()
		if n := len(d.All()); n != 0 {
			t.Errorf("the naive one is not caught: it sees %d", n)
		}
		if !d.Stale() {
			t.Error("an incomplete copy is not called stale")
		}
		must(t, d.Synced(ctx))
		if n := len(d.All()); n != 1 {
			t.Errorf("after Synced it shows %d instances", n)
		}
	})
}

// CURATOR-94: closing a discovery deletes registrations that are meant to stay. Ours deletes what is its own.
func TestCloseLeavesOthersAlone(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	r := register(ctx, t, c, manager("am-1", 1))
	data, err := json.Marshal(map[string]any{"name": "appmgr", "id": "static", "address": "h", "port": 1, "serviceType": "PERMANENT"})
	must(t, err)
	_, err = c.Create(ctx, "/svc/appmgr/static", data)
	must(t, err)
	d := discover(ctx, t, c)
	shows(ctx, t, d, "am-1 static ")
	must(t, r.Close())
	d.Close()
	must(t, c.Close())
	shows(ctx, t, discover(ctx, t, srv.Dial(t)), "static ")
}

// M4: members do not watch each other. (kazoo #298, kazoo #392, kazoo PR #259, kazoo PR #257: its SetPartitioner, in which
// all do, and which must agree on who has what without anybody to decide. There is no such thing here.)
func TestJoin_M4_NobodyWatchesEverybody(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	const n = 20
	for i := range n {
		join(ctx, t, srv.Dial(t), fmt.Sprint("w", i), worker{})
	}
	if events := srv.Count().Events; events != 0 {
		t.Errorf("%d wake-ups while %d joined", events, n)
	}
	if got := srv.Count().Watches; got > n {
		t.Errorf("%d watches of %d members", got, n)
	}
}
