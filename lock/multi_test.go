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

func mustLockAll(t testing.TB, c *client.Client, paths ...string) *lock.MultiHeld {
	t.Helper()
	held, err := lock.LockAll(within(t, soon), c, paths)
	if err != nil {
		t.Fatal(err)
	}
	return held
}

func TestLockAll_HoldsAllAndReleasesAll(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	held := mustLockAll(t, c, "/m/a", "m/b", "/m/c")
	for _, path := range []string{"/m/a", "/m/b", "/m/c"} {
		if _, err := lock.New(other, path).TryLock(within(t, soon)); !errors.Is(err, lock.ErrLocked) {
			t.Errorf("TryLock of %s = %v", path, err)
		}
		if _, err := lock.New(c, path).Lock(held.Context()); !errors.Is(err, lock.ErrSelfDeadlock) {
			t.Errorf("Lock of %s under the same = %v", path, err)
		}
		q, err := lock.New(c, path).Inspect(within(t, soon))
		if err != nil || len(q.Holders) != 1 || q.Holders[0].Token != held.Token() {
			t.Errorf("%s: %+v, %v; the token is %d", path, q, err, held.Token())
		}
	}
	if !held.Valid() || held.Lost() {
		t.Errorf("valid %v, lost %v", held.Valid(), held.Lost())
	}
	done := lockLater(t, within(t, soon), other, "/m/b", 1)
	before := srv.Count()
	if err := held.Unlock(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	if after := srv.Count(); after.Requests["delete"] != before.Requests["delete"] {
		t.Error("the release was not one transaction")
	}
	mustEnd(t, held.Context(), lock.ErrReleased)
	next := mustGet(t, done)
	if next.err != nil || next.held.Token() <= held.Token() {
		t.Fatalf("next = %+v", next)
	}
	mustUnlock(t, next.held)
	if err := held.Close(); err != nil {
		t.Errorf("Close after Unlock = %v", err)
	}
}

func TestLockAll_Refuses(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	if _, err := lock.LockAll(within(t, soon), c, nil); err == nil {
		t.Error("nothing was locked")
	}
	if _, err := lock.LockAll(within(t, soon), c, []string{"/a", "b", "a"}); !errors.Is(err, lock.ErrRepeated) {
		t.Errorf("LockAll with a path twice = %v", err)
	}
	read := mustRLock(t, c, "/rw")
	if _, err := lock.LockAll(within(t, soon), c, []string{"/a", "/rw"}); !errors.Is(err, lock.ErrWrongKind) {
		t.Errorf("LockAll of a read/write lock = %v", err)
	}
	waitForChildren(t, c, "/a", 0)
	waitForChildren(t, c, "/rw", 1)
	mustUnlock(t, read.Held)
}

// One of the nodes is deleted by somebody: all is over, and the others are released.
func TestLockAll_LosesTogether(t *testing.T) {
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	for _, path := range []string{"/m/a", "/m/b"} {
		held := mustLockAll(t, c, "/m/a", "/m/b")
		if err := lock.New(other, path).Break(within(t, soon), held.Token()); err != nil {
			t.Fatal(err)
		}
		mustEnd(t, held.Context(), lock.ErrLockLost)
		if held.Valid() || !held.Lost() {
			t.Errorf("valid %v, lost %v", held.Valid(), held.Lost())
		}
		if _, err := held.Txn().Set("/m", nil, -1).Commit(within(t, soon)); !errors.Is(err, client.ErrNoNode) {
			t.Errorf("transaction after the loss = %v", err)
		}
		if err := held.Unlock(within(t, soon)); err != nil {
			t.Errorf("Unlock = %v", err)
		}
		waitForChildren(t, other, "/m/a", 0)
		waitForChildren(t, other, "/m/b", 0)
	}
}

func TestLockAll_LostReplies(t *testing.T) {
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	for _, op := range []string{"multi", "getData", "getChildren2", "createContainer"} {
		for n := range 2 {
			undo := srv.Inject(servertest.DropReply(op, n+1))
			held := mustLockAll(t, c, "/m/a", "/m/b")
			waitForChildren(t, other, "/m/a", 1)
			waitForChildren(t, other, "/m/b", 1)
			if err := held.Unlock(within(t, soon)); err != nil && !errors.Is(err, lock.ErrReleasePending) {
				t.Errorf("%s: Unlock = %v", op, err)
			}
			undo()
			waitForChildren(t, other, "/m/a", 0)
			waitForChildren(t, other, "/m/b", 0)
		}
	}
}

// Curator takes the locks one by one in the caller's order, so A,B and B,A deadlock. Here many take random paths in
// random order, some give up, connections break: all get through, and nobody is inside with another.
func TestLockAll_L8_NeverDeadlocks(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	paths := []string{"/m/a", "/m/b", "/m/c"}
	inside := make(map[string]*atomic.Int64)
	for _, p := range paths {
		inside[p] = new(atomic.Int64)
	}
	ctx := within(t, time.Minute)
	var wg sync.WaitGroup
	for i := range 6 {
		c := srv.Dial(t)
		wg.Go(func() {
			for round := 0; round < 12; {
				var mine []string
				for _, j := range rand.Perm(len(paths))[:1+rand.IntN(len(paths))] {
					mine = append(mine, paths[j])
				}
				try, cancel := context.WithCancel(ctx)
				if rand.IntN(4) == 0 {
					cancel()
					try, cancel = context.WithTimeout(ctx, time.Duration(rand.Int64N(int64(5*time.Millisecond))))
				}
				held, err := lock.LockAll(try, c, mine)
				cancel()
				if ctx.Err() != nil {
					t.Errorf("contender %d, round %d: %v", i, round, err)
					return
				}
				if err != nil {
					continue
				}
				round++
				for _, p := range mine {
					if inside[p].Add(1) != 1 {
						t.Errorf("two inside %s", p)
					}
				}
				for _, p := range mine {
					inside[p].Add(-1)
				}
				if err := held.Unlock(ctx); err != nil && !errors.Is(err, lock.ErrReleasePending) {
					t.Errorf("Unlock: %v", err)
				}
			}
		})
	}
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	faults := []func(){srv.Cut, lose(srv, "multi"), lose(srv, "getChildren2"), lose(srv, "delete")}
	for range 30 {
		<-tick.C
		faults[rand.IntN(len(faults))]()
	}
	wg.Wait()
	other := srv.Dial(t)
	for _, p := range paths {
		waitForChildren(t, other, p, 0)
	}
}

func ExampleLockAll() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial()

	both, err := lock.LockAll(context.Background(), c, []string{"/accounts/ann", "/accounts/bob"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer both.Close()
	fmt.Println("both accounts, one token:", both.Token() > 0)
	// Output: both accounts, one token: true
}
