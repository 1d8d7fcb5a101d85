package servertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Step is something that a Script may let happen. Server.Steps and Cluster.Steps return those of this package; a test
// may add its own, which cancel a caller's context, say.
type Step struct {
	Name string
	// Weight is how often it is drawn, in comparison with the others. 0 means 1.
	Weight int
	// At are the servers whose requests and replies are the moments at which a script with this step may act.
	At []*Server
	// Do lets it happen. It runs in the script's goroutine, while the request or reply of the moment is held.
	Do func(m *Moment)
}

// Happening is something that a script did.
type Happening struct {
	At    time.Duration // since the script began
	Step  string
	Where string
}

// String returns one line.
func (h Happening) String() string { return fmt.Sprintf("%10v  %s %s", h.At, h.Step, h.Where) }

// Run is a script that runs.
type Run struct {
	seed   uint64
	steps  []Step
	weight int
	start  time.Time
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}

	// Used by the script's goroutine alone.
	rand     *rand.Rand
	left     int   // steps still to be drawn, and 1; without an end if 0 or less
	next     *Step // nil: none
	moments  int
	patience time.Duration
	undo     []func()

	mu        sync.Mutex // guards the fields below
	countdown int        // moments until the next step; 0: none is waited for
	chosen    chan *Moment
	trace     []Happening
}

// Script lets steps happen one after the other until the test ends or Stop is called: which ones, and at which requests,
// replies and times, is drawn from seed. Several scripts may run at once. What a script did is in the log of a test
// that fails.
//
// The same seed makes the same draws. In a bubble of testing/synctest they meet the same moments, as far as the order
// does not hang on the scheduler.
func Script(t testing.TB, seed uint64, steps ...Step) *Run {
	t.Helper()
	r := newRun(seed, steps, nil)
	t.Cleanup(func() {
		r.Stop()
		if t.Failed() {
			t.Logf("servertest: %s", r)
		}
	})
	return r
}

// newRun starts a script. It does as many steps as most draws, and does not end without it.
func newRun(seed uint64, steps []Step, most func(*rand.Rand) int) *Run {
	r := &Run{seed: seed, steps: steps, start: time.Now(), rand: rand.New(rand.NewPCG(seed, 0)), done: make(chan struct{}), chosen: make(chan *Moment, 1)}
	if most != nil {
		r.left = 1 + most(r.rand)
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	for _, s := range steps {
		r.weight += max(s.Weight, 1)
	}
	for _, s := range r.servers() {
		s.wire.attend(r)
	}
	r.plan()
	r.arm()
	go r.loop()
	return r
}

func (r *Run) servers() []*Server {
	var all []*Server
	for _, s := range r.steps {
		for _, srv := range s.At {
			if !slices.Contains(all, srv) {
				all = append(all, srv)
			}
		}
	}
	return all
}

// Stop ends the script, lets it open again what it has shut, and waits for that. It may be called more than once.
func (r *Run) Stop() {
	r.cancel()
	<-r.done
}

// Injected returns how many steps the script has done or begun.
func (r *Run) Injected() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.trace)
}

// Trace returns what the script has done so far.
func (r *Run) Trace() []Happening {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.trace)
}

// String returns the seed and the trace.
func (r *Run) String() string {
	var b strings.Builder
	trace := r.Trace()
	fmt.Fprintf(&b, "the script of seed %d did %d steps", r.seed, len(trace))
	for _, h := range trace {
		fmt.Fprintf(&b, "\n%v", h)
	}
	return b.String()
}

// A step waits for so many moments or so long, whatever comes first.
const (
	momentsMax = 16
	waitLeast  = time.Millisecond
	waitMost   = time.Second
)

// plan draws the next step, how many moments it lets pass, and how long it waits for them. At least one step is drawn
// before the script runs, and each of the others before the request that the one before it holds goes on: so nothing
// passes that the script does not count.
func (r *Run) plan() {
	if r.left--; r.left == 0 || r.weight == 0 {
		r.next = nil
		return
	}
	n := r.rand.IntN(r.weight)
	for i := range r.steps {
		r.next = &r.steps[i]
		if n -= max(r.next.Weight, 1); n < 0 {
			break
		}
	}
	r.patience = between(r.rand, waitLeast, waitMost)
	r.moments = 1 + r.rand.IntN(momentsMax)
}

// arm makes moments count.
func (r *Run) arm() {
	if r.next != nil {
		r.mu.Lock()
		r.countdown = r.moments
		r.mu.Unlock()
	}
}

func (r *Run) loop() {
	defer close(r.done)
	defer r.tidy()
	for r.next != nil {
		m := r.await()
		if m == nil {
			return
		}
		r.do(m)
	}
	<-r.ctx.Done()
}

func (r *Run) tidy() {
	for _, s := range r.servers() {
		s.wire.leave(r)
	}
	r.disarm()
	for _, f := range r.undo {
		f()
	}
}

// await waits for the moment of the next step, and returns nil if the script is stopped first.
func (r *Run) await() *Moment {
	t := time.NewTimer(r.patience)
	defer t.Stop()
	select {
	case m := <-r.chosen:
		return m
	case <-r.ctx.Done():
		return nil
	case <-t.C:
	}
	if m := r.disarm(); m != nil {
		return m // both at once
	}
	m := &Moment{done: make(chan struct{})}
	if all := r.servers(); len(all) > 0 {
		m.Server = all[r.rand.IntN(len(all))]
	}
	return m
}

// disarm makes no further moment count, and returns the one that was chosen already. If the script is over, that goes on.
func (r *Run) disarm() (m *Moment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.countdown = 0
	select {
	case m = <-r.chosen:
		if r.ctx.Err() != nil {
			m.Resume()
		}
	default:
	}
	return m
}

// offer is called by a server at each of its moments. The one that is returned waits for the script.
func (r *Run) offer(m Moment) *Moment {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.countdown == 0 {
		return nil
	}
	if r.countdown--; r.countdown > 0 {
		return nil
	}
	m.done = make(chan struct{})
	r.chosen <- &m // has room: there is one countdown at a time
	return &m
}

func (r *Run) do(m *Moment) {
	s := r.next
	r.plan()
	defer m.Resume()
	defer r.arm()
	m.run, m.Rand = r, r.rand
	r.mu.Lock()
	r.trace = append(r.trace, Happening{time.Since(r.start), s.Name, m.String()})
	r.mu.Unlock()
	s.Do(m)
}
