package lock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/servertest"
)

// CURATOR-527, -641: a watch that has fired before anybody waits for it wakes who comes then.
func TestMutex_WatchThatFiredBeforeTheWait_CURATOR527(t *testing.T) {
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	held := mustLock(t, a, "/locks/x")
	reads := srv.Count().Requests["getData"]
	// The answer to the waiter's look at the one ahead comes after that one has gone, with the event right behind it.
	srv.Inject(servertest.DelayReply("getData", 2, 100*time.Millisecond))
	done := make(chan outcome, 1)
	go func() {
		h, err := lock.New(b, "/locks/x").Lock(within(t, soon))
		done <- outcome{h, err}
	}()
	testkit.Eventually(t, "the waiter looks", func() bool { return srv.Count().Requests["getData"] >= reads+2 })
	mustUnlock(t, held)
	o := mustGet(t, done)
	if o.err != nil {
		t.Fatal(o.err)
	}
	mustUnlock(t, o.held)
}

// CURATOR-358: who is gone by the time his node is read is left out, and nothing fails.
func TestMutex_InspectRacesWithTheEnd_CURATOR358(t *testing.T) {
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	held := mustLock(t, a, "/locks/x")
	lists := srv.Count().Requests["getChildren2"]
	srv.Inject(servertest.DelayReply("getChildren2", 1, 100*time.Millisecond))
	type answer struct {
		q   lock.Queue
		err error
	}
	done := make(chan answer, 1)
	go func() {
		q, err := lock.New(b, "/locks/x").Inspect(within(t, soon))
		done <- answer{q, err}
	}()
	testkit.Eventually(t, "the list is read", func() bool { return srv.Count().Requests["getChildren2"] > lists })
	mustUnlock(t, held)
	if got := <-done; got.err != nil || len(got.q.Waiting) != 0 {
		t.Errorf("Inspect = %+v, %v", got.q, got.err)
	}
}

// CURATOR-41, -71, -195: what went wrong with the cleanup stands beside the reason, and hides it not.
func TestMutex_BothErrors_CURATOR41(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	mustLock(t, a, "/locks/x")
	ctx, cancel := context.WithCancelCause(context.Background())
	done := lockLater(t, ctx, b, "/locks/x", 1)
	srv.Inject(servertest.DelayReply("delete", 1, 1500*time.Millisecond))
	reason := errors.New("reason")
	cancel(reason)
	if o := mustGet(t, done); !errors.Is(o.err, reason) || !errors.Is(o.err, context.Canceled) || !errors.Is(o.err, lock.ErrReleasePending) {
		t.Errorf("Lock = %v", o.err)
	}
}

// Netflix #307, CURATOR-173, -187, otter #1192: empty directories of locks go by themselves; CURATOR-308, -388: and that
// stops nobody who waits or comes.
func TestMutex_DirectoriesAreCollected_Netflix307(t *testing.T) {
	srv := servertest.New(t, servertest.WithConfig(func(c *server.Config) { c.ContainerInterval = 20 * time.Millisecond }))
	c := srv.Dial(t)
	for range 3 {
		held := mustLock(t, c, "/locks/x")
		done := lockLater(t, within(t, soon), c, "/locks/x", 1)
		mustUnlock(t, held)
		mustUnlock(t, mustGet(t, done).held)
		testkit.Eventually(t, "the directory is gone", func() bool {
			_, there, err := c.Exists(within(t, soon), "/locks/x")
			return err == nil && !there
		})
	}
}

// ZOOKEEPER-2886: a session that sends nothing but transactions goes on after its connection was moved.
func TestMutex_TransactionsAfterAMove_ZOOKEEPER2886(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	held := mustLock(t, c, "/locks/x")
	for range 3 {
		srv.Cut()
		if _, err := held.Txn().Set("/locks", []byte("mine"), -1).Commit(within(t, soon)); err != nil && !errors.Is(err, client.ErrMaybeApplied) {
			t.Errorf("transaction after a reconnect = %v", err)
		}
	}
	mustUnlock(t, held)
}

// Etcd #17470: the process lives and keeps its session, and the work has come to a stop.
func TestWithHeartbeat_Etcd17470(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	a, b := srv.Dial(t, quick), srv.Dial(t)
	stopped := errors.New("work has stopped")
	word := make(chan error, 10)
	for range 2 {
		word <- nil
	}
	word <- stopped
	beat := lock.WithHeartbeat(func(ctx context.Context) error {
		select {
		case err := <-word:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	held := mustLock(t, a, "/locks/x", beat)
	done := lockLater(t, within(t, soon), b, "/locks/x", 1)
	mustEnd(t, held.Context(), lock.ErrNotAlive)
	if cause := context.Cause(held.Context()); !errors.Is(cause, stopped) || !held.Lost() {
		t.Errorf("cause %v, lost %v", cause, held.Lost())
	}
	next := mustGet(t, done) // the session lives, and the lock goes on
	if next.err != nil || held.Session().Context().Err() != nil {
		t.Fatalf("next %v, session %v", next.err, held.Session().Context().Err())
	}
	mustUnlock(t, next.held)

	both, err := lock.LockAll(within(t, soon), a, []string{"/locks/x", "/locks/y"}, beat) // now nothing is said at all
	if err != nil {
		t.Fatal(err)
	}
	mustEnd(t, both.Context(), lock.ErrNotAlive)
	if err := both.Close(); err != nil {
		t.Error(err)
	}
	waitForChildren(t, b, "/locks/y", 0)
}

// A call that never returns keeps nobody from unlocking.
func TestWithHeartbeat_HangingCall(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	hang, asked := make(chan struct{}), make(chan struct{}, 1)
	defer close(hang)
	held := mustLock(t, c, "/locks/x", lock.WithHeartbeat(func(context.Context) error {
		asked <- struct{}{}
		<-hang
		return nil
	}))
	<-asked
	mustUnlock(t, held)
	if held.Lost() {
		t.Errorf("lost: %v", context.Cause(held.Context()))
	}
}
