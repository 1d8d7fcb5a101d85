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

// relockLater relocks on a goroutine of its own, and returns when n places are taken.
func relockLater(t testing.TB, ctx context.Context, c *client.Client, held *lock.Held, n int) <-chan outcome {
	t.Helper()
	done := make(chan outcome, 1)
	go func() {
		next, err := lock.New(c, "/locks/x").Relock(ctx, held)
		done <- outcome{next, err}
	}()
	mustEnd(t, held.Context(), lock.ErrReleased)
	waitForChildren(t, c, "/locks/x", n)
	return done
}

// L2, L4: whoever relocks goes to the end of the line; tokens grow.
func TestMutex_L4_RelockLetsOthersGoFirst(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	first := mustLock(t, a, "/locks/x")
	waiter := lockLater(t, within(t, soon), b, "/locks/x", 1)
	relocked := relockLater(t, within(t, soon), a, first, 2)
	second := mustGet(t, waiter)
	if second.err != nil {
		t.Fatal(second.err)
	}
	select {
	case o := <-relocked:
		t.Fatalf("Relock = %v, %v, while another holds", o.held, o.err)
	default:
	}
	mustUnlock(t, second.held)
	third := mustGet(t, relocked)
	if third.err != nil {
		t.Fatal(third.err)
	}
	if !(first.Token() < second.held.Token() && second.held.Token() < third.held.Token()) {
		t.Errorf("tokens %d, %d, %d", first.Token(), second.held.Token(), third.held.Token())
	}
	mustUnlock(t, third.held)
}

// A turn by Relock takes two writes and the two reads of every turn; the reads and the create are not waited for apart.
func TestMutex_L4_RelockCostsOneFlight(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	held := mustLock(t, c, "/locks/x")
	before := srv.Count().Requests
	for range 10 {
		next, err := lock.New(c, "/locks/x").Relock(within(t, soon), held)
		if err != nil {
			t.Fatal(err)
		}
		held = next
	}
	after := srv.Count().Requests
	// The watch on the first one's node was not waited for, and may be set behind the first count.
	for op, most := range map[string]int{"create2": 10, "delete": 10, "getChildren2": 10, "getData": 11, "sync": 0} {
		if n := int(after[op] - before[op]); n > most {
			t.Errorf("ten turns took %d times %s", n, op)
		}
	}
	mustUnlock(t, held)
}

// L3, CURATOR-264, -678: a flight that is broken anywhere is done again, and leaves nothing behind.
func TestMutex_L3_RelockWithLostReplies(t *testing.T) {
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	for _, op := range []string{"delete", "create2", "getChildren2", "getData"} {
		held := mustLock(t, a, "/locks/x")
		srv.Inject(servertest.DropReply(op, 1))
		next, err := lock.New(a, "/locks/x").Relock(within(t, soon), held)
		if err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		waitForChildren(t, b, "/locks/x", 1)
		if !next.Valid() || held.Valid() {
			t.Errorf("%s: valid %v, and the one before %v", op, next.Valid(), held.Valid())
		}
		_ = next.Close() // if this is the reply that is lost, what is left is seen below
		waitForChildren(t, b, "/locks/x", 0)
	}
}

// L3: whoever gives up while relocking has released, and leaves nothing behind.
func TestMutex_L3_RelockCancelledAnywhere(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	for i := range 60 {
		held := mustLock(t, a, "/locks/x")
		waiter := lockLater(t, within(t, soon), b, "/locks/x", 1)
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*20*time.Microsecond)
		next, err := lock.New(a, "/locks/x").Relock(ctx, held)
		cancel()
		if err == nil {
			t.Fatalf("Relock = %v while another waits", next)
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Relock = %v", err)
		}
		second := mustGet(t, waiter)
		if second.err != nil {
			t.Fatal(second.err)
		}
		mustUnlock(t, second.held)
		waitForChildren(t, b, "/locks/x", 0)
	}
}

// L5: what was lost is not found again by Relock; it takes a place of its own, on a new session if need be.
func TestMutex_L5_RelockOfALostHold(t *testing.T) {
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	broken := mustLock(t, a, "/locks/x")
	if err := lock.New(b, "/locks/x").Break(within(t, soon), broken.Token()); err != nil {
		t.Fatal(err)
	}
	mustEnd(t, broken.Context(), lock.ErrLockLost)
	held, err := lock.New(a, "/locks/x").Relock(within(t, soon), broken)
	if err != nil {
		t.Fatal(err)
	}
	srv.Expire(a)
	mustEnd(t, held.Context(), client.ErrSessionExpired)
	again, err := lock.New(a, "/locks/x").Relock(within(t, soon), held)
	if err != nil {
		t.Fatal(err)
	}
	if !broken.Lost() || !held.Lost() || again.Token() <= held.Token() || again.Session().ID() == held.Session().ID() {
		t.Errorf("lost %v, %v; token %d after %d", broken.Lost(), held.Lost(), again.Token(), held.Token())
	}
	mustUnlock(t, again)
}

// A context of the hold itself would end with it: it is refused, and the hold released all the same.
func TestMutex_RelockInItsOwnContext(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	held := mustLock(t, c, "/locks/x")
	if _, err := lock.New(c, "/locks/x").Relock(held.Context(), held); !errors.Is(err, lock.ErrSelfDeadlock) {
		t.Errorf("Relock = %v", err)
	}
	mustEnd(t, held.Context(), lock.ErrReleased)
	waitForChildren(t, c, "/locks/x", 0)
}
