package lock_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/recipes"
	"github.com/docent-io/docent/server/servertest"
)

// release lets go of what was granted.
type release func(context.Context) error

// reading is a way of taking a read lock at /rw/x.
type reading func(ctx context.Context, c *client.Client) (release, error)

func docentRead(ctx context.Context, c *client.Client) (release, error) {
	h, err := lock.NewRW(c, "/rw/x").RLock(ctx)
	if err != nil {
		return nil, err
	}
	return h.Unlock, nil
}

// readsBy is a reader with a rule of its own.
func readsBy(rule recipes.Rule) reading {
	return func(ctx context.Context, c *client.Client) (release, error) {
		return holdIn(ctx, c, recipes.Line{Dir: "/rw/x", Kind: "__READ__", Also: []string{"__WRIT__"}, Rule: rule})
	}
}

func holdIn(ctx context.Context, c *client.Client, line recipes.Line) (release, error) {
	s, err := c.Session(ctx)
	if err != nil {
		return nil, err
	}
	ticket, err := line.Draw(ctx, s, nil)
	if err != nil {
		return nil, err
	}
	hold, err := ticket.Wait(ctx)
	if err != nil {
		return nil, err
	}
	return hold.Release, nil
}

// firstWriter is Curator's rule.
func firstWriter(line []recipes.Place, own int) int {
	for i, p := range line[:own] {
		if p.Kind == "__WRIT__" {
			return i
		}
	}
	return -1
}

// anyWriter was kazoo's rule: it looks behind, too.
func anyWriter(line []recipes.Place, own int) int {
	for i := len(line) - 1; i >= 0; i-- {
		if line[i].Kind == "__WRIT__" {
			return i
		}
	}
	return -1
}

func TestRWMutex_BugsOfOthers(t *testing.T) {
	for _, b := range []struct {
		name  string
		trial func(*testing.T, *servertest.Server, reading, time.Duration) error
		bug   reading
	}{
		{"kazoo #649, #650: only who is ahead counts", trialWriterBehind, readsBy(anyWriter)},
		{"a reader wakes once, not for every writer", trialReaderWakes, readsBy(firstWriter)},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			if err := b.trial(t, servertest.New(t), docentRead, soon); err != nil {
				t.Errorf("docent: %v", err)
			}
			if err := b.trial(t, servertest.New(t), b.bug, brief); err == nil {
				t.Error("the naive way passes: the trial proves nothing")
			}
		})
	}
}

// granting is what a way came to on another goroutine.
type granting struct {
	release release
	err     error
}

func (r reading) later(ctx context.Context, c *client.Client) <-chan granting {
	done := make(chan granting, 1)
	go func() {
		release, err := r(ctx, c)
		done <- granting{release, err}
	}()
	return done
}

func granted(done <-chan granting, what string, patience time.Duration) error {
	select {
	case g := <-done:
		return g.err
	case <-time.After(patience):
		return errors.New("never came: " + what)
	}
}

func trialWriterBehind(t *testing.T, srv *servertest.Server, w reading, patience time.Duration) error {
	c := srv.Dial(t)
	writer := mustWLock(t, c, "/rw/x")
	ctx, cancel := context.WithCancel(within(t, soon))
	defer cancel()
	reader := w.later(ctx, c)
	waitForChildren(t, c, "/rw/x", 2)
	rwLater(t, c, "/rw/x", false, 2)
	mustUnlock(t, writer.Held)
	return granted(reader, "the turn of a reader ahead of a writer", patience)
}

func trialReaderWakes(t *testing.T, srv *servertest.Server, w reading, patience time.Duration) error {
	long := func(c *client.Config) { c.SessionTimeout = time.Minute }
	writer := mustWLock(t, srv.Dial(t, long), "/rw/x").Held
	var writers []<-chan outcome
	const n = 4
	for i := range n {
		writers = append(writers, rwLater(t, srv.Dial(t, long), "/rw/x", false, i+1))
	}
	c := srv.Dial(t, long)
	reader := w.later(within(t, soon), c)
	asleep := func() bool { return c.Stats().WatchesOpen == 2 && c.Stats().InFlight == 0 }
	testkit.Eventually(t, "the reader watches one ahead and itself", asleep)
	before := srv.Count().Events
	for _, done := range writers {
		mustUnlock(t, writer)
		if writer = mustGet(t, done).held; writer == nil {
			t.Fatal("no turn")
		}
		testkit.Eventually(t, "the reader sleeps again", asleep) // who looks at every turn is woken by every turn
	}
	events := srv.Count().Events - before
	mustUnlock(t, writer)
	if err := granted(reader, "the turn of a reader", patience); err != nil {
		return err
	}
	if events > 2*n { // the next writer's, and the leaver's own node
		return fmt.Errorf("%d hand-overs woke %d", n, events)
	}
	return nil
}

// CURATOR-276, -621: a reader's node that is made anew stands behind the writers that wait, and they come in.
func TestRWMutex_BugsOfOthers_Downgrade(t *testing.T) {
	trial := func(downgrade func(context.Context, *client.Client, *lock.RWHeld) error) error {
		srv := servertest.New(t)
		c := srv.Dial(t)
		held := mustWLock(t, c, "/rw/x")
		rwLater(t, srv.Dial(t), "/rw/x", false, 1)
		if err := downgrade(within(t, soon), c, held); err != nil {
			return err
		}
		q, err := lock.NewRW(c, "/rw/x").Inspect(within(t, soon))
		if err == nil && (len(q.Holders) != 1 || !q.Holders[0].Shared) {
			err = fmt.Errorf("after the downgrade the holders are %+v", q.Holders)
		}
		return err
	}
	err := trial(func(ctx context.Context, _ *client.Client, h *lock.RWHeld) error {
		_, err := h.Downgrade(ctx)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	err = trial(func(ctx context.Context, c *client.Client, h *lock.RWHeld) error {
		s := h.Session()
		if _, err := s.Create(ctx, "/rw/x/__READ__", nil, client.Ephemeral(), client.Sequential()); err != nil {
			return err
		}
		return h.Unlock(ctx)
	})
	if err == nil {
		t.Error("the naive way passes: the trial proves nothing")
	}
}

// seating is a way of taking permits of the semaphore of two at /seats.
type seating func(ctx context.Context, c *client.Client, weight int) (release, error)

func docentSeats(ctx context.Context, c *client.Client, weight int) (release, error) {
	p, err := lock.NewSemaphore(c, "/seats", 0).Acquire(ctx, weight)
	if err != nil {
		return nil, err
	}
	return p.Unlock, nil
}

// firstTwo is the textbook's semaphore: the first two hold, and each waits for the one two ahead.
func firstTwo(ctx context.Context, c *client.Client, _ int) (release, error) {
	return holdIn(ctx, c, recipes.Line{Dir: "/seats/leases", Kind: "lease-", Rule: func(_ []recipes.Place, own int) int { return max(-1, own-2) }})
}

// oneByOne is Curator's acquire of several.
func oneByOne(ctx context.Context, c *client.Client, weight int) (release, error) {
	var all []release
	for range weight {
		one, err := docentSeats(ctx, c, 1)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return func(ctx context.Context) (err error) {
		for _, one := range all {
			err = errors.Join(err, one(ctx))
		}
		return err
	}, nil
}

// inTwoSteps makes the lease first, and leaves the queue then.
func inTwoSteps(ctx context.Context, c *client.Client, _ int) (release, error) {
	turn, err := lock.New(c, "/seats/locks").Lock(ctx)
	if err != nil {
		return nil, err
	}
	defer turn.Close()
	lease, err := turn.Session().Create(ctx, "/seats/leases/lease-", nil, client.Ephemeral(), client.Sequential(), client.Parents())
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return turn.Session().DeleteGuaranteed(ctx, lease.Path) }, nil
}

func TestSemaphore_BugsOfOthers(t *testing.T) {
	for _, b := range []struct {
		name  string
		trial func(*testing.T, *servertest.Server, seating, time.Duration) error
		bug   seating
	}{
		{"whoever leaves lets the next one in", trialAnyLeaves, firstTwo},
		{"CURATOR-75: more permits let the next one in", trialMorePermits, firstTwo},
		{"two for one who wants two, or none", trialAllOrNothing, oneByOne},
		{"CURATOR-315, -335, -462, -208, kazoo #82: no lease without a holder", trialOrphan, inTwoSteps},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			if err := b.trial(t, twoSeats(t), docentSeats, soon); err != nil {
				t.Errorf("docent: %v", err)
			}
			if err := b.trial(t, twoSeats(t), b.bug, brief); err == nil {
				t.Error("the naive way passes: the trial proves nothing")
			}
		})
	}
}

func twoSeats(t *testing.T) *servertest.Server {
	srv := servertest.New(t)
	c := srv.Dial(t)
	mustUnlock(t, mustAcquire(t, lock.NewSemaphore(c, "/seats", 2), 1).Held)
	return srv
}

func (w seating) must(t *testing.T, c *client.Client) release {
	t.Helper()
	release, err := w(within(t, soon), c, 1)
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// later asks for permits, and returns when it sleeps.
func (w seating) later(t *testing.T, c *client.Client, weight int) <-chan granting {
	t.Helper()
	ctx, cancel := context.WithCancel(within(t, soon))
	done := make(chan granting, 1)
	t.Cleanup(cancel)
	go func() {
		release, err := w(ctx, c, weight)
		done <- granting{release, err}
	}()
	testkit.Eventually(t, "it sleeps", func() bool { return c.Stats().WatchesOpen >= 2 && c.Stats().InFlight == 0 })
	return done
}

func trialAnyLeaves(t *testing.T, srv *servertest.Server, w seating, patience time.Duration) error {
	c := srv.Dial(t)
	w.must(t, c)
	second := w.must(t, c)
	third := w.later(t, srv.Dial(t), 1)
	if err := second(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	return granted(third, "the permit that was given back", patience)
}

func trialMorePermits(t *testing.T, srv *servertest.Server, w seating, patience time.Duration) error {
	c := srv.Dial(t)
	w.must(t, c)
	w.must(t, c)
	third := w.later(t, srv.Dial(t), 1)
	if err := lock.NewSemaphore(c, "/seats", 2).Resize(within(t, soon), 3); err != nil {
		t.Fatal(err)
	}
	return granted(third, "the permit that was added", patience)
}

func trialAllOrNothing(t *testing.T, srv *servertest.Server, w seating, patience time.Duration) error {
	c := srv.Dial(t)
	first := w.must(t, c)
	other := srv.Dial(t)
	both := w.later(t, other, 2)
	testkit.Eventually(t, "it waits at the head of the queue", func() bool { return other.Stats().WatchesOpen >= 3 && other.Stats().InFlight == 0 })
	leases, _, err := c.Children(within(t, soon), "/seats/leases")
	if err != nil {
		t.Fatal(err)
	}
	if len(leases) != 1 {
		return errors.New("it holds one of two that it cannot have together")
	}
	if err := first(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	return granted(both, "two permits", patience)
}

func trialOrphan(t *testing.T, srv *servertest.Server, w seating, patience time.Duration) error {
	c, other := srv.Dial(t), srv.Dial(t)
	srv.Inject(servertest.DelayReply("multi", 1, brief), servertest.DelayReply("create2", 2, brief))
	ctx, cancel := context.WithCancel(within(t, soon))
	done := make(chan granting, 1)
	go func() {
		release, err := w(ctx, c, 1)
		done <- granting{release, err}
	}()
	waitForChildren(t, other, "/seats/leases", 1)
	cancel()
	if err := granted(done, "the end of what was cancelled", patience); err == nil {
		return nil // the lease was heard of in time after all: nothing to clean up
	}
	for {
		pending := c.Stats().PendingDeletes
		leases, _, err := other.Children(within(t, soon), "/seats/leases")
		if err != nil {
			t.Fatal(err)
		}
		if len(leases) == 0 {
			return nil
		}
		if pending == 0 {
			return errors.New("a lease is left that nobody holds")
		}
	}
}
