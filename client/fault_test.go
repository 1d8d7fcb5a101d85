package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

// C1: a reply is lost. What changes something fails, and says that it may have been applied; what does not is repeated.
func TestFault_LostReplies(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t)
	c, ctx := srv.Dial(t), t.Context()
	must(c.Create(ctx, "x", nil))(t)
	unsure := func(op string, call func() error) {
		t.Helper()
		srv.Inject(servertest.DropReply(op, 1))
		if err := call(); !errors.Is(err, client.ErrMaybeApplied) || !errors.Is(err, client.ErrSuspended) {
			t.Errorf("%s: %v", op, err)
		}
	}
	unsure("create", func() error { _, err := c.Create(ctx, "y", nil); return err })
	unsure("setData", func() error { _, err := c.Set(ctx, "x", []byte("v"), -1); return err })
	unsure("multi", func() error { _, err := c.Txn().Set("x", []byte("w"), 1).Commit(ctx); return err })
	unsure("delete", func() error { return c.Delete(ctx, "y", -1) })
	unsure("setACL", func() error { _, err := c.SetACL(ctx, "x", client.WorldACL(client.PermAll), -1); return err })
	sure := func(op string, call func() error) {
		t.Helper()
		srv.Inject(servertest.DropReply(op, 1), servertest.DropRequest(op, 1))
		if err := call(); err != nil {
			t.Errorf("%s: %v", op, err)
		}
	}
	sure("getData", func() error { _, err := c.Get(ctx, "x"); return err })
	sure("exists", func() error { _, _, err := c.Exists(ctx, "x"); return err })
	sure("getChildren2", func() error { _, _, err := c.Children(ctx, "/", client.Fresh()); return err })
	sure("sync", func() error { return c.Sync(ctx, "/") })
	sure("getACL", func() error { _, _, err := c.GetACL(ctx, "x"); return err })
	s := session(t, c)
	sure("create", func() error {
		n, err := s.Create(ctx, "d/l-", nil, client.Protected(), client.Parents(), client.Ephemeral(), client.Sequential())
		if err == nil && n.Stat.EphemeralOwner != s.ID() {
			t.Errorf("owner = %#x", n.Stat.EphemeralOwner)
		}
		return err
	})
	if names, _, err := c.Children(ctx, "d"); err != nil || len(names) != 1 {
		t.Errorf("a protected create left %v, %v", names, err)
	}
	sure("delete", func() error { return s.DeleteGuaranteed(ctx, "x") })
}

// the outcome of a write that was given up is tracked to its end: a protected node does not stay.
func TestFault_GivenUpCreateLeavesNothing(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t)
	c := srv.Dial(t)
	s := session(t, c)
	must(c.Create(t.Context(), "d", nil))(t)
	for i := range 20 {
		srv.Inject(servertest.DelayReply("create", 1, 50*time.Millisecond))
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond/4)
		_, err := s.Create(ctx, "d/l-", nil, client.Protected(), client.Ephemeral(), client.Sequential())
		cancel()
		if err == nil {
			t.Fatal("the create succeeded before its reply was there")
		}
	}
	testkit.Eventually(t, "no deletion is pending", func() bool { return len(s.Pending()) == 0 })
	if names, _, err := c.Children(t.Context(), "d", client.Fresh()); err != nil || len(names) != 0 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

// A session, its ephemerals and its watches survive the death of the server it is on, and of the leader.
func TestFault_LeaderKilled(t *testing.T) {
	t.Parallel()
	cl := servertest.NewCluster(t, 3)
	c, other, ctx := cl.Dial(t), cl.Dial(t), t.Context()
	s := session(t, c)
	must(s.Create(ctx, "eph", nil, client.Ephemeral()))(t)
	must(s.Create(ctx, "x", nil))(t)
	_, w, err := s.GetW(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	lease := s.Lease()
	cl.KillLeader()
	for {
		_, err := other.Set(ctx, "x", []byte("v"), -1)
		if err == nil {
			break
		}
		if !errors.Is(err, client.ErrMaybeApplied) {
			t.Fatal(err)
		}
	}
	wantEvent(t, w, client.EventDataChanged, "/x")
	if n, err := s.Get(ctx, "eph", client.Fresh()); err != nil || n.Stat.EphemeralOwner != s.ID() {
		t.Errorf("ephemeral = %+v, %v", n, err)
	}
	if session(t, c) != s || lease.Err() != nil {
		t.Error("the session, or its lease, did not survive")
	}
}

// A frozen server is left for another one in time to keep the lease.
func TestFault_FrozenServerIsLeft(t *testing.T) {
	t.Parallel()
	cl := servertest.NewCluster(t, 3)
	var attached atomic.Value // address
	c := cl.Dial(t, func(cfg *client.Config) {
		cfg.Hooks.Connect = func(addr string, err error) {
			if err == nil {
				attached.Store(addr)
			}
		}
		cfg.SessionTimeout = 4 * time.Second
		cfg.ReadTimeout = time.Second
		cfg.ConnectTimeout = 300 * time.Millisecond
	})
	s := session(t, c)
	lease := s.Lease()
	for _, srv := range cl.Servers {
		if srv.Addr() == attached.Load() {
			srv.Freeze()
			defer srv.Thaw()
		}
	}
	if _, err := s.Set(t.Context(), "/", []byte("v"), -1); err != nil && !errors.Is(err, client.ErrMaybeApplied) {
		t.Error(err)
	}
	if err := s.Sync(t.Context(), "/"); err != nil {
		t.Error(err)
	}
	if lease.Err() != nil {
		t.Error("the lease ended")
	}
}

// a thousand clients lose their server. They come back without a storm, in seconds, and no session is lost.
func TestFault_R7_ThousandClients(t *testing.T) {
	n := 1000
	if testing.Short() || raceEnabled {
		n = 200
	}
	srv := servertest.New(t, servertest.OnDisk())
	var connects atomic.Int64
	hook := func(string, error) { connects.Add(1) }
	clients := make([]*client.Client, n)
	sessions := make([]*client.Session, n)
	var wg sync.WaitGroup
	gate := make(chan struct{}, 32)
	for i := range n {
		wg.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			c, err := client.Dial(t.Context(), client.Config{Servers: []string{srv.Addr()}, Hooks: client.Hooks{Connect: hook}, SessionTimeout: 20 * time.Second})
			if err != nil {
				t.Error(err)
				return
			}
			clients[i] = c
			if sessions[i], err = c.Session(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	defer func() {
		for _, c := range clients {
			wg.Go(func() { c.Close() })
		}
		wg.Wait()
	}()
	connects.Store(0)
	srv.Kill()
	time.Sleep(time.Second) // how long the server is away: it is what is measured, not waited for
	away := connects.Swap(0)
	srv.Restart()
	back := time.Now()
	for i := range n {
		wg.Go(func() {
			if err := sessions[i].Sync(t.Context(), "/"); err != nil {
				t.Errorf("session %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	took := time.Since(back)
	t.Logf("%d clients: %d attempts in the second without a server, %d more until all were back after %v", n, away, connects.Load(), took)
	if took > 5*time.Second && !raceEnabled {
		t.Errorf("all back after %v, want 5 s", took)
	}
	if limit := int64(15 * n); away > limit {
		t.Errorf("%d attempts in a second, want at most %d", away, limit)
	}
}

// Random cuts and lost replies under load: each answer reaches its caller, no write is repeated, every change wakes.
func TestFault_Random(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	srv := servertest.New(t)
	c, ctx := srv.Dial(t), t.Context()
	over := make(chan struct{})
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() { counter(t, c, fmt.Sprint("n", i), over) })
	}
	work.Go(func() { ringing(t, srv.Dial(t), srv.Dial(t), over) })
	rounds := 25
	if raceEnabled {
		rounds = 10
	}
	for range rounds {
		undo := srv.Inject()
		switch n := 1 + rnd.IntN(20); rnd.IntN(4) {
		case 0:
			srv.Cut()
		case 1:
			undo = srv.Inject(servertest.DropReply("setData", n))
		case 2:
			undo = srv.Inject(servertest.DropReply("read", n))
		case 3:
			undo = srv.Inject(servertest.DropRequest("setData", n))
		}
		for range 5 { // so that the connection is back, and used
			if err := c.Sync(ctx, "/"); err != nil {
				t.Error(err)
			}
		}
		undo()
	}
	close(over)
	work.Wait()
	if cause := context.Cause(session(t, c).Context()); cause != nil {
		t.Error(cause)
	}
}

func closed(over <-chan struct{}) bool {
	select {
	case <-over:
		return true
	default:
		return false
	}
}

// counter counts a node up, by version, and checks that each step was made at most once, and exactly once if confirmed.
func counter(t *testing.T, c *client.Client, path string, over <-chan struct{}) {
	ctx := t.Context()
	if _, err := c.Create(ctx, path, []byte("0")); err != nil && !errors.Is(err, client.ErrMaybeApplied) {
		t.Error(err)
		return
	}
	if _, err := c.Create(ctx, path, []byte("0")); err != nil && !errors.Is(err, client.ErrNodeExists) && !errors.Is(err, client.ErrMaybeApplied) {
		t.Error(err)
		return
	}
	for !closed(over) {
		n, err := c.Get(ctx, path)
		if err != nil {
			t.Error(err)
			return
		}
		if string(n.Data) != fmt.Sprint(n.Stat.Version) {
			t.Errorf("%s: version %d holds %q", path, n.Stat.Version, n.Data)
			return
		}
		next := fmt.Sprint(n.Stat.Version + 1)
		st, err := c.Set(ctx, path, []byte(next), n.Stat.Version)
		switch {
		case err == nil && st.Version != n.Stat.Version+1:
			t.Errorf("%s: version %d follows %d", path, st.Version, n.Stat.Version)
		case err == nil:
		case !errors.Is(err, client.ErrMaybeApplied):
			t.Errorf("%s: %v, and nobody else writes", path, err)
			return
		}
	}
}

// ringing changes a node whose every change another client must see by watches alone.
func ringing(t *testing.T, writer, reader *client.Client, over <-chan struct{}) {
	ctx := t.Context()
	for {
		if _, err := writer.Create(ctx, "bell", nil); err == nil || errors.Is(err, client.ErrNodeExists) {
			break
		}
	}
	const last = "the last"
	var heard sync.WaitGroup
	heard.Go(func() {
		s, err := reader.Session(ctx)
		if err != nil {
			t.Error(err)
			return
		}
		for {
			n, w, err := s.GetW(ctx, "bell")
			if err != nil {
				t.Error(err)
				return
			}
			if string(n.Data) == last {
				w.Close()
				return
			}
			if _, err := w.Wait(ctx); err != nil {
				t.Error(err)
				return
			}
		}
	})
	ring := func(data string) {
		for {
			_, err := writer.Set(ctx, "bell", []byte(data), -1)
			if err == nil {
				return
			}
			if !errors.Is(err, client.ErrMaybeApplied) {
				t.Error(err)
				return
			}
		}
	}
	for i := 0; !closed(over); i++ {
		ring(fmt.Sprint(i))
	}
	ring(last)
	heard.Wait()
}
