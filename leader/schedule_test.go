package leader_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/leader"
	"github.com/docent-io/docent/recipes/fence"
	"github.com/docent-io/docent/server/servertest"
)

// Random schedules: a few candidates campaign and lead while servertest lets faults happen at random requests and
// replies, on virtual time. See docs/locks-soak.md for how many have run.

const (
	candidates = 3
	terms      = 4 // that each is to lead, before it leaves
	store      = "store"
)

// election is one schedule.
type election struct {
	t      *testing.T
	s      *servertest.Schedule
	roster testkit.Roster[int]
	busy   testkit.Spans  // somebody leads or campaigns
	guard  *testkit.Store // nil: leaders heed their contexts
	cables [candidates]testkit.Cable

	mu    sync.Mutex // guards stops
	stops map[int]context.CancelFunc
}

// hold lets the candidates campaign, and tells whether the schedule counts.
func (e *election) hold() bool {
	observer := e.s.Dial(e.t)
	var all []*candidate
	for i := range candidates {
		plug := func(c *client.Config) { c.DialContext = e.cables[i].Dialer(c.DialContext) }
		all = append(all, &candidate{election: e, id: i, c: e.s.Dial(e.t, plug), r: rand.New(rand.NewPCG(e.s.Seed, uint64(2+i)))})
	}
	began, run := time.Now(), e.s.Begin(e.steps()...)
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(c.takePart)
	}
	wg.Wait()
	run.Stop()
	e.checkVacant(observer)
	fault := slices.ContainsFunc(run.Trace(), func(h servertest.Happening) bool {
		return h.Step != stopRun && e.busy.Contain(began.Add(h.At))
	})
	return fault && e.roster.Total() >= 2
}

// stopRun is the step that ends the context of a Run.
const stopRun = "stop a candidate"

// steps are faults of the candidates' own, besides those of the servers.
func (e *election) steps() []servertest.Step {
	return []servertest.Step{
		{Name: stopRun, Weight: 3, Do: func(m *servertest.Moment) {
			e.mu.Lock()
			stop := e.stops[m.Rand.IntN(candidates)]
			e.mu.Unlock()
			if stop != nil {
				stop()
			}
		}},
		{Name: "silence a client", Weight: 6, Do: func(m *servertest.Moment) {
			cable := &e.cables[m.Rand.IntN(candidates)]
			cable.Unplug()
			defer cable.Plug()
			m.Wait(m.Between(20*time.Millisecond, 5*time.Second))
		}},
	}
}

// unforced are the servers' faults but for the end of a session that has not been silent.
func unforced(s *servertest.Schedule) []servertest.Step {
	return slices.DeleteFunc(faults(s), func(s servertest.Step) bool { return s.Name == expire })
}

// forced are the servers' faults, a quarter of which end a session that has not been silent.
func forced(s *servertest.Schedule) []servertest.Step {
	steps := faults(s)
	for i := range steps {
		if steps[i].Name == expire {
			steps[i].Weight = 10 / len(s.Servers)
		}
	}
	return steps
}

const expire = "expire"

func faults(s *servertest.Schedule) []servertest.Step {
	if len(s.Servers) == 1 {
		return s.Servers[0].Steps()
	}
	return s.Cluster.Steps()
}

// checkVacant sees to it that the observer hears of the end (etcd #18163), and that nobody is left in line.
func (e *election) checkVacant(c *client.Client) {
	for info, err := range leader.Observe(e.s.Context(), c, "/elect/x") {
		if err != nil {
			e.t.Errorf("Observe: %v", err)
			return
		}
		if info.Vacant {
			break
		}
	}
	all, err := leader.Candidates(e.s.Context(), c, "/elect/x")
	if err != nil || len(all) > 0 {
		e.t.Errorf("candidates in the end: %+v, %v", all, err)
	}
}

// candidate is one of those who campaign, with a client of its own.
type candidate struct {
	*election
	id    int
	c     *client.Client
	r     *rand.Rand
	terms int
}

var errDone = errors.New("done with it")

func (c *candidate) takePart() {
	for c.terms < terms && c.s.Context().Err() == nil {
		if err := c.run(); err != nil {
			c.t.Errorf("candidate %d: %v", c.id, err)
			return
		}
		c.pause(200*time.Millisecond, c.s.Context())
	}
}

// run runs until it has led, or is told to stop.
func (c *candidate) run() error {
	defer c.busy.Begin()()
	ctx, cancel := context.WithCancel(c.s.Context())
	defer cancel()
	c.mu.Lock()
	c.stops[c.id] = cancel
	c.mu.Unlock()
	var wrong error
	began := c.guard.Now()
	err := leader.Run(ctx, c.c, "/elect/x", func(ctx context.Context, term *leader.Term) error {
		c.terms++
		t := testkit.Turn{Began: began, Granted: c.guard.Now()}
		wrong = errors.Join(wrong, c.lead(ctx, term, t))
		began = c.guard.Now() // if it is to campaign again
		return []error{nil, leader.ErrRetry, errDone}[c.r.IntN(3)]
	})
	if cause := c.s.Context().Err(); cause != nil {
		wrong = errors.Join(wrong, context.Cause(c.s.Context()))
	}
	if wrong != nil {
		return errors.Join(wrong, err)
	}
	if err == nil || errors.Is(err, errDone) || ctx.Err() != nil || errors.Is(err, client.ErrDeletePending) {
		return nil
	}
	return fmt.Errorf("Run: %w", err)
}

// lead tells that it leads, by the context of the term: that of Run ends sooner if Run is told to stop, but as long as
// this function has not returned nobody else is to lead.
func (c *candidate) lead(ctx context.Context, term *leader.Term, t testkit.Turn) error {
	together := c.roster.Enter(term.Context(), c.id)
	if c.guard == nil {
		if len(together) > 1 {
			return fmt.Errorf("%v lead together", together)
		}
		c.pause(4*time.Second, ctx)
		c.pause(200*time.Millisecond, term.Context()) // to tidy up
		return nil
	}
	for range 2 { // the second time after a pause in which it looked at nothing
		refused, err := c.guard.Write([]string{store}, term.Token(), t)
		if err != nil {
			return err
		}
		if refused {
			return c.mustEnd(term)
		}
		c.oversleep()
	}
	return nil
}

// mustEnd waits until a leader whom the store has refused knows why.
func (c *candidate) mustEnd(term *leader.Term) error {
	select {
	case <-term.Context().Done():
		return nil
	case <-c.s.Context().Done():
		return errors.New("the store refuses a leader whose term goes on")
	}
}

// oversleep waits for longer than a session may last, often enough.
func (c *candidate) oversleep() {
	c.pause(4*time.Second, c.s.Context())
	c.pause(4*time.Second, c.s.Context())
}

// pause waits for a while, short ones being as likely as long ones, or until ctx ends.
func (c *candidate) pause(most time.Duration, ctx context.Context) {
	t := time.NewTimer(min(time.Millisecond<<c.r.IntN(13), most))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// E1, E3, E4, E6: as long as no session is ended by force, one leads at most; who stops leaves no candidate behind.
func TestSchedules_E1_NeverTwo(t *testing.T) {
	elections(t, servertest.Plan{Schedules: testkit.Count(t, 60)}, false)
}

// The same with ensembles of three, whose servers and leaders are killed, cut off and left behind.
func TestSchedules_E1_NeverTwoOnThree(t *testing.T) {
	elections(t, servertest.Plan{Schedules: testkit.Count(t, 60)/10 + 1, Servers: 3}, false)
}

// E2: with sessions that end too early, as if the clocks of servers ran ahead, and with leaders that look at no context,
// as if they had been paused, a store refuses whoever comes after one that was let in later.
func TestSchedules_E2_FenceRefusesTheLate(t *testing.T) {
	elections(t, servertest.Plan{Schedules: testkit.Count(t, 60)}, true)
}

func elections(t *testing.T, p servertest.Plan, late bool) {
	var refused atomic.Int64
	p.Steps = unforced
	if late {
		p.Steps = forced
	}
	servertest.Schedules(t, p, func(t *testing.T, s *servertest.Schedule) bool {
		e := &election{t: t, s: s, stops: make(map[int]context.CancelFunc)}
		if late {
			guard := fence.Memory()
			e.guard = testkit.NewStore(func(path string, token uint64) error { return guard.Admit(s.Context(), path, token) })
			defer func() { refused.Add(int64(e.guard.Refused())) }()
		}
		return e.hold()
	})
	if late {
		t.Logf("%d writes refused", refused.Load())
	}
}
