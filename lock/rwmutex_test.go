package lock_test

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
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/server/servertest"
)

func mustRLock(t testing.TB, c *client.Client, path string) *lock.RWHeld {
	t.Helper()
	held, err := lock.NewRW(c, path).RLock(within(t, soon))
	if err != nil {
		t.Fatalf("RLock: %v", err)
	}
	return held
}

func mustWLock(t testing.TB, c *client.Client, path string) *lock.RWHeld {
	t.Helper()
	held, err := lock.NewRW(c, path).Lock(within(t, soon))
	if err != nil {
		t.Fatalf("Lock: %v", err)
	}
	return held
}

// rwLater locks on a goroutine of its own, and returns when its node stands in line behind n others.
func rwLater(t testing.TB, c *client.Client, path string, read bool, n int) <-chan outcome {
	t.Helper()
	done := make(chan outcome, 1)
	ctx := within(t, soon)
	go func() {
		lockIt := lock.NewRW(c, path).Lock
		if read {
			lockIt = lock.NewRW(c, path).RLock
		}
		held, err := lockIt(ctx)
		if err != nil {
			done <- outcome{nil, err}
			return
		}
		done <- outcome{held.Held, nil}
	}()
	waitForChildren(t, c, path, n+1)
	return done
}

func mustNotYet(t testing.TB, done <-chan outcome, who string) {
	t.Helper()
	select {
	case o := <-done:
		t.Fatalf("%s is in already: %v, %v", who, o.held, o.err)
	default:
	}
}

func TestRWMutex_L6_ReadersShareAndWritersDoNot(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c := srv.Dial(t)
	r1, r2 := mustRLock(t, c, "/rw/x"), mustRLock(t, c, "/rw/x")
	w := rwLater(t, c, "/rw/x", false, 2)
	r3 := rwLater(t, c, "/rw/x", true, 3) // behind the writer: it does not overtake, so the writer does not starve
	q, err := lock.NewRW(c, "/rw/x").Inspect(within(t, soon))
	if err != nil || len(q.Holders) != 2 || len(q.Waiting) != 2 || !q.Holders[1].Shared || q.Waiting[0].Shared {
		t.Errorf("Inspect = %+v, %v", q, err)
	}
	if _, err := lock.NewRW(c, "/rw/x").TryRLock(within(t, soon)); !errors.Is(err, lock.ErrLocked) {
		t.Errorf("TryRLock behind a writer = %v", err)
	}
	mustNotYet(t, w, "writer")
	mustUnlock(t, r1.Held)
	mustNotYet(t, w, "writer")
	mustUnlock(t, r2.Held)
	writer := mustGet(t, w)
	if writer.err != nil {
		t.Fatal(writer.err)
	}
	mustNotYet(t, r3, "reader")
	mustUnlock(t, writer.held)
	mustUnlock(t, mustGet(t, r3).held)
}

// Kazoo #649: a reader waits for writers ahead of it, and not for those behind.
func TestRWMutex_ReaderDoesNotWaitForThoseBehind_Kazoo649(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	w1 := mustWLock(t, c, "/rw/x")
	r := rwLater(t, c, "/rw/x", true, 1)
	w2 := rwLater(t, c, "/rw/x", false, 2)
	mustUnlock(t, w1.Held)
	reader := mustGet(t, r)
	if reader.err != nil {
		t.Fatal(reader.err)
	}
	mustNotYet(t, w2, "second writer")
	mustUnlock(t, reader.held)
	mustUnlock(t, mustGet(t, w2).held)
}

// CURATOR-276, -621: after a downgrade waiting readers come in and waiting writers do not, whenever they queued.
func TestRWMutex_L6_Downgrade_CURATOR276(t *testing.T) {
	testkit.CheckLeaks(t)
	for _, fault := range []string{"", "multi", "getData", "exists"} {
		t.Run("lost "+fault, func(t *testing.T) {
			srv := servertest.New(t)
			c := srv.Dial(t)
			held := mustWLock(t, c, "/rw/x")
			r := rwLater(t, c, "/rw/x", true, 1)
			w := rwLater(t, c, "/rw/x", false, 2)
			if fault != "" {
				srv.Inject(servertest.DropReply(fault, 1))
			}
			read, err := held.Downgrade(within(t, soon))
			if err != nil {
				t.Fatal(err)
			}
			mustEnd(t, held.Context(), lock.ErrReleased)
			if read.Token() != held.Token() || !read.Valid() {
				t.Errorf("token %d after %d, valid %v", read.Token(), held.Token(), read.Valid())
			}
			reader := mustGet(t, r)
			if reader.err != nil || reader.held.Token() <= read.Token() {
				t.Fatalf("reader: %v", reader.err)
			}
			mustUnlock(t, held.Held) // the write lock is gone already
			mustNotYet(t, w, "writer")
			if again, err := read.Downgrade(within(t, soon)); err != nil || again != read {
				t.Errorf("Downgrade of a read lock = %v, %v", again, err)
			}
			mustUnlock(t, reader.held)
			mustNotYet(t, w, "writer")
			mustUnlock(t, read.Held)
			writer := mustGet(t, w)
			if writer.err != nil || writer.held.Token() <= held.Token() {
				t.Fatalf("writer: %v", writer.err)
			}
			mustUnlock(t, writer.held)
			waitForChildren(t, c, "/rw/x", 0)
		})
	}
}

func TestRWMutex_DowngradeThatFailsHoldsNothing(t *testing.T) {
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	held := mustWLock(t, c, "/rw/x")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if read, err := held.Downgrade(ctx); read != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("Downgrade = %v, %v", read, err)
	}
	waitForChildren(t, other, "/rw/x", 0)

	held = mustWLock(t, c, "/rw/x")
	srv.Expire(c)
	if read, err := held.Downgrade(within(t, soon)); read != nil || !errors.Is(err, client.ErrSessionExpired) {
		t.Errorf("Downgrade = %v, %v", read, err)
	}
}

// Who has lost the lock is told so, and why: not of a node that is missing.
func TestRWMutex_DowngradeOfALostLock(t *testing.T) {
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	held, err := lock.NewRW(c, "/rw/x", lock.LoseOnSuspend()).Lock(within(t, soon))
	if err != nil {
		t.Fatal(err)
	}
	srv.Cut()
	mustEnd(t, held.Context(), client.ErrSuspended)
	waitForChildren(t, other, "/rw/x", 0)
	if read, err := held.Downgrade(within(t, soon)); read != nil || !errors.Is(err, client.ErrSuspended) {
		t.Errorf("Downgrade of a lock lost by suspension = %v, %v", read, err)
	}

	held = mustWLock(t, c, "/rw/x")
	names, _, err := other.Children(within(t, soon), "/rw/x")
	if err != nil || len(names) != 1 {
		t.Fatalf("%v, %v", names, err)
	}
	if err := other.Delete(within(t, soon), "/rw/x/"+names[0], -1); err != nil {
		t.Fatal(err)
	}
	if read, err := held.Downgrade(within(t, soon)); read != nil || !errors.Is(err, lock.ErrLockLost) {
		t.Errorf("Downgrade of a lock whose node was deleted = %v, %v", read, err)
	}
}

func TestRWMutex_UpgradeIsRefused(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	m := lock.NewRW(c, "/rw/x")
	read := mustRLock(t, c, "/rw/x")
	if _, err := m.Lock(read.Context()); !errors.Is(err, lock.ErrUpgrade) {
		t.Errorf("Lock under a read lock = %v", err)
	}
	if _, err := m.RLock(read.Context()); !errors.Is(err, lock.ErrSelfDeadlock) {
		t.Errorf("RLock under a read lock = %v", err)
	}
	mustUnlock(t, read.Held)
	write := mustWLock(t, c, "/rw/x")
	if _, err := m.RLock(write.Context()); !errors.Is(err, lock.ErrSelfDeadlock) {
		t.Errorf("RLock under a write lock = %v", err)
	}
	mustUnlock(t, write.Held)
}

// A mutex and a read/write lock on one path would not see each other (consul's lock and semaphore collide that way).
func TestRWMutex_WrongKind(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	read := mustRLock(t, c, "/locks/x")
	if _, err := lock.New(c, "/locks/x").Lock(within(t, soon)); !errors.Is(err, lock.ErrWrongKind) {
		t.Errorf("Mutex.Lock = %v", err)
	}
	mustUnlock(t, read.Held)
	held := mustLock(t, c, "/locks/x")
	if _, err := lock.NewRW(c, "/locks/x").TryLock(within(t, soon)); !errors.Is(err, lock.ErrWrongKind) {
		t.Errorf("RWMutex.Lock = %v", err)
	}
	waitForChildren(t, c, "/locks/x", 1)
	mustUnlock(t, held)
}

// Curator's readers watch the first writer and wake for each; ours wake once, for the one next ahead.
func TestRWMutex_ReadersWakeOnce(t *testing.T) {
	srv := servertest.New(t)
	long := func(c *client.Config) { c.SessionTimeout = time.Minute }
	first := srv.Dial(t, long)
	writer := mustWLock(t, first, "/rw/x").Held
	testkit.Eventually(t, "the writer watches its node", func() bool { return first.Stats().WatchesOpen == 1 })
	var writers []<-chan outcome
	const n = 5
	join := func(read bool, n int) <-chan outcome {
		c := srv.Dial(t, long)
		done := rwLater(t, c, "/rw/x", read, n)
		testkit.Eventually(t, "it watches one ahead and itself", func() bool { return c.Stats().WatchesOpen == 2 })
		if err := c.Sync(within(t, soon), "/"); err != nil { // the events of rwLater's own watch are behind us
			t.Fatal(err)
		}
		return done
	}
	for i := range n {
		writers = append(writers, join(false, i+1))
	}
	r := join(true, n+1)
	for i, done := range writers {
		before := srv.Count()
		mustUnlock(t, writer)
		o := mustGet(t, done)
		if o.err != nil {
			t.Fatal(o.err)
		}
		writer = o.held
		if got := srv.Count().Events - before.Events; got != 2 {
			t.Errorf("hand-over %d took %d events, want 2: the next writer's, and the leaver's own node", i, got)
		}
	}
	mustUnlock(t, writer)
	mustUnlock(t, mustGet(t, r).held)
}

// Readers and writers at random, with connections cut and replies lost: a writer is alone.
func TestRWMutex_L6_ContentionUnderFaults(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	ctx := within(t, time.Minute)
	var readers, writers, reads atomic.Int64
	check := func(write bool) error {
		r, w := readers.Load(), writers.Load()
		if w > 1 || w == 1 && r > 0 {
			return fmt.Errorf("%d readers and %d writers inside", r, w)
		}
		if !write && r > 1 {
			reads.Add(1)
		}
		return nil
	}
	var wg sync.WaitGroup
	for range 6 {
		m := lock.NewRW(srv.Dial(t), "/rw/x")
		wg.Go(func() {
			for range 12 {
				write := rand.IntN(3) == 0
				lockIt, inside := m.RLock, &readers
				if write {
					lockIt, inside = m.Lock, &writers
				}
				held, err := lockIt(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				inside.Add(1)
				if err := check(write); err != nil {
					t.Error(err)
				}
				if write && rand.IntN(2) == 0 {
					readers.Add(1)
					inside.Add(-1)
					inside = &readers
					if held, err = held.Downgrade(ctx); err != nil {
						t.Error(err)
						return
					}
				}
				inside.Add(-1)
				if err := held.Unlock(ctx); err != nil && !errors.Is(err, lock.ErrReleasePending) {
					t.Errorf("Unlock: %v", err)
				}
			}
		})
	}
	stop := make(chan struct{})
	var faults sync.WaitGroup
	faults.Go(func() {
		all := []func(){srv.Cut, lose(srv, "create2"), lose(srv, "delete"), lose(srv, "multi"), lose(srv, "getData")}
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for range 20 {
			select {
			case <-stop:
				return
			case <-tick.C:
				all[rand.IntN(len(all))]()
			}
		}
	})
	wg.Wait()
	close(stop)
	faults.Wait()
	t.Logf("%d readers met another", reads.Load())
	waitForChildren(t, srv.Dial(t), "/rw/x", 0)
}

func ExampleRWMutex() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial()
	ctx := context.Background()

	index := lock.NewRW(c, "/locks/index")
	write, err := index.Lock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("rebuilding")
	read, err := write.Downgrade(ctx) // nobody writes in between
	if err != nil {
		fmt.Println(err)
		return
	}
	defer read.Close()
	other, err := index.RLock(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer other.Close()
	fmt.Println("both read what was rebuilt")
	// Output:
	// rebuilding
	// both read what was rebuilt
}
