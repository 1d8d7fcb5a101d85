package lock_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

// brief is how long is waited for what a naive way never does. Docent's does it in a few milliseconds, but may take its
// time on a machine that has other work.
const brief = 500 * time.Millisecond

// bugs are what others have shipped. Each trial says what is wrong with a way of locking: nothing with docent's, and
// something with the naive one that has the bug, or the trial would prove nothing.
var bugs = []struct {
	name  string
	trial func(*testing.T, *servertest.Server, way) error
	bug   naive
}{
	// CURATOR-211, -307, ZOOKEEPER-3162; go-zookeeper's lock.go.
	{"a missing node is not the first", trialMissing, naive{missingIsFirst: true}},
	// CURATOR-264, samuel #229, #237: the search for the node of a lost reply reads behind a sync.
	{"lost reply of a late create", trialLateCreate, naive{unsynced: true}},
	// CURATOR-604, -498, -644, -645, -653: the node of another session is not ours, whatever its name.
	{"node of an old session", trialOldSession, naive{ownName: "of-the-process"}},
	// Etcd #19597, #16221, #11456, kazoo #412, #482, #83: who waits hears of the end of the session.
	{"session ends while waiting", trialExpiryWhileWaiting, naive{deaf: true, missingIsFirst: true}},
	// The herd of ZooKeeper's first recipes.
	{"a release wakes one", trialHerd, naive{herd: true}},
	// Curator TN9, and kazoo's fix of 2017: exists leaves a watch where there is no node.
	{"no watch is left on who is gone", trialStrayWatch, naive{stray: true}},
	// CURATOR-43, Netflix #281; go-zookeeper fails at any child that it cannot parse.
	{"a stranger in the directory", trialStranger, naive{strictNames: true}},
	// Vitess #15756, CURATOR-45, -62, -79, -205, -462, zk-ruby #49, #51, aiozk PR #34, kazoo #288, #732, #760.
	{"cleanup with a context that is over", trialCancelled, naive{callersContext: true}},
	// CURATOR-3, -18, -171, -202, Netflix #274, #257, #265: given up while the create was on its way.
	{"cancelled during the create", trialCancelledCreate, naive{callersContext: true}},
	// CURATOR-678: a release that fails once is no release.
	{"delete that does not arrive", trialLostDelete, naive{oneDelete: true}},
	// Etcd #22082, CURATOR-337: unlocking twice must not hit the next lock of the same session.
	{"second unlock", trialSecondUnlock, naive{sessionName: true}},
	// Etcd PR #11364, CURATOR-376: two on one session are two.
	{"two on one session", trialOneSession, naive{sessionName: true}},
	// Zk-ruby #34, CURATOR-537, -607, -662: numbers and paths begin again with the directory.
	{"token after a new directory", trialToken, naive{seqToken: true}},
	// CURATOR-206, -465, docker/libkv PR #156, twitter commons #5, kazoo #2, vespa #3340: the holder is told.
	{"holder is told of the loss", trialTold, naive{mute: true}},
	// CURATOR-460, ZOOKEEPER-4508: in time, too.
	{"holder stops before the session can expire", trialDeadline, naive{lateDeadline: true}},
	// Vitess PR #11794.
	{"context of Lock ends", trialAcquireContext, naive{boundToAcquire: true}},
	// Vitess PR #8310: consul returned neither a lock nor an error, and so everybody held it.
	{"a lock or an error", trialOneOfBoth, naive{nothing: true}},
}

func TestMutex_BugsOfOthers(t *testing.T) {
	for _, b := range bugs {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			if err := b.trial(t, servertest.New(t), way{docent, soon}); err != nil {
				t.Errorf("docent: %v", err)
			}
			if err := b.trial(t, servertest.New(t), way{naive{}.lock, soon}); err != nil {
				t.Errorf("naive, without the bug: %v", err)
			}
			err := b.trial(t, servertest.New(t), way{b.bug.lock, brief})
			if err == nil {
				t.Errorf("the naive way passes: the trial proves nothing")
			}
			t.Logf("naive: %v", err)
		})
	}
}

// got is what a way came to, on another goroutine.
type got struct {
	*grip
	err error
}

func (w way) later(ctx context.Context, c *client.Client) <-chan got {
	done := make(chan got, 1)
	go func() {
		g, err := w.lock(ctx, c, "/locks/x")
		done <- got{g, err}
	}()
	return done
}

func (w way) must(t *testing.T, c *client.Client) *grip {
	t.Helper()
	g, err := w.lock(within(t, soon), c, "/locks/x")
	if err != nil || g == nil {
		t.Fatalf("lock: %v, %v", g, err)
	}
	return g
}

// behind begins to wait behind n others.
func (w way) behind(t *testing.T, ctx context.Context, c *client.Client, n int) <-chan got {
	t.Helper()
	done := w.later(ctx, c)
	waitForChildren(t, c, "/locks/x", n+1)
	return done
}

// outcomeOf waits for what comes, or says that nothing does.
func (w way) outcome(done <-chan got, what string) (got, error) {
	select {
	case g := <-done:
		return g, nil
	case <-time.After(w.patience):
		return got{}, errors.New("never came: " + what)
	}
}

// leaves checks that n nodes are in line, or will be when what c has to delete is deleted.
func leaves(t *testing.T, c, other *client.Client, n int) error {
	t.Helper()
	for {
		pending := c.Stats().PendingDeletes // before the list: what was pending may be gone in it
		names, _, err := other.Children(within(t, soon), "/locks/x")
		if err != nil {
			t.Fatal(err)
		}
		if len(names) == n {
			return nil
		}
		if pending == 0 {
			return fmt.Errorf("%d nodes are left and nobody deletes them, want %d", len(names), n)
		}
	}
}

// queues waits until the second one stands in line, or says that it did not.
func queues(t *testing.T, c *client.Client, done <-chan got) (err error) {
	t.Helper()
	testkit.Eventually(t, "two in line", func() bool {
		select {
		case g := <-done:
			err = fmt.Errorf("both hold (%v)", g.err)
			return true
		default:
		}
		names, _, err := c.Children(within(t, soon), "/locks/x")
		return err == nil && len(names) == 2
	})
	return err
}

func trialMissing(t *testing.T, srv *servertest.Server, w way) error {
	a, b := srv.Dial(t), srv.Dial(t)
	held := w.must(t, a)
	done := w.behind(t, within(t, soon), b, 1)
	names, _, err := a.Children(within(t, soon), "/locks/x")
	if err != nil || len(names) != 2 {
		t.Fatalf("%q, %v", names, err)
	}
	if err := a.Delete(within(t, soon), "/locks/x/"+last(names), -1); err != nil {
		t.Fatal(err)
	}
	if err := held.unlock(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	g, err := w.outcome(done, "an answer to who has lost its place")
	if err == nil && g.err == nil {
		err = errors.New("it holds without a node")
	}
	return err
}

func last(names []string) (last string) {
	for _, name := range names {
		if last == "" || number(name) > number(last) {
			last = name
		}
	}
	return last
}

func trialLateCreate(t *testing.T, srv *servertest.Server, w way) error {
	a, b := srv.Dial(t), srv.Dial(t)
	if err := w.must(t, a).unlock(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	waitForChildren(t, b, "/locks/x", 0)
	srv.Inject(servertest.LateCommit("create2", 1))
	g, err := w.outcome(w.later(within(t, soon), a), "the lock that nobody holds")
	if err != nil || g.err != nil {
		return errors.Join(err, g.err)
	}
	return leaves(t, a, b, 1)
}

// A process has two sessions: the old one, whose node is still there, and the next.
func trialOldSession(t *testing.T, srv *servertest.Server, w way) error {
	old, next := srv.Dial(t), srv.Dial(t)
	w.must(t, old)
	done := w.later(within(t, soon), next)
	if err := queues(t, srv.Dial(t), done); err != nil {
		return err
	}
	srv.Expire(old)
	g, err := w.outcome(done, "the lock of the session that ended")
	return errors.Join(err, g.err)
}

func trialExpiryWhileWaiting(t *testing.T, srv *servertest.Server, w way) error {
	a, b := srv.Dial(t), srv.Dial(t)
	w.must(t, a)
	ctx, cancel := context.WithCancel(within(t, soon))
	defer cancel()
	done := w.behind(t, ctx, b, 1)
	srv.Expire(b)
	g, err := w.outcome(done, "the end of the wait of a session that has ended")
	if err == nil && g.err == nil {
		err = errors.New("it holds, beside the holder")
	}
	return err
}

func trialHerd(t *testing.T, srv *servertest.Server, w way) error {
	const waiters = 10
	long := func(c *client.Config) { c.SessionTimeout = time.Minute }
	a := srv.Dial(t, long)
	held := w.must(t, a)
	ctx := within(t, soon)
	var all []<-chan got
	for i := range waiters {
		c := srv.Dial(t, long)
		all = append(all, w.behind(t, ctx, c, i+1))
		testkit.Eventually(t, "it sleeps", func() bool { return c.Stats().WatchesOpen > 0 && c.Stats().InFlight == 0 })
	}
	before := srv.Count().Events
	if err := held.unlock(ctx); err != nil {
		t.Fatal(err)
	}
	first, err := w.outcome(all[0], "the turn of the first")
	if err != nil || first.err != nil {
		return errors.Join(err, first.err)
	}
	if events := srv.Count().Events - before; events > 2 { // the next one's, and perhaps the leaver's own
		return fmt.Errorf("a release woke %d", events)
	}
	next := first
	for _, done := range all[1:] {
		if err := next.unlock(ctx); err != nil {
			t.Fatal(err)
		}
		if next, err = w.outcome(done, "a turn"); err != nil {
			return err
		}
	}
	return nil
}

func trialStrayWatch(t *testing.T, srv *servertest.Server, w way) error {
	a, b := srv.Dial(t), srv.Dial(t)
	held := w.must(t, a)
	lists := srv.Count().Requests["getChildren2"]
	srv.Inject(servertest.DelayReply("getChildren2", 1, brief))
	done := w.later(within(t, soon), b)
	testkit.Eventually(t, "the waiter looks", func() bool { return srv.Count().Requests["getChildren2"] > lists })
	if err := held.unlock(within(t, soon)); err != nil { // while the answer, which shows the holder, is on its way
		t.Fatal(err)
	}
	g, err := w.outcome(done, "the lock after a look that was overtaken")
	if err != nil || g.err != nil {
		return errors.Join(err, g.err)
	}
	if err := g.unlock(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	if open := b.Stats().WatchesOpen; open > 0 {
		return fmt.Errorf("%d watches are left", open)
	}
	return nil
}

func trialStranger(t *testing.T, srv *servertest.Server, w way) error {
	c := srv.Dial(t)
	if _, err := c.Create(within(t, soon), "/locks/x/readme", nil, client.Parents()); err != nil {
		t.Fatal(err)
	}
	_, err := w.lock(within(t, soon), c, "/locks/x")
	return err
}

func trialCancelled(t *testing.T, srv *servertest.Server, w way) error {
	a, b := srv.Dial(t), srv.Dial(t)
	w.must(t, a)
	ctx, cancel := context.WithCancel(context.Background())
	done := w.behind(t, ctx, b, 1)
	testkit.Eventually(t, "it sleeps", func() bool { return b.Stats().WatchesOpen > 0 && b.Stats().InFlight == 0 })
	cancel()
	if _, err := w.outcome(done, "the end of a wait that was cancelled"); err != nil {
		return err
	}
	return leaves(t, b, a, 1)
}

func trialCancelledCreate(t *testing.T, srv *servertest.Server, w way) error {
	a, b := srv.Dial(t), srv.Dial(t)
	w.must(t, a)
	srv.Inject(servertest.DelayReply("create2", 1, brief))
	ctx, cancel := context.WithCancel(context.Background())
	done := w.later(ctx, b)
	waitForChildren(t, a, "/locks/x", 2)
	cancel()
	if _, err := w.outcome(done, "the end of a create that was cancelled"); err != nil {
		return err
	}
	return leaves(t, b, a, 1)
}

func trialLostDelete(t *testing.T, srv *servertest.Server, w way) error {
	a, b := srv.Dial(t), srv.Dial(t)
	held := w.must(t, a)
	srv.Inject(servertest.DropRequest("delete", 1))
	_ = held.unlock(within(t, soon)) // it may say that it is not confirmed
	return leaves(t, a, b, 0)
}

func trialSecondUnlock(t *testing.T, srv *servertest.Server, w way) error {
	a, b := srv.Dial(t), srv.Dial(t)
	first := w.must(t, a)
	if err := first.unlock(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	w.must(t, a)
	if err := first.unlock(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	return leaves(t, a, b, 1)
}

func trialOneSession(t *testing.T, srv *servertest.Server, w way) error {
	c := srv.Dial(t)
	held := w.must(t, c)
	done := w.later(within(t, soon), c)
	if err := queues(t, srv.Dial(t), done); err != nil {
		return err
	}
	if err := held.unlock(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	g, err := w.outcome(done, "the turn of the second")
	return errors.Join(err, g.err)
}

func trialToken(t *testing.T, srv *servertest.Server, w way) error {
	c := srv.Dial(t)
	var before uint64
	for range 3 {
		held := w.must(t, c)
		token := held.token
		if err := held.unlock(within(t, soon)); err != nil {
			t.Fatal(err)
		}
		if err := c.Delete(within(t, soon), "/locks/x", -1); err != nil {
			t.Fatal(err)
		}
		if before != 0 && token <= before || token == 0 {
			return fmt.Errorf("token %d after %d", token, before)
		}
		before = token
	}
	return nil
}

func trialTold(t *testing.T, srv *servertest.Server, w way) error {
	a := srv.Dial(t)
	held := w.must(t, a)
	srv.Expire(a)
	w.must(t, srv.Dial(t))
	select {
	case <-held.ctx.Done():
		return nil
	case <-time.After(w.patience):
		return errors.New("somebody else holds, and the first holder does not know")
	}
}

func trialDeadline(t *testing.T, srv *servertest.Server, w way) error {
	c := srv.Dial(t, quick)
	s, err := c.Session(within(t, soon))
	if err != nil {
		t.Fatal(err)
	}
	held := w.must(t, c)
	srv.Freeze()
	defer srv.Thaw()
	select {
	case <-held.ctx.Done():
		return nil
	case <-time.After(s.Timeout()):
		return errors.New("nothing was heard for a whole timeout, and it still holds")
	}
}

func trialAcquireContext(t *testing.T, srv *servertest.Server, w way) error {
	ctx, cancel := context.WithCancel(within(t, soon))
	held, err := w.lock(ctx, srv.Dial(t), "/locks/x")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	return held.ctx.Err()
}

func trialOneOfBoth(t *testing.T, srv *servertest.Server, w way) error {
	a, b := srv.Dial(t), srv.Dial(t)
	w.must(t, a)
	ctx, cancel := context.WithCancel(context.Background())
	done := w.behind(t, ctx, b, 1)
	cancel()
	g, err := w.outcome(done, "the end of a wait that was cancelled")
	if err == nil && (g.grip == nil) == (g.err == nil) {
		err = fmt.Errorf("lock = %v, %v", g.grip, g.err)
	}
	return err
}
