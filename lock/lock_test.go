package lock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/server/servertest"
)

// soon bounds what must not take long.
const soon = 10 * time.Second

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func mustLock(t testing.TB, c *client.Client, path string, o ...lock.Option) *lock.Held {
	t.Helper()
	held, err := lock.New(c, path, o...).Lock(within(t, soon))
	if err != nil {
		t.Fatalf("Lock: %v", err)
	}
	return held
}

func mustUnlock(t testing.TB, h *lock.Held) {
	t.Helper()
	if err := h.Unlock(within(t, soon)); err != nil {
		t.Fatalf("Unlock: %v", err)
	}
}

// outcome is what a Lock on another goroutine came to.
type outcome struct {
	held *lock.Held
	err  error
}

// lockLater locks on a goroutine of its own, and returns when its node stands in line behind n others.
func lockLater(t testing.TB, ctx context.Context, c *client.Client, path string, n int) <-chan outcome {
	t.Helper()
	done := make(chan outcome, 1)
	go func() {
		held, err := lock.New(c, path).Lock(ctx)
		done <- outcome{held, err}
	}()
	waitForChildren(t, c, path, n+1)
	return done
}

// waitForChildren waits until there are n children of path.
func waitForChildren(t testing.TB, c *client.Client, path string, n int) {
	t.Helper()
	ctx := within(t, soon)
	s, err := c.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for {
		names, _, w, err := s.ChildrenW(ctx, path)
		if errors.Is(err, client.ErrNoNode) {
			var ok bool
			if _, ok, w, err = s.ExistsW(ctx, path); ok {
				continue
			}
		}
		if err != nil {
			t.Fatalf("waiting for %d children of %s: %v (there are %q)", n, path, err, names)
		}
		if len(names) == n {
			w.Close()
			return
		}
		if _, err := w.Wait(ctx); err != nil {
			t.Fatalf("waiting for %d children of %s: %v (there are %q)", n, path, err, names)
		}
	}
}

func mustGet(t testing.TB, done <-chan outcome) outcome {
	t.Helper()
	select {
	case o := <-done:
		return o
	case <-time.After(soon):
		t.Fatal("Lock does not return")
		return outcome{}
	}
}

func mustEnd(t testing.TB, ctx context.Context, want error) {
	t.Helper()
	select {
	case <-ctx.Done():
	case <-time.After(soon):
		t.Fatal("context does not end")
	}
	if cause := context.Cause(ctx); !errors.Is(cause, want) {
		t.Errorf("cause = %v, want %v", cause, want)
	}
}

func TestMutex_L4_TurnsInOrder(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	first := mustLock(t, srv.Dial(t), "/locks/x")
	var waiting []<-chan outcome
	for i := range 3 {
		waiting = append(waiting, lockLater(t, within(t, soon), srv.Dial(t), "/locks/x", i+1))
	}
	held := first
	for i, done := range waiting {
		if !held.Valid() || held.Lost() || held.Context().Err() != nil {
			t.Errorf("holder %d: valid %v, lost %v, context %v", i, held.Valid(), held.Lost(), held.Context().Err())
		}
		before := held.Token()
		mustUnlock(t, held)
		mustEnd(t, held.Context(), lock.ErrReleased)
		if held.Valid() || held.Lost() {
			t.Errorf("after Unlock: valid %v, lost %v", held.Valid(), held.Lost())
		}
		o := mustGet(t, done)
		if o.err != nil {
			t.Fatal(o.err)
		}
		if held = o.held; held.Token() <= before {
			t.Errorf("token %d after %d", held.Token(), before)
		}
	}
	mustUnlock(t, held)
	mustUnlock(t, held) // again is harmless
}

// CURATOR-140: what is in a node says who stands there, and why.
func TestMutex_TryLock(t *testing.T) {
	srv := servertest.New(t)
	a, b := srv.Dial(t, func(c *client.Config) { c.Identity = "job 7" }), srv.Dial(t)
	held := mustLock(t, a, "locks/x", lock.Note("nightly"))
	got, err := lock.New(b, "/locks/x").TryLock(within(t, soon))
	var locked *lock.LockedError
	if got != nil || !errors.Is(err, lock.ErrLocked) || !errors.As(err, &locked) {
		t.Fatalf("TryLock = %v, %v", got, err)
	}
	if h := locked.Holder; h.ID != "job 7" || h.Note != "nightly" || h.Token != held.Token() || h.Session != held.Session().ID() {
		t.Errorf("holder = %+v", h)
	}
	waitForChildren(t, b, "/locks/x", 1) // and nothing of ours
	mustUnlock(t, held)
	got, err = lock.New(b, "/locks/x").TryLock(within(t, soon))
	if err != nil || got == nil {
		t.Fatalf("TryLock of a free lock = %v, %v", got, err)
	}
	mustUnlock(t, got)
}

func TestMutex_Inspect(t *testing.T) {
	srv := servertest.New(t)
	a, b := srv.Dial(t, func(c *client.Config) { c.Identity = "a" }), srv.Dial(t, func(c *client.Config) { c.Identity = "b" })
	m := lock.New(a, "/locks/x")
	q, err := m.Inspect(within(t, soon))
	if err != nil || len(q.Holders) != 0 || len(q.Waiting) != 0 {
		t.Fatalf("Inspect of a lock that was never used = %+v, %v", q, err)
	}
	held := mustLock(t, a, "/locks/x", lock.Note("why"))
	done := lockLater(t, within(t, soon), b, "/locks/x", 1)
	if q, err = m.Inspect(within(t, soon)); err != nil || len(q.Holders) != 1 || len(q.Waiting) != 1 {
		t.Fatalf("Inspect = %+v, %v", q, err)
	}
	if h := q.Holders[0]; h.ID != "a" || h.Note != "why" || h.Token != held.Token() || time.Since(h.Since) > time.Minute {
		t.Errorf("holder = %+v", h)
	}
	if w := q.Waiting[0]; w.ID != "b" || w.Token <= held.Token() {
		t.Errorf("waiting = %+v", w)
	}
	mustUnlock(t, held)
	mustUnlock(t, mustGet(t, done).held)
}

func TestMutex_BreakEndsTheHolder(t *testing.T) {
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	held := mustLock(t, a, "/locks/x")
	m := lock.New(b, "/locks/x")
	if err := m.Break(within(t, soon), held.Token()+1); !errors.Is(err, lock.ErrNotHolder) {
		t.Errorf("Break with another token = %v", err)
	}
	if err := m.Break(within(t, soon), held.Token()); err != nil {
		t.Fatal(err)
	}
	mustEnd(t, held.Context(), lock.ErrLockLost)
	if !held.Lost() || held.Valid() {
		t.Errorf("lost %v, valid %v", held.Lost(), held.Valid())
	}
	next := mustLock(t, b, "/locks/x")
	mustUnlock(t, held) // must not touch the next one's (etcd #22082)
	if !next.Valid() {
		t.Error("the second Unlock of the first holder hit the second one")
	}
	if _, err := held.Txn().Set("/locks", []byte("late"), -1).Commit(within(t, soon)); !errors.Is(err, client.ErrNoNode) {
		t.Errorf("transaction of a holder that has lost = %v, want ErrNoNode", err)
	}
	if _, err := next.Txn().Set("/locks", []byte("mine"), -1).Commit(within(t, soon)); err != nil {
		t.Errorf("transaction of the holder = %v", err)
	}
	mustUnlock(t, next)
}

func TestMutex_Revoke(t *testing.T) {
	srv := servertest.New(t)
	held := mustLock(t, srv.Dial(t), "/locks/x")
	select {
	case <-held.Revoked():
		t.Fatal("revoked already")
	default:
	}
	if err := lock.New(srv.Dial(t), "/locks/x").Revoke(within(t, soon), held.Token()); err != nil {
		t.Fatal(err)
	}
	<-held.Revoked()
	if !held.Valid() {
		t.Error("a polite request took the lock away")
	}
	mustUnlock(t, held)
}

func TestMutex_TheContextOfLockGovernsLockingOnly_Vitess11794(t *testing.T) {
	srv := servertest.New(t)
	ctx, cancel := context.WithCancel(context.Background())
	held, err := lock.New(srv.Dial(t), "/locks/x").Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if held.Context().Err() != nil || !held.Valid() {
		t.Error("what is held ended with the context of Lock")
	}
	mustUnlock(t, held)
}

func TestMutex_SelfDeadlockIsRefused(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	err := lock.Do(within(t, soon), c, "/locks/x", func(ctx context.Context, h *lock.Held) error {
		for _, ctx := range []context.Context{ctx, h.Context()} {
			if _, err := lock.New(c, "locks/x").Lock(ctx); !errors.Is(err, lock.ErrSelfDeadlock) {
				t.Errorf("Lock of what is held = %v", err)
			}
		}
		other, err := lock.New(c, "/locks/y").Lock(ctx)
		if err != nil {
			return err
		}
		return other.Unlock(ctx)
	})
	if err != nil {
		t.Error(err)
	}
}

// Two goroutines on one session are two contenders (etcd PR #11364: both "held").
func TestMutex_TwoGoroutinesOnOneSession_Etcd11364(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	held := mustLock(t, c, "/locks/x")
	done := lockLater(t, within(t, soon), c, "/locks/x", 1)
	select {
	case o := <-done:
		t.Fatalf("both hold: %v, %v", o.held, o.err)
	default:
	}
	mustUnlock(t, held)
	mustUnlock(t, mustGet(t, done).held)
}

func TestDo_ContextEndsWithEither(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	type key struct{}
	outer, cancel := context.WithCancelCause(context.WithValue(context.Background(), key{}, "v"))
	cause := errors.New("caller's reason")
	err := lock.Do(outer, c, "/locks/x", func(ctx context.Context, h *lock.Held) error {
		if ctx.Value(key{}) != "v" {
			t.Error("the caller's values are lost")
		}
		cancel(cause)
		mustEnd(t, ctx, cause)
		if !h.Valid() {
			t.Error("the lock ended with the caller's context, ahead of fn")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	err = lock.Do(within(t, soon), c, "/locks/x", func(ctx context.Context, h *lock.Held) error {
		srv.Expire(c)
		mustEnd(t, ctx, client.ErrSessionExpired)
		return context.Cause(ctx)
	})
	if !errors.Is(err, client.ErrSessionExpired) {
		t.Errorf("Do = %v", err)
	}
}

// Zk-ruby #34: sequence numbers, and so names, begin again with a new directory; tokens do not.
func TestMutex_L2_TokensGrowAcrossDirectories(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	var last uint64
	for i := range 5 {
		held := mustLock(t, c, "/locks/x")
		if held.Token() <= last {
			t.Errorf("round %d: token %d after %d", i, held.Token(), last)
		}
		last = held.Token()
		mustUnlock(t, held)
		if err := c.Delete(within(t, soon), "/locks/x", -1); err != nil {
			t.Fatal(err)
		}
	}
}

// CURATOR-43, Netflix #281; go-zookeeper fails on any child that it cannot parse.
func TestMutex_StrangersAreIgnored_CURATOR43(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	for _, name := range []string{"readme", "lock-", "lock-x", "_c_1-leases-0000000000"} {
		if _, err := c.Create(within(t, soon), "/locks/x/"+name, nil, client.Parents()); err != nil {
			t.Fatal(err)
		}
	}
	held := mustLock(t, c, "/locks/x")
	done := lockLater(t, within(t, soon), c, "/locks/x", 5)
	mustUnlock(t, held)
	mustUnlock(t, mustGet(t, done).held)
}

// Names as kazoo and go-zookeeper write them (zookeeper-protocol.md 14.3, 14.4) are honoured.
func TestMutex_OtherLibrariesAreHonoured(t *testing.T) {
	for _, name := range []string{
		"6d30b8b06d30b8b06d30b8b06d30b8b0__lock__", "_c_6d30b8b06d30b8b06d30b8b06d30b8b0-lock-",
		"_c_e7c75a00-a67e-4401-988c-835cb028acdd-lock-", "lock-",
	} {
		for _, layout := range []lock.Layout{lock.LayoutCurator, lock.LayoutKazoo} {
			srv := servertest.New(t)
			a, b := srv.Dial(t), srv.Dial(t)
			other, err := a.Create(within(t, soon), "/locks/x/"+name, []byte("somebody"), client.Ephemeral(), client.Sequential(), client.Parents())
			if err != nil {
				t.Fatal(err)
			}
			var locked *lock.LockedError
			if _, err = lock.New(b, "/locks/x", lock.Compat(layout)).TryLock(within(t, soon)); !errors.As(err, &locked) || locked.Holder.ID != "somebody" {
				t.Errorf("TryLock against %s = %v", name, err)
			}
			if err := a.Delete(within(t, soon), other.Path, -1); err != nil {
				t.Fatal(err)
			}
			mustUnlock(t, mustLock(t, b, "/locks/x", lock.Compat(layout)))
		}
	}
}
