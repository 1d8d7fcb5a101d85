package lock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/interop/peers"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/server/servertest"
)

func mustAcquire(t testing.TB, s *lock.Semaphore, weight int) *lock.Permit {
	t.Helper()
	p, err := s.Acquire(within(t, soon), weight)
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	return p
}

// permit is what an Acquire on another goroutine came to.
type permit struct {
	p   *lock.Permit
	err error
}

// acquireLater acquires on a goroutine of its own, and returns when n stand in the queue.
func acquireLater(t testing.TB, ctx context.Context, c *client.Client, s *lock.Semaphore, path string, weight, n int) <-chan permit {
	t.Helper()
	done := make(chan permit, 1)
	go func() {
		p, err := s.Acquire(ctx, weight)
		done <- permit{p, err}
	}()
	waitForChildren(t, c, path+"/locks", n)
	return done
}

func mustGrant(t testing.TB, done <-chan permit) *lock.Permit {
	t.Helper()
	select {
	case g := <-done:
		if g.err != nil {
			t.Fatal(g.err)
		}
		return g.p
	case <-time.After(soon):
		t.Fatal("Acquire does not return")
		return nil
	}
}

func mustWait(t testing.TB, done <-chan permit) {
	t.Helper()
	select {
	case g := <-done:
		t.Fatalf("served already: %v, %v", g.p, g.err)
	default:
	}
}

func TestSemaphore_L7_PermitsAndSlots(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c := srv.Dial(t, func(c *client.Config) { c.Identity = "me" })
	s := lock.NewSemaphore(c, "/seats", 3, lock.Note("why"))
	a, b := mustAcquire(t, s, 1), mustAcquire(t, s, 2)
	if a.Slot() != 0 || !slices.Equal(b.Slots(), []int{1, 2}) || b.Token() <= a.Token() || !b.Valid() {
		t.Errorf("slots %v and %v, tokens %d and %d", a.Slots(), b.Slots(), a.Token(), b.Token())
	}
	if _, err := s.TryAcquire(within(t, soon), 1); !errors.Is(err, lock.ErrLocked) {
		t.Errorf("TryAcquire of a full semaphore = %v", err)
	}
	done := acquireLater(t, within(t, soon), c, s, "/seats", 1, 1)
	q, err := s.Inspect(within(t, soon))
	if err != nil || len(q.Holders) != 2 || len(q.Waiting) != 1 || !slices.Equal(q.Holders[1].Slots, []int{1, 2}) || q.Holders[0].ID != "me" || q.Holders[0].Note != "why" {
		t.Errorf("Inspect = %+v, %v", q, err)
	}
	mustUnlock(t, a.Held)
	next := mustGrant(t, done)
	if next.Slot() != 0 {
		t.Errorf("slot %d, want that which was left", next.Slot())
	}
	if err := s.Break(within(t, soon), b.Token()); err != nil {
		t.Fatal(err)
	}
	mustEnd(t, b.Context(), lock.ErrLockLost)
	last := mustAcquire(t, s, 1)
	if last.Slot() != 1 {
		t.Errorf("slot %d, want 1", last.Slot())
	}
	mustUnlock(t, next.Held)
	mustUnlock(t, last.Held)
	waitForChildren(t, c, "/seats/leases", 0)
	waitForChildren(t, c, "/seats/locks", 0)
}

// Curator takes the permits of acquire(2) one by one: with two in all, two callers hold one each, for ever.
func TestSemaphore_AllOrNothingAndInOrder(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	s := lock.NewSemaphore(c, "/seats", 2)
	first := mustAcquire(t, s, 1)
	big := acquireLater(t, within(t, soon), c, s, "/seats", 2, 1)
	small := acquireLater(t, within(t, soon), c, s, "/seats", 1, 2) // there would be room, but it came later
	mustWait(t, big)
	mustWait(t, small)
	mustUnlock(t, first.Held)
	both := mustGrant(t, big)
	mustWait(t, small)
	mustUnlock(t, both.Held)
	mustUnlock(t, mustGrant(t, small).Held)
}

// CURATOR-75: a waiter hears of a new number of permits.
func TestSemaphore_Resize_CURATOR75(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	s, other := lock.NewSemaphore(c, "/seats", 1), lock.NewSemaphore(c, "/seats", 1)
	first := mustAcquire(t, s, 1)
	done := acquireLater(t, within(t, soon), c, other, "/seats", 1, 1)
	if err := s.Resize(within(t, soon), 2); err != nil {
		t.Fatal(err)
	}
	second := mustGrant(t, done)
	if _, err := other.Acquire(within(t, soon), 1); !errors.Is(err, lock.ErrPermits) {
		t.Errorf("Acquire with another number of permits = %v", err)
	}
	if _, err := s.Acquire(within(t, soon), 3); !errors.Is(err, lock.ErrPermits) {
		t.Errorf("Acquire of more than there are = %v", err)
	}
	whatever := lock.NewSemaphore(c, "/seats", 0)
	done = acquireLater(t, within(t, soon), c, whatever, "/seats", 2, 1)
	if err := s.Resize(within(t, soon), 1); err != nil { // the queue must not stand still for ever
		t.Fatal(err)
	}
	if g := <-done; !errors.Is(g.err, lock.ErrPermits) {
		t.Errorf("Acquire of what became too much = %v, %v", g.p, g.err)
	}
	if !first.Valid() || !second.Valid() {
		t.Error("shrinking took permits away")
	}
	mustUnlock(t, first.Held)
	if _, err := whatever.TryAcquire(within(t, soon), 1); !errors.Is(err, lock.ErrLocked) {
		t.Errorf("TryAcquire = %v: shrinking must keep new ones out", err)
	}
	mustUnlock(t, second.Held)
	mustUnlock(t, mustAcquire(t, whatever, 1).Held)
}

func TestSemaphore_WrongArguments(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	ctx := within(t, soon)
	if _, err := lock.NewSemaphore(c, "/none", 0).Acquire(ctx, 1); !errors.Is(err, client.ErrNoNode) {
		t.Errorf("Acquire of a semaphore that nobody has made = %v", err)
	}
	for _, err := range []error{
		func() error { _, err := lock.NewSemaphore(c, "/s", 2).Acquire(ctx, 0); return err }(),
		func() error { _, err := lock.NewSemaphore(c, "/s", -1).Acquire(ctx, 1); return err }(),
		lock.NewSemaphore(c, "/s", 2).Resize(ctx, 0),
	} {
		if !errors.Is(err, lock.ErrPermits) {
			t.Errorf("error = %v, want ErrPermits", err)
		}
	}
	held := mustLock(t, c, "/locks/x")
	if _, err := lock.NewSemaphore(c, "/locks/x", 1).Acquire(ctx, 1); !errors.Is(err, lock.ErrWrongKind) {
		t.Errorf("Acquire at a mutex = %v", err)
	}
	mustUnlock(t, held)
	mustUnlock(t, mustAcquire(t, lock.NewSemaphore(c, "/seats", 1), 1).Held)
	if _, err := lock.New(c, "/seats").Lock(ctx); !errors.Is(err, lock.ErrWrongKind) {
		t.Errorf("Mutex.Lock at a semaphore = %v", err)
	}
}

// Curator's InterProcessSemaphoreV2 makes the directory without a number; its leases count.
func TestSemaphore_CuratorCameFirst(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	ctx := within(t, soon)
	for _, dir := range []string{"/seats", "/seats/locks", "/seats/leases"} {
		if _, err := c.Create(ctx, dir, nil, client.Container()); err != nil {
			t.Fatal(err)
		}
	}
	theirs, err := c.Create(ctx, "/seats/leases/_c_0e59a6ce-5c54-4d05-8e4d-2b9a55cf3b6f-lease-", []byte("10.0.0.1"), client.Ephemeral(), client.Sequential())
	if err != nil {
		t.Fatal(err)
	}
	s := lock.NewSemaphore(c, "/seats", 1)
	if _, err := s.TryAcquire(ctx, 1); !errors.Is(err, lock.ErrLocked) {
		t.Errorf("TryAcquire beside Curator's lease = %v, want ErrLocked", err)
	}
	if err := c.Delete(ctx, theirs.Path, -1); err != nil {
		t.Fatal(err)
	}
	mustUnlock(t, mustAcquire(t, s, 1).Held)
	if _, err := lock.NewSemaphore(c, "/seats", 2).TryAcquire(ctx, 1); !errors.Is(err, lock.ErrPermits) {
		t.Errorf("TryAcquire with another number = %v, want ErrPermits", err)
	}
}

// CURATOR-335, -315, -462: whatever reply is lost, there is one lease or none.
func TestSemaphore_LostReplies_CURATOR335(t *testing.T) {
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	s := lock.NewSemaphore(c, "/seats", 2)
	for _, op := range []string{"multi", "create2", "getData", "getChildren2", "delete", "exists"} {
		for n := range 2 {
			undo := srv.Inject(servertest.DropReply(op, n+1))
			p := mustAcquire(t, s, 2)
			waitForChildren(t, other, "/seats/leases", 1)
			waitForChildren(t, other, "/seats/locks", 0)
			if err := p.Unlock(within(t, soon)); err != nil && !errors.Is(err, lock.ErrReleasePending) {
				t.Errorf("%s: Unlock = %v", op, err)
			}
			undo()
			waitForChildren(t, other, "/seats/leases", 0)
		}
	}
}

// CURATOR-595: the permits of a session that has ended are free for others.
func TestSemaphore_Expiry_CURATOR595(t *testing.T) {
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	held := mustAcquire(t, lock.NewSemaphore(a, "/seats", 1), 1)
	done := acquireLater(t, within(t, soon), b, lock.NewSemaphore(b, "/seats", 1), "/seats", 1, 1)
	srv.Expire(a)
	next := mustGrant(t, done)
	mustEnd(t, held.Context(), client.ErrSessionExpired)
	if next.Token() <= held.Token() {
		t.Errorf("token %d after %d", next.Token(), held.Token())
	}
	mustUnlock(t, next.Held)
}

// CURATOR-208, kazoo #82: giving up at any moment leaves no lease and no place in the queue.
func TestSemaphore_CancelledAnywhereLeavesNothing(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	sa, sb := lock.NewSemaphore(a, "/seats", 2), lock.NewSemaphore(b, "/seats", 2)
	mustUnlock(t, mustAcquire(t, sa, 1).Held)
	for round := range 60 {
		held := mustAcquire(t, sa, 1+round%2)
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.Int64N(int64(3*time.Millisecond))))
		p, err := sb.Acquire(ctx, 1)
		cancel()
		switch {
		case (p == nil) == (err == nil):
			t.Fatalf("Acquire = %v, %v", p, err)
		case p != nil:
			mustUnlock(t, p.Held)
		case !errors.Is(err, context.DeadlineExceeded):
			t.Errorf("Acquire = %v", err)
		}
		mustUnlock(t, held.Held)
	}
	waitForChildren(t, a, "/seats/locks", 0)
	waitForChildren(t, a, "/seats/leases", 0)
	testkit.Eventually(t, "no watch is left", func() bool { return a.Stats().WatchesOpen == 0 && b.Stats().WatchesOpen == 0 })
}

// Of many who wait, one watches the leases; a release wakes it, and the next in the queue when it has been served.
func TestSemaphore_ReleaseWakesOne(t *testing.T) {
	srv := servertest.New(t)
	long := func(c *client.Config) { c.SessionTimeout = time.Minute }
	c := srv.Dial(t, long)
	held := []*lock.Permit{mustAcquire(t, lock.NewSemaphore(c, "/seats", 2), 1), mustAcquire(t, lock.NewSemaphore(c, "/seats", 2), 1)}
	var waiting []<-chan permit
	for i := range 10 {
		w := srv.Dial(t, long)
		waiting = append(waiting, acquireLater(t, within(t, soon), w, lock.NewSemaphore(w, "/seats", 2), "/seats", 1, i+1))
		want := 2 // itself and the one ahead
		if i == 0 {
			want = 3 // itself, the number and the leases
		}
		testkit.Eventually(t, "it sleeps", func() bool { return w.Stats().WatchesOpen == want })
	}
	before := srv.Count()
	for _, done := range waiting {
		mustUnlock(t, held[0].Held)
		held = append(held[1:], mustGrant(t, done))
	}
	testkit.Eventually(t, "everybody has heard", func() bool { return c.Stats().WatchesOpen <= 2 })
	after := srv.Count()
	// The leaver's own lease and the head's watch on the directory; the head's own place, the next one's watch on it.
	// The new head may hear of the lease that made it so.
	if got := after.Events - before.Events; got > 5*len(waiting) {
		t.Errorf("%d hand-overs took %d events: from %v to %v", len(waiting), got, before, after)
	}
	for _, p := range held {
		mustUnlock(t, p.Held)
	}
}

// Many want different numbers of permits while connections break and replies are lost: never are there more out than
// there are, and no slot is given twice.
func TestSemaphore_L7_ContentionUnderFaults(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	const permits = 4
	ctx := within(t, time.Minute)
	var mu sync.Mutex
	taken := make(map[int]bool)
	var wg sync.WaitGroup
	for range 6 {
		s := lock.NewSemaphore(srv.Dial(t), "/seats", permits)
		wg.Go(func() {
			for round := 0; round < 10; {
				try, cancel := context.WithTimeout(ctx, time.Duration(5+rand.Int64N(200))*time.Millisecond)
				p, err := s.Acquire(try, 1+rand.IntN(permits))
				cancel()
				if ctx.Err() != nil {
					t.Errorf("round %d: %v", round, err)
					return
				}
				if err != nil {
					continue
				}
				round++
				mu.Lock()
				for _, slot := range p.Slots() {
					if taken[slot] || slot >= permits {
						t.Errorf("slot %d is taken, or there is no such", slot)
					}
					taken[slot] = true
				}
				mu.Unlock()
				mu.Lock()
				for _, slot := range p.Slots() {
					taken[slot] = false
				}
				mu.Unlock()
				if err := p.Unlock(ctx); err != nil && !errors.Is(err, lock.ErrReleasePending) {
					t.Errorf("Unlock: %v", err)
				}
			}
		})
	}
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	faults := []func(){srv.Cut, lose(srv, "multi"), lose(srv, "create2"), lose(srv, "delete"), lose(srv, "getData")}
	for range 40 {
		<-tick.C
		faults[rand.IntN(len(faults))]()
	}
	wg.Wait()
	waitForChildren(t, srv.Dial(t), "/seats/leases", 0)
	waitForChildren(t, srv.Dial(t), "/seats/locks", 0)
}

func TestSemaphore_OnApacheZooKeeper(t *testing.T) {
	addr := peers.Zookeeper(t)
	a, b := dialAt(t, addr), dialAt(t, addr)
	sa, sb := lock.NewSemaphore(a, "/seats", 2), lock.NewSemaphore(b, "/seats", 2)
	first := mustAcquire(t, sa, 2)
	done := acquireLater(t, within(t, soon), b, sb, "/seats", 1, 1)
	mustUnlock(t, first.Held)
	second := mustGrant(t, done)
	if second.Token() <= first.Token() || second.Slot() != 0 {
		t.Errorf("token %d after %d, slot %d", second.Token(), first.Token(), second.Slot())
	}
	mustUnlock(t, second.Held)
}

func ExampleSemaphore() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial()
	ctx := context.Background()

	licences := lock.NewSemaphore(c, "/licences/matlab", 2)
	for range 3 {
		seat, err := licences.TryAcquire(ctx, 1)
		if err != nil {
			fmt.Println("all seats are taken:", errors.Is(err, lock.ErrLocked))
			return
		}
		defer seat.Close()
		fmt.Println("seat", seat.Slot())
	}
	// Output:
	// seat 0
	// seat 1
	// all seats are taken: true
}
