package lock_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/recipes/fence"
	"github.com/docent-io/docent/server/servertest"
)

// quick makes sessions short, for tests that wait for their end.
func quick(c *client.Config) { c.SessionTimeout = time.Second }

func TestMutex_L2_TokensGrow(t *testing.T) {
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	first := mustLock(t, a, "/locks/x")
	srv.Expire(a)
	mustEnd(t, first.Context(), client.ErrSessionExpired)
	second := mustLock(t, b, "/locks/x")
	if got, above := second.Token(), first.Token(); got <= above {
		t.Errorf("token of the second holder = %d, want more than %d", got, above)
	}
	if !first.Lost() || first.Valid() {
		t.Errorf("lost %v, valid %v", first.Lost(), first.Valid())
	}
	mustUnlock(t, first) // there is nothing to do, and the second one's is left alone
	if !second.Valid() {
		t.Error("second holder lost it")
	}
	mustUnlock(t, second)
}

// CURATOR-604, -644, -653: after a new session, the node of the old one is nobody's; the same client queues again.
func TestMutex_L5_NewSessionIsANewContender_CURATOR604(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	first := mustLock(t, c, "/locks/x")
	srv.Expire(c)
	mustEnd(t, first.Context(), client.ErrSessionExpired)
	second := mustLock(t, c, "/locks/x")
	if second.Session().ID() == first.Session().ID() || second.Token() <= first.Token() {
		t.Errorf("second hold is the first one")
	}
	if first.Context().Err() == nil {
		t.Error("the first hold came back")
	}
	mustUnlock(t, second)
}

// Etcd #19597: a waiter whose session has died learns of it at once, not when its turn comes.
func TestMutex_WaiterLearnsOfExpiry_Etcd19597(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	held := mustLock(t, a, "/locks/x")
	done := lockLater(t, within(t, soon), b, "/locks/x", 1)
	srv.Expire(b)
	if o := mustGet(t, done); o.held != nil || !errors.Is(o.err, client.ErrSessionExpired) {
		t.Errorf("Lock = %v, %v", o.held, o.err)
	}
	waitForChildren(t, a, "/locks/x", 1)
	mustUnlock(t, held)
}

// Kazoo #412, #482: a waiter of a client that is closed returns.
func TestMutex_WaiterLearnsOfClose_Kazoo412(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	held := mustLock(t, a, "/locks/x")
	done := lockLater(t, within(t, soon), b, "/locks/x", 1)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if o := mustGet(t, done); !errors.Is(o.err, client.ErrClosed) {
		t.Errorf("Lock = %v, %v", o.held, o.err)
	}
	if _, err := lock.New(b, "/locks/x").Lock(within(t, soon)); !errors.Is(err, client.ErrClosed) {
		t.Errorf("Lock of a closed client = %v", err)
	}
	waitForChildren(t, a, "/locks/x", 1)
	mustUnlock(t, held)
}

// CURATOR-264, samuel #229: the create was carried out and its reply lost; there must be one node, not two.
func TestMutex_LostCreateReply_CURATOR264(t *testing.T) {
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	mustUnlock(t, mustLock(t, a, "/locks/x"))
	for i := range 5 {
		srv.Inject(servertest.DropReply("create2", 1))
		held := mustLock(t, a, "/locks/x")
		waitForChildren(t, b, "/locks/x", 1)
		if !held.Valid() {
			t.Errorf("round %d: not valid", i)
		}
		mustUnlock(t, held)
		waitForChildren(t, b, "/locks/x", 0)
	}
}

// A reply lost at any other step delays, and does no more. CURATOR-678: a release whose reply was lost is repeated, and
// later locks of the same process are not hurt.
func TestMutex_LostReplies_CURATOR678(t *testing.T) {
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	for _, op := range []string{"getData", "getChildren2", "create2", "delete"} {
		for n := range 2 {
			srv.Inject(servertest.DropReply(op, n+1))
			held := mustLock(t, a, "/locks/x")
			done := lockLater(t, within(t, soon), b, "/locks/x", 1)
			if err := held.Unlock(within(t, soon)); err != nil && !errors.Is(err, lock.ErrReleasePending) {
				t.Errorf("%s: Unlock = %v", op, err)
			}
			o := mustGet(t, done)
			if o.err != nil {
				t.Fatalf("%s: %v", op, o.err)
			}
			if err := o.held.Unlock(within(t, soon)); err != nil && !errors.Is(err, lock.ErrReleasePending) {
				t.Errorf("%s: Unlock = %v", op, err)
			}
			waitForChildren(t, a, "/locks/x", 0)
		}
	}
}

// Kazoo PR #170 and R2.0.2: a short loss of the connection, with a restart of the server, ends neither hold nor wait.
func TestMutex_SurvivesARestart(t *testing.T) {
	srv := servertest.New(t, servertest.OnDisk())
	a, b := srv.Dial(t), srv.Dial(t)
	held := mustLock(t, a, "/locks/x")
	done := lockLater(t, within(t, soon), b, "/locks/x", 1)
	srv.Kill()
	srv.Restart()
	mustUnlock(t, held)
	if held.Lost() {
		t.Errorf("lost: %v", context.Cause(held.Context()))
	}
	o := mustGet(t, done)
	if o.err != nil {
		t.Fatal(o.err)
	}
	mustUnlock(t, o.held)
}

func TestMutex_LoseOnSuspend_CURATOR460(t *testing.T) {
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	strict := mustLock(t, a, "/locks/x", lock.LoseOnSuspend())
	lax := mustLock(t, a, "/locks/y")
	srv.Cut()
	mustEnd(t, strict.Context(), client.ErrSuspended)
	mustUnlock(t, mustLock(t, b, "/locks/x")) // the lost node is deleted, although its session lives
	if lax.Context().Err() != nil {
		t.Errorf("lost with the connection: %v", context.Cause(lax.Context()))
	}
	mustUnlock(t, lax)
	mustUnlock(t, strict)
}

// CURATOR-460 and vespa-engine/vespa PR #3340: a holder that hears nothing ends before the servers let in another, and
// what was lost is not found again when the session turns out alive.
func TestMutex_L1_EndsAtTheDeadline(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t, quick)
	held := mustLock(t, c, "/locks/x")
	timeout := held.Session().Timeout()
	srv.Freeze()
	began := time.Now()
	mustEnd(t, held.Context(), client.ErrSessionDeadline)
	if took := time.Since(began); took > timeout {
		t.Errorf("ended %v after the silence began, the session's timeout is %v", took, timeout)
	}
	if !held.Lost() || held.Valid() {
		t.Errorf("lost %v, valid %v", held.Lost(), held.Valid())
	}
	srv.Thaw()
	again := mustLock(t, c, "/locks/x") // the lost one's node does not stand in its way for ever
	if held.Context().Err() == nil {
		t.Error("a lost hold came back")
	}
	mustUnlock(t, again)
}

// CURATOR-45, -62, -79, -205, -462, vitess #15756, zk-ruby #49, kazoo #288, #732: whoever gives up, at whatever moment,
// leaves nothing behind.
func TestMutex_L3_CancelledAnywhereLeavesNothing(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	mustUnlock(t, mustLock(t, a, "/locks/x"))
	for round := range 60 {
		busy := round%2 == 0
		var held *lock.Held
		if busy {
			held = mustLock(t, a, "/locks/x")
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.Int64N(int64(2*time.Millisecond))))
		got, err := lock.New(b, "/locks/x").Lock(ctx)
		cancel()
		switch {
		case (got == nil) == (err == nil):
			t.Fatalf("Lock = %v, %v", got, err)
		case got != nil && busy:
			t.Fatal("two holders")
		case got != nil:
			mustUnlock(t, got)
		case !errors.Is(err, context.DeadlineExceeded):
			t.Errorf("Lock = %v", err)
		}
		if busy {
			mustUnlock(t, held)
		}
	}
	waitForChildren(t, a, "/locks/x", 0)
	testkit.Eventually(t, "no watch is left", func() bool {
		return a.Stats().WatchesOpen == 0 && b.Stats().WatchesOpen == 0 && b.Stats().PendingDeletes == 0
	})
}

// The same, with each reply in turn held back until the context is over.
func TestMutex_L3_CancelledBeforeEachReply(t *testing.T) {
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	held := mustLock(t, a, "/locks/x")
	for _, op := range []string{"create2", "getData", "getChildren2", "delete"} {
		for n := 1; n <= 2; n++ {
			undo := srv.Inject(servertest.DelayReply(op, n, 30*time.Millisecond))
			ctx, cancel := context.WithTimeout(context.Background(), 15*time.Millisecond)
			if got, err := lock.New(b, "/locks/x").Lock(ctx); got != nil || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: Lock = %v, %v", op, got, err)
			}
			cancel()
			undo()
			waitForChildren(t, a, "/locks/x", 1)
		}
	}
	mustUnlock(t, held)
}

// Somebody deletes the node of one who waits (CURATOR-211): it must not read as "nobody ahead".
func TestMutex_WaiterWhoseNodeIsDeleted_CURATOR211(t *testing.T) {
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	held := mustLock(t, a, "/locks/x")
	done := lockLater(t, within(t, soon), b, "/locks/x", 1)
	q, err := lock.New(a, "/locks/x").Inspect(within(t, soon))
	if err != nil || len(q.Waiting) != 1 {
		t.Fatalf("Inspect = %+v, %v", q, err)
	}
	if err := a.Delete(within(t, soon), q.Waiting[0].Path, -1); err != nil {
		t.Fatal(err)
	}
	if o := mustGet(t, done); o.held != nil || !errors.Is(o.err, lock.ErrLockLost) {
		t.Errorf("Lock = %v, %v", o.held, o.err)
	}
	mustUnlock(t, held)
}

// contend lets n clients enter under one lock, impatiently, while faults happen, and until each has entered once more
// when that is over.
func contend(t *testing.T, srv *servertest.Server, n int, faults []func(), inside func(context.Context, *lock.Held) error) {
	t.Helper()
	ctx := within(t, time.Minute)
	calm := make(chan struct{})
	var entered atomic.Int64
	enter := func(m *lock.Mutex) (bool, error) {
		try, cancel := context.WithTimeout(ctx, time.Duration(1+rand.Int64N(40))*time.Millisecond)
		defer cancel()
		held, err := m.Lock(try)
		if err != nil {
			return false, ctx.Err()
		}
		ok := inside(ctx, held) == nil
		if err := held.Unlock(ctx); err != nil && !errors.Is(err, lock.ErrReleasePending) {
			return ok, err
		}
		return ok, nil
	}
	var wg sync.WaitGroup
	for i := range n {
		m := lock.New(srv.Dial(t), "/locks/x")
		wg.Go(func() {
			for last := false; ; {
				ok, err := enter(m)
				if err != nil {
					t.Errorf("contender %d: %v", i, err)
					return
				}
				if ok {
					entered.Add(1)
				}
				if ok && last {
					return
				}
				select {
				case <-calm:
					last = true
				default:
				}
			}
		})
	}
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	for range 60 {
		<-tick.C
		faults[rand.IntN(len(faults))]()
	}
	close(calm)
	wg.Wait()
	t.Logf("entered %d times", entered.Load())
	waitForChildren(t, srv.Dial(t), "/locks/x", 0)
}

// lose returns a fault that loses the reply to the next request of a kind, if there is one before the next such fault.
func lose(srv *servertest.Server, op string) func() {
	undo := func() {}
	return func() {
		undo()
		undo = srv.Inject(servertest.DropReply(op, 1))
	}
}

// Many contend while connections break, replies are lost and callers give up: nobody is inside with another.
func TestMutex_L1_ContentionUnderFaults(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	var inside atomic.Int64
	nothing := func() {}
	faults := []func(){srv.Cut, lose(srv, "create2"), lose(srv, "delete"), lose(srv, "getChildren2"), lose(srv, "getData"), nothing, nothing}
	contend(t, srv, 6, faults, func(_ context.Context, held *lock.Held) error {
		if inside.Add(1) != 1 {
			t.Error("two inside")
		}
		defer inside.Add(-1)
		return context.Cause(held.Context())
	})
}

// The same while sessions are ended by force, so that a holder learns of it later than the servers let in the next one:
// then the store tells them apart, and whom it refuses has lost and soon knows it.
func TestMutex_L2_ContentionUnderExpiry(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	guard := fence.Memory()
	victims := make(chan *client.Client, 100)
	expire := func() {
		select {
		case c := <-victims:
			srv.Expire(c)
		default:
		}
	}
	faults := []func(){expire, expire, lose(srv, "create2"), lose(srv, "delete")}
	contend(t, srv, 6, faults, func(ctx context.Context, held *lock.Held) error {
		select {
		case victims <- held.Session().Client():
		default:
		}
		err := guard.Admit(ctx, "x", held.Token())
		if err != nil {
			<-held.Context().Done()
			if !held.Lost() {
				t.Errorf("refused although it holds: %v", err)
			}
		}
		return err
	})
}

// The lock goes on while the leader of an ensemble of three is killed.
func TestMutex_LeaderKilled(t *testing.T) {
	cl := servertest.NewCluster(t, 3)
	a, b := cl.Dial(t), cl.Dial(t)
	held := mustLock(t, a, "/locks/x")
	done := lockLater(t, within(t, time.Minute), b, "/locks/x", 1)
	cl.KillLeader()
	if err := held.Unlock(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	o := <-done
	if o.err != nil {
		t.Fatal(o.err)
	}
	if o.held.Token() <= held.Token() {
		t.Errorf("token %d after %d", o.held.Token(), held.Token())
	}
	if err := o.held.Unlock(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
}

// The create and the list are one flight, and a lock that is held for a moment only costs nothing but that and the delete.
// One that is held for longer has a watch on its node.
func TestMutex_L4_UncontendedIsOneRoundTrip(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t, func(c *client.Config) { c.SessionTimeout = time.Minute })
	mustUnlock(t, mustLock(t, c, "/locks/x"))
	before := srv.Count()
	held := mustLock(t, c, "/locks/x")
	if got := srv.Count(); got.Total()-before.Total() != 2 {
		t.Errorf("Lock took %d requests, want 2: %v", got.Total()-before.Total(), got.Requests)
	}
	testkit.Eventually(t, "a watch on the lock's node", func() bool { return c.Stats().WatchesOpen == 1 })
	mustUnlock(t, held)
}

// A release wakes one of many waiters, which looks once; no waiter watches the directory.
func TestMutex_L4_ReleaseWakesOne(t *testing.T) {
	srv := servertest.New(t)
	long := func(c *client.Config) { c.SessionTimeout = time.Minute }
	first := srv.Dial(t, long)
	held := mustLock(t, first, "/locks/x")
	testkit.Eventually(t, "the holder watches its node", func() bool { return first.Stats().WatchesOpen == 1 })
	const waiters = 20
	var waiting []<-chan outcome
	for range waiters {
		done := make(chan outcome, 1)
		c := srv.Dial(t, long)
		go func() {
			h, err := lock.New(c, "/locks/x").Lock(within(t, soon))
			done <- outcome{h, err}
		}()
		waiting = append(waiting, done)
		testkit.Eventually(t, "the waiter watches the one ahead and itself", func() bool { return c.Stats().WatchesOpen == 2 })
	}
	for _, done := range waiting {
		before := srv.Count()
		mustUnlock(t, held)
		o := mustGet(t, done)
		if o.err != nil {
			t.Fatal(o.err)
		}
		held = o.held
		after := srv.Count()
		if got := after.Total() - before.Total(); got < 1 || got > 2 {
			t.Errorf("a hand-over took %d requests, want 1 or 2: a delete, and a list unless one alone was ahead from the beginning", got)
		}
		if got := after.Events - before.Events; got != 2 {
			t.Errorf("a hand-over took %d events, want 2: the waiter's, and the leaver's own node", got)
		}
	}
	mustUnlock(t, held)
}
