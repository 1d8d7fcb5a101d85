package barrier_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server/servertest"
)

// schedulesEnv is how many schedules TestDouble_Schedules runs: 1,000 in CI. The first 10,000 seeds take 77 s on two cores:
// the barrier starts in every one; 3,479 members crash as they start it, 820 as the lowest, and 3,272 anywhere.
const schedulesEnv = "DOCENT_BARRIER_SCHEDULES"

// enterer is a Double, or a naive one.
type enterer interface {
	Enter(ctx context.Context) (*barrier.Member, error)
}

// party is a crowd that uses one barrier of n members, several times over, and what they were told. A name is used by
// one client, until its session is lost; who goes on then has another name, so that it is clear which life is meant.
type party struct {
	s    *servertest.Schedule
	n    int
	make func(c *client.Client) enterer
	full context.CancelFunc // ends the entering: enough generations are over

	fuse    atomic.Int32 // how the next to start the barrier crashes; 0: it does not
	crashes *crashes

	mu      sync.Mutex // guards the rest
	entered map[int][]string
	lost    map[string]bool // the session was lost while entering, so nothing was told
	crashed map[string]int  // the session was lost between entering and leaving: in which generation
	unsure  map[string]int  // the session was lost while leaving
	left    map[int][]string
	reports map[int][]barrier.Report
	wrong   []string
	now     []func() // cancel who is entering
}

func (p *party) complain(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}

func (p *party) with(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// attend lets one of the crowd use the barrier until enough generations are over.
func (p *party) attend(entering context.Context, i int, draw []uint32) {
	for life := 0; entering.Err() == nil; life++ {
		name := fmt.Sprintf("%c%d", 'a'+i, life)
		var own atomic.Pointer[client.Client]
		c, err := client.Dial(p.s.Context(), client.Config{ // servers come and go: this one waits
			Servers: p.s.Addrs(), DialContext: p.fused(&own), Identity: name, SessionTimeout: 2 * time.Second,
		})
		if err != nil {
			p.complain("%s cannot connect: %v", name, err)
			return
		}
		own.Store(c)
		for entering.Err() == nil && p.use(entering, c, draw[life%len(draw)]) {
			draw[life%len(draw)] = draw[life%len(draw)]*1664525 + 1013904223
		}
		c.Close()
	}
}

// use enters and leaves once, and tells whether the session still lives.
func (p *party) use(entering context.Context, c *client.Client, draw uint32) bool {
	who := c.Identity()
	ctx, cancel := context.WithCancel(entering)
	defer cancel()
	p.with(func() { p.now = append(p.now, cancel) })
	if draw%4 == 0 {
		defer time.AfterFunc(time.Duration(draw/4%2000)*time.Millisecond, cancel).Stop()
	}
	m, err := p.make(c).Enter(ctx)
	switch {
	case err == nil:
	case sessionEnded(err):
		p.with(func() { p.lost[who] = true })
		return false
	case ctx.Err() != nil && p.s.Context().Err() == nil:
		return true
	default:
		p.complain("%s: %v", who, err)
		return false
	}
	gen := m.Generation()
	p.with(func() { p.entered[gen] = append(p.entered[gen], who) })
	working := time.NewTimer(time.Duration(draw%5) * 300 * time.Millisecond)
	defer working.Stop()
	select {
	case <-working.C:
	case <-m.Context().Done():
	}
	if m.Context().Err() != nil {
		p.with(func() { p.crashed[who] = gen })
		return false
	}
	r, err := m.Leave(p.s.Context())
	switch {
	case err == nil:
		p.with(func() {
			p.left[gen] = append(p.left[gen], who)
			p.reports[gen] = append(p.reports[gen], r)
			if len(p.reports) >= 2 {
				p.full()
			}
		})
	case sessionEnded(err):
		p.with(func() { p.unsure[who] = gen })
		return false
	case errors.Is(err, barrier.ErrReportGone): // slow to come back, and the others were through the next one already
		p.with(func() { p.left[gen] = append(p.left[gen], who) })
	default:
		p.complain("%s leaves: %v", who, err)
		return false
	}
	return true
}

// check holds everything that was said against everything else.
func (p *party) check() {
	for gen, in := range p.entered {
		if len(in) > p.n {
			p.complain("generation %d let in %d of %d: %v", gen, len(in), p.n, in)
		}
	}
	counted := make(map[string]int) // the lost, by the generation that counted them
	for gen, reports := range p.reports {
		all := append(slices.Clone(reports[0].Left), reports[0].Crashed...)
		if slices.Sort(all); len(slices.Compact(slices.Clone(all))) != p.n {
			p.complain("generation %d: %v are not %d members", gen, reports[0], p.n)
		}
		for _, r := range reports {
			if fmt.Sprint(r) != fmt.Sprint(reports[0]) || r.Generation != gen {
				p.complain("generation %d: reports %v and %v", gen, r, reports[0])
			}
		}
		for _, who := range p.entered[gen] {
			if !slices.Contains(all, who) {
				p.complain("generation %d: %s was let in beside %v", gen, who, reports[0])
			}
		}
		for _, who := range all {
			inIt := slices.Contains(p.entered[gen], who)
			if before, twice := counted[who]; !inIt && (!p.lost[who] || twice && before != gen) {
				p.complain("generation %d: %s was counted and told that it is not in: %v", gen, who, reports[0])
			}
			if !inIt {
				counted[who] = gen
			}
			// The report names exactly the crashed.
			saysLeft, crashedIn := slices.Contains(reports[0].Left, who), p.crashed[who] == gen
			didLeave, unsure := slices.Contains(p.left[gen], who), p.unsure[who] == gen
			if inIt && !unsure && (saysLeft != didLeave || saysLeft == crashedIn) || !inIt && saysLeft {
				p.complain("generation %d: %s has left: %v, crashed: %v; report %v", gen, who, didLeave, crashedIn, reports[0])
			}
		}
	}
}

// steps are the party's own: contexts that end, and members that crash at any of their requests and replies; apart from
// these, the one that starts the barrier, and the one that leads the queue of those who leave.
func (p *party) steps(watcher *client.Client) []servertest.Step {
	return []servertest.Step{
		{Name: "give up", Weight: 4, Do: func(m *servertest.Moment) {
			p.with(func() {
				if len(p.now) > 0 {
					p.now[m.Rand.IntN(len(p.now))]()
				}
			})
		}},
		{Name: "crash", Weight: 8, Do: func(m *servertest.Moment) {
			if m.Session != 0 && m.Session != sessionID(watcher) {
				p.expire(m.Context(), m.Session)
				p.crashes.any.Add(1)
			}
		}},
		{Name: "crash the lowest", Weight: 6, Do: func(m *servertest.Moment) {
			if lowest := p.lowest(m, watcher); lowest != 0 {
				p.expire(m.Context(), lowest)
				p.crashes.lowest.Add(1)
			}
		}},
		{Name: "crash the next to start it", Weight: 8, Do: func(m *servertest.Moment) {
			p.fuse.Store(1 + m.Rand.Int32N(ways))
		}},
	}
}

// crashes counts the members that schedules have let crash.
type crashes struct {
	any    atomic.Int64 // at whatever they were doing
	lowest atomic.Int64 // as the first in line
	firing atomic.Int64 // just as they started the barrier
}

func sessionID(c *client.Client) int64 {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if s, err := c.Session(ctx); err == nil {
		return s.ID()
	}
	return 0
}

func (p *party) expire(ctx context.Context, session int64) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = p.s.Servers[0].Server().ExpireSession(ctx, session) // an error says that it is not done yet
}

// lowest finds the session of the member that came first.
func (p *party) lowest(m *servertest.Moment, c *client.Client) int64 {
	ctx, cancel := context.WithTimeout(m.Context(), time.Second)
	defer cancel()
	for gen := 3; gen > 0; gen-- {
		dir := fmt.Sprintf("%s/g%d/m", step, gen)
		names, _, err := c.Children(ctx, dir)
		if err != nil || len(names) == 0 {
			continue
		}
		first := slices.MinFunc(names, func(a, b string) int {
			return strings.Compare(a[strings.LastIndexByte(a, '-'):], b[strings.LastIndexByte(b, '-'):])
		})
		if st, there, err := c.Exists(ctx, dir+"/"+first); err == nil && there {
			return st.EphemeralOwner
		}
	}
	return 0
}

// hold lets a crowd loose on a barrier and returns what was wrong, and how many generations began.
func hold(t *testing.T, s *servertest.Schedule, sum *crashes, build func(c *client.Client, n int) enterer) (wrong []string, generations int) {
	p := &party{
		s: s, crashes: sum, n: 2 + s.Rand.IntN(3),
		entered: make(map[int][]string), lost: make(map[string]bool), crashed: make(map[string]int),
		unsure: make(map[string]int), left: make(map[int][]string), reports: make(map[int][]barrier.Report),
	}
	p.make = func(c *client.Client) enterer { return build(c, p.n) }
	entering, full := context.WithCancel(s.Context())
	defer full()
	p.full = full
	watcher := s.Dial(t)
	s.Begin(p.steps(watcher)...)
	crowd := p.n + s.Rand.IntN(3)
	var all sync.WaitGroup
	for i := range crowd {
		draw := []uint32{s.Rand.Uint32(), s.Rand.Uint32(), s.Rand.Uint32()}
		all.Go(func() { p.attend(entering, i, draw) })
	}
	all.Wait()
	p.check()
	return p.wrong, len(p.entered)
}

// B1 to B4 under scripts of faults: nobody is told otherwise than the others, nobody hangs, and the reports name exactly
// those who crashed.
func TestDouble_Schedules(t *testing.T) {
	plan := servertest.Plan{Schedules: 150}
	if n, err := strconv.Atoi(os.Getenv(schedulesEnv)); err == nil {
		plan.Schedules = n
	}
	var running atomic.Int64
	var sum crashes
	servertest.Schedules(t, plan, func(t *testing.T, s *servertest.Schedule) bool {
		wrong, generations := hold(t, s, &sum, func(c *client.Client, n int) enterer {
			return barrier.New(c, step, n, barrier.Next())
		})
		for _, w := range wrong {
			t.Error(w)
		}
		if generations > 0 {
			running.Add(1)
		}
		return true
	})
	t.Logf("the barrier started in %d schedules; crashed: %d as they started it, %d as the lowest, %d anywhere",
		running.Load(), sum.firing.Load(), sum.lowest.Load(), sum.any.Load())
	if os.Getenv(servertest.SeedEnv) != "" {
		return
	}
	if int(running.Load()) < plan.Schedules/3 {
		t.Errorf("the barrier started in %d of %d schedules", running.Load(), plan.Schedules)
	}
	if int(sum.firing.Load()) < plan.Schedules/10 || int(sum.lowest.Load()) < plan.Schedules/20 {
		t.Error("too few of those crashed that matter")
	}
}

// The schedules are such that they catch barriers that are wrong.
func TestDouble_SchedulesCatchNaiveOnes(t *testing.T) {
	for name, n := range map[string]struct {
		naive barrier.Naive
		sign  string // of what is wrong with it
	}{
		"starts without checking the members":    {barrier.Naive{AnyMembers: true}, "was counted and told that it is not in"},
		"enters without checking the generation": {barrier.Naive{AnyGeneration: true}, "let in"},
	} {
		t.Run(name, func(t *testing.T) {
			var caught atomic.Value
			servertest.Schedules(t, servertest.Plan{Schedules: 300}, func(t *testing.T, s *servertest.Schedule) bool {
				if caught.Load() != nil {
					return true
				}
				wrong, _ := hold(t, s, new(crashes), func(c *client.Client, members int) enterer {
					v := n.naive
					v.Double = barrier.New(c, step, members, barrier.Next())
					return v
				})
				if i := slices.IndexFunc(wrong, func(w string) bool { return strings.Contains(w, n.sign) }); i >= 0 {
					caught.CompareAndSwap(nil, fmt.Sprintf("seed %d: %s", s.Seed, wrong[i]))
				}
				return true
			})
			if caught.Load() == nil {
				t.Error("not caught")
			}
			t.Log(caught.Load())
		})
	}
}
