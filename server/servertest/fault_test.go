package servertest_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server/servertest"
)

// bubble runs f with a server of its own on virtual time.
func bubble(t *testing.T, f func(t *testing.T, srv *servertest.Server)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { f(t, servertest.New(t, servertest.NoSockets())) })
}

func create(t *testing.T, o client.Ops, path string) {
	t.Helper()
	if _, err := o.Create(ctx(t), path, nil); err != nil {
		t.Fatal(err)
	}
}

func exists(t *testing.T, o client.Ops, path string, r ...client.ReadOption) bool {
	t.Helper()
	_, ok, err := o.Exists(ctx(t), path, r...)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// counted makes a client count its connections.
func counted(srv *servertest.Server, n *atomic.Int32) func(*client.Config) {
	return func(cfg *client.Config) {
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			n.Add(1)
			return srv.DialContext(ctx, network, addr)
		}
	}
}

func TestFaultsAreData(t *testing.T) {
	t.Parallel()
	if a, b := servertest.DropReply("create", 1), servertest.DropReply("create", 1); a != b {
		t.Error("equal faults differ")
	}
	for want, f := range map[string]servertest.Fault{
		"drop request of any 3":                  servertest.DropRequest("any", 3),
		"drop reply of create 2":                 servertest.DropReply("create", 2),
		"delay reply of read 1 for 1.5s":         servertest.DelayReply("read", 1, 1500*time.Millisecond),
		"duplicate reply of sync 1":              servertest.DuplicateReply("sync", 1),
		"close after reply of multi 1":           servertest.CloseAfter("multi", 1),
		"commit late of delete 1 in session 0xa": {Kind: servertest.CommittedLate, Op: "delete", N: 1, Session: 10},
	} {
		if f.String() != want {
			t.Errorf("%q, want %q", f, want)
		}
	}
}

func TestDelayReply(t *testing.T) {
	bubble(t, func(t *testing.T, srv *servertest.Server) {
		s := session(t, srv.Dial(t))
		srv.Inject(servertest.DelayReply("create", 1, 2*time.Second))
		start := time.Now()
		create(t, s, "/a")
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("answered after %v, want 2s", d)
		}
	})
}

func TestDuplicateReply(t *testing.T) {
	bubble(t, func(t *testing.T, srv *servertest.Server) {
		var dials atomic.Int32
		s := session(t, srv.Dial(t, counted(srv, &dials)))
		srv.Inject(servertest.DuplicateReply("create", 1))
		create(t, s, "/a")
		if exists(t, s, "/b") || dials.Load() != 2 { // whether it is asked before the client has noticed, or after
			t.Errorf("%d connections, want 2", dials.Load())
		}
	})
}

func TestCloseAfter(t *testing.T) {
	bubble(t, func(t *testing.T, srv *servertest.Server) {
		var dials atomic.Int32
		s := session(t, srv.Dial(t, counted(srv, &dials)))
		srv.Inject(servertest.CloseAfter("create", 1))
		create(t, s, "/a")
		if !exists(t, s, "/a") || dials.Load() != 2 {
			t.Errorf("%d connections, want 2", dials.Load())
		}
	})
}

func TestLateCommit(t *testing.T) {
	bubble(t, func(t *testing.T, srv *servertest.Server) {
		s := session(t, srv.Dial(t))
		srv.Inject(servertest.LateCommit("create", 1))
		if _, err := s.Create(ctx(t), "/late", nil); !errors.Is(err, client.ErrMaybeApplied) {
			t.Errorf("%v, want ErrMaybeApplied", err)
		}
		if exists(t, s, "/late") {
			t.Error("it is there before anything but reads came behind it")
		}
		if !exists(t, s, "/late", client.Fresh()) {
			t.Error("it is not there after a sync")
		}
	})
}

func TestLateCommitOfAProtectedCreate(t *testing.T) {
	bubble(t, func(t *testing.T, srv *servertest.Server) {
		c := srv.Dial(t)
		create(t, c, "/line")
		srv.Inject(servertest.LateCommit("create", 1))
		if _, err := c.Create(ctx(t), "/line/n-", nil, client.Protected(), client.Sequential()); err != nil {
			t.Fatal(err)
		}
		if all, _, err := c.Children(ctx(t), "/line", client.Fresh()); err != nil || len(all) != 1 {
			t.Errorf("%v, %v, want one node", all, err)
		}
	})
}

func TestFaultOfOneSession(t *testing.T) {
	bubble(t, func(t *testing.T, srv *servertest.Server) {
		a, b := session(t, srv.Dial(t)), session(t, srv.Dial(t))
		f := servertest.DropReply("create", 1)
		f.Session = b.ID()
		srv.Inject(f)
		create(t, a, "/a")
		if _, err := b.Create(ctx(t), "/b", nil); !errors.Is(err, client.ErrMaybeApplied) {
			t.Errorf("%v, want ErrMaybeApplied", err)
		}
	})
}

func TestSlowDisk(t *testing.T) {
	bubble(t, func(t *testing.T, srv *servertest.Server) {
		s := session(t, srv.Dial(t))
		srv.SlowDisk(time.Second)
		start := time.Now()
		create(t, s, "/a")
		if d := time.Since(start); d < time.Second {
			t.Errorf("written after %v, on a disk that takes 1s", d)
		}
		srv.SlowDisk(0)
		start = time.Now()
		create(t, s, "/b")
		if d := time.Since(start); d >= time.Second {
			t.Errorf("written after %v, on a quick disk", d)
		}
	})
}

func TestRestartInMemory(t *testing.T) {
	bubble(t, func(t *testing.T, srv *servertest.Server) {
		s := session(t, srv.Dial(t))
		if _, err := s.Create(ctx(t), "/e", []byte("x"), client.Ephemeral()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			srv.Restart()
			if n, err := s.Get(ctx(t), "/e"); err != nil || string(n.Data) != "x" || n.Stat.EphemeralOwner != s.ID() {
				t.Errorf("after a restart: %+v, %v", n, err)
			}
		}
	})
}

func TestFreezeTakesVirtualTime(t *testing.T) {
	bubble(t, func(t *testing.T, srv *servertest.Server) {
		s := session(t, srv.Dial(t))
		start := time.Now()
		srv.Freeze()
		<-s.Context().Done()
		if d := time.Since(start); d < 9*time.Second || d > 10*time.Second || !errors.Is(context.Cause(s.Context()), client.ErrSessionDeadline) {
			t.Errorf("after %v: %v, want ErrSessionDeadline after some 10s", d, context.Cause(s.Context()))
		}
	})
}

// What is about watches is never under way through an ensemble: it ends with its connection, and does not take off the
// watches of the next one.
func TestLateCommit_LeavesWatchesAlone(t *testing.T) {
	bubble(t, func(t *testing.T, srv *servertest.Server) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		c := srv.Dial(t)
		if _, err := c.Create(ctx, "/x", nil); err != nil {
			t.Fatal(err)
		}
		s, err := c.Session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		watch := func() *client.Watch {
			_, w, err := s.GetW(ctx, "/x")
			if err != nil {
				t.Fatal(err)
			}
			return w
		}
		w := watch()
		srv.Inject(servertest.LateCommit("removeWatches", 1))
		w.Close()
		synctest.Wait()
		w = watch()
		if _, err := s.Set(ctx, "/x", []byte("new"), -1); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Wait(ctx); err != nil {
			t.Errorf("the second watch: %v", err)
		}
	})
}
