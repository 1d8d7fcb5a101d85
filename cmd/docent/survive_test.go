//go:build unix

package main_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
)

// TestSurvive_KillEachServer writes through all servers of an ensemble while one after the other is killed and started
// again, and then reads everything back from each.
func TestSurvive_KillEachServer(t *testing.T) {
	rounds, want := 4, 20_000
	if testing.Short() || raceEnabled {
		rounds, want = 2, 10_000
	}
	e := startEnsemble(t)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)

	acks := newAcks()
	w := startWriters(ctx, t, e, acks, fail)
	leaders, slowest := 0, time.Duration(0)
	for round := range rounds {
		for left := slices.Clone(e); len(left) > 0; {
			// In turn a round that follows the lead around, and one that leaves it where it is as long as it can.
			leader := e.leader(t)
			i := max(0, slices.IndexFunc(left, func(m *member) bool { return (m == leader) == (round%2 == 0) }))
			m := left[i]
			left = slices.Delete(left, i, i+1)
			if m == leader {
				leaders++
			}
			acks.more(ctx, t, 200)
			m.kill()
			acks.more(ctx, t, want/(2*rounds*len(e))) // these are written without it
			began := time.Now()
			m.start()
			m.ready()
			slowest = max(slowest, time.Since(began))
		}
	}
	acks.reach(ctx, t, want)
	journals := w.stop()
	if err := context.Cause(ctx); err != nil {
		t.Fatal(err)
	}
	for _, m := range e {
		m.alive()
	}

	unknown := 0
	for _, j := range journals {
		unknown += len(j.unknown)
	}
	longest, at := acks.longestGap()
	t.Logf("%d writes acknowledged, %d of unknown outcome, %d servers killed (%d while they led); longest gap between acknowledged writes %v, %v after the start; slowest restart %v",
		acks.count(), unknown, rounds*len(e), leaders, longest.Round(time.Millisecond), at.Round(time.Millisecond), slowest.Round(time.Millisecond))
	if leaders < rounds || leaders == rounds*len(e) {
		t.Errorf("%d of %d kills hit the leader, want at least %d, and some others", leaders, rounds*len(e), rounds)
	}
	if limit := 3 * time.Second; longest > limit {
		t.Errorf("no write was acknowledged for %v, want at most %v while a majority lives", longest, limit)
	}
	for _, m := range e {
		verifyThrough(ctx, t, m, journals)
	}
	e.sameTrees(t)
}

// journal is what one writer asked for and what it was answered. It creates nodes below dir, all of different names,
// and counts up the register, node dir itself, by its version.
type journal struct {
	dir     string
	created []string        // acknowledged
	unknown map[string]bool // asked for, and not answered
	// The register's version and value by the latest acknowledged write or read, and how many writes of unknown outcome
	// there were since.
	version int32
	value   string
	open    []string
}

// writers write until they are stopped.
type writers struct {
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	all     []*journal
	clients []*client.Client
}

// startWriters writes through each server with a client of its own, which waits while that server is down, and with
// one that may go to any of them. It calls fail with what should not happen.
func startWriters(ctx context.Context, t *testing.T, e ensemble, acks *acks, fail func(error)) *writers {
	t.Helper()
	const perClient = 8
	ctx, cancel := context.WithCancel(ctx)
	w := &writers{cancel: cancel}
	setup := dial(t, 10*time.Second, e.addrs()...)
	defer setup.Close()
	if _, err := setup.Create(ctx, "/written", nil); err != nil {
		t.Fatal(err)
	}
	for i, servers := range [][]string{{e[0].addr}, {e[1].addr}, {e[2].addr}, e.addrs()} {
		c := dial(t, 10*time.Second, servers...)
		w.clients = append(w.clients, c)
		for k := range perClient {
			j := &journal{dir: fmt.Sprintf("/written/%d-%d", i, k), value: "0", unknown: make(map[string]bool)}
			if _, err := setup.Create(ctx, j.dir, []byte("0")); err != nil {
				t.Fatal(err)
			}
			w.all = append(w.all, j)
			w.wg.Go(func() {
				if err := j.write(ctx, c, acks); err != nil {
					fail(fmt.Errorf("writer of %s: %w", j.dir, err))
				}
			})
		}
	}
	return w
}

// stop ends the writers and returns what they did.
func (w *writers) stop() []*journal {
	w.cancel()
	w.wg.Wait()
	for _, c := range w.clients {
		c.Close()
	}
	return w.all
}

// write works until ctx ends.
func (j *journal) write(ctx context.Context, c *client.Client, acks *acks) error {
	for n := 1; ctx.Err() == nil; n++ {
		var err error
		if n%10 == 0 {
			err = j.set(ctx, c, acks, fmt.Sprint(n))
		} else {
			err = j.create(ctx, c, acks, fmt.Sprintf("n%06d", n))
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// create makes a node of a name never used before.
func (j *journal) create(ctx context.Context, c *client.Client, acks *acks, name string) error {
	_, err := c.Create(ctx, j.dir+"/"+name, []byte(name))
	switch {
	case err == nil:
		j.created = append(j.created, name)
		acks.one()
	case errors.Is(err, client.ErrMaybeApplied):
		j.unknown[name] = true
	default:
		return err
	}
	return nil
}

// set counts the register up. After a write of unknown outcome it tries the next at the same version: at most one of
// them can ever succeed.
func (j *journal) set(ctx context.Context, c *client.Client, acks *acks, value string) error {
	st, err := c.Set(ctx, j.dir, []byte(value), j.version)
	switch {
	case err == nil:
		if st.Version != j.version+1 {
			return fmt.Errorf("set at version %d gave version %d", j.version, st.Version)
		}
		j.version, j.value, j.open = st.Version, value, nil
		acks.one()
		return nil
	case errors.Is(err, client.ErrMaybeApplied):
		j.open = append(j.open, value)
		return nil
	case errors.Is(err, client.ErrBadVersion) && len(j.open) > 0:
		return j.resolve(ctx, c)
	}
	return err
}

// resolve is called when the version was taken by a write of unknown outcome, and learns by which.
func (j *journal) resolve(ctx context.Context, c *client.Client) error {
	node, err := c.Get(ctx, j.dir, client.Fresh())
	if err != nil {
		return err
	}
	if node.Stat.Version != j.version+1 || !slices.Contains(j.open, string(node.Data)) {
		return fmt.Errorf("register is %q at version %d: after %q at %d one of %q was expected", node.Data, node.Stat.Version, j.value, j.version, j.open)
	}
	j.version, j.value, j.open = node.Stat.Version, string(node.Data), nil
	return nil
}

// verifyThrough reads everything from one server and compares it with what the writers were told.
func verifyThrough(ctx context.Context, t *testing.T, m *member, journals []*journal) {
	t.Helper()
	c := dial(t, 10*time.Second, m.addr)
	defer c.Close()
	if err := c.Sync(ctx, "/"); err != nil {
		t.Fatalf("%s: %v", m.name, err)
	}
	s, err := c.Session(ctx)
	if err != nil {
		t.Fatalf("%s: %v", m.name, err)
	}
	dirs, _, err := s.Children(ctx, "/written")
	if err != nil || len(dirs) != len(journals) {
		t.Errorf("%s: %d directories, want %d (%v)", m.name, len(dirs), len(journals), err)
	}
	for _, j := range journals {
		names, _, err := s.Children(ctx, j.dir)
		if err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		j.verifyNames(t, m.name, names)
		j.verifyRegister(ctx, t, m.name, s)
		verifyData(ctx, t, m.name, s, j.dir, names)
	}
}

func (j *journal) verifyNames(t *testing.T, through string, names []string) {
	t.Helper()
	there := make(map[string]bool, len(names))
	for _, n := range names {
		there[n] = true
	}
	for _, n := range j.created {
		if !there[n] {
			t.Errorf("%s: %s/%s was acknowledged and is not there", through, j.dir, n)
		}
		delete(there, n)
	}
	for n := range there {
		if !j.unknown[n] {
			t.Errorf("%s: %s/%s is there and nobody asked for it", through, j.dir, n)
		}
	}
}

func (j *journal) verifyRegister(ctx context.Context, t *testing.T, through string, s *client.Session) {
	t.Helper()
	node, err := s.Get(ctx, j.dir)
	if err != nil {
		t.Fatalf("%s: %v", through, err)
	}
	acknowledged := node.Stat.Version == j.version && string(node.Data) == j.value
	resolved := node.Stat.Version == j.version+1 && slices.Contains(j.open, string(node.Data))
	if !acknowledged && !resolved {
		t.Errorf("%s: %s is %q at version %d, want %q at %d or one of %q behind it", through, j.dir, node.Data, node.Stat.Version, j.value, j.version, j.open)
	}
}

// verifyData reads the nodes, whose data are their names.
func verifyData(ctx context.Context, t *testing.T, through string, s *client.Session, dir string, names []string) {
	t.Helper()
	for part := range slices.Chunk(names, 500) {
		b := s.Batch()
		var nodes []*client.Future[client.Reading]
		for _, n := range part {
			nodes = append(nodes, b.Get(dir+"/"+n))
		}
		if err := b.Do(ctx); err != nil {
			t.Fatalf("%s: %v", through, err)
		}
		for i, n := range part {
			if r, err := nodes[i].Get(); err != nil || string(r.Node.Data) != n || r.Node.Stat.Version != 0 {
				t.Errorf("%s: %s/%s is %q at version %d (%v)", through, dir, n, r.Node.Data, r.Node.Stat.Version, err)
			}
		}
	}
}

// acks are the acknowledgements of all writers, in order.
type acks struct {
	began time.Time

	mu    sync.Mutex // guards the fields below
	times []time.Duration
	goal  int           // of whoever waits
	met   chan struct{} // closed when the goal is reached; nil while nobody waits
}

func newAcks() *acks { return &acks{began: time.Now()} }

func (a *acks) one() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.times = append(a.times, time.Since(a.began))
	if a.met != nil && len(a.times) >= a.goal {
		close(a.met)
		a.met = nil
	}
}

func (a *acks) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.times)
}

// more waits for n further writes.
func (a *acks) more(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	a.reach(ctx, t, a.count()+n)
}

// reach waits until there are n writes in all.
func (a *acks) reach(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	a.mu.Lock()
	if len(a.times) >= n {
		a.mu.Unlock()
		return
	}
	met := make(chan struct{})
	a.goal, a.met = n, met
	a.mu.Unlock()
	select {
	case <-met:
	case <-ctx.Done():
		t.Fatalf("%d writes acknowledged, waiting for %d: %v", a.count(), n, context.Cause(ctx))
	}
}

// longestGap returns the longest time between two acknowledgements, and when it began.
func (a *acks) longestGap() (longest, at time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := 1; i < len(a.times); i++ {
		if gap := a.times[i] - a.times[i-1]; gap > longest {
			longest, at = gap, a.times[i-1]
		}
	}
	return longest, at
}
