package lock_test

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
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/recipes/fence"
	"github.com/docent-io/docent/server/servertest"
)

// Random schedules: a few contenders take and release one kind of lock while servertest lets faults happen at random
// requests and replies, on virtual time. See docs/locks-soak.md for how many have run.

// claim is what a hold says that it holds.
type claim struct {
	paths  []string
	shared bool  // with other shared ones
	slots  []int // of a semaphore
}

// seats is the number of permits of the semaphore in the schedules.
const seats = 3

// conflict tells what is wrong with claims that are held together, or returns "".
func conflict(together []claim) string {
	var slots []int
	for i, a := range together {
		slots = append(slots, a.slots...)
		for _, b := range together[:i] {
			if !(a.shared && b.shared) && slices.ContainsFunc(a.paths, func(p string) bool { return slices.Contains(b.paths, p) }) {
				return fmt.Sprintf("two inside: %+v and %+v", b, a)
			}
		}
	}
	slices.Sort(slots)
	if len(slots) > seats || len(slices.Compact(slices.Clone(slots))) < len(slots) {
		return fmt.Sprintf("slots %v of %d", slots, seats)
	}
	return ""
}

// held is what all kinds of holds have in common.
type held interface {
	Context() context.Context
	Token() uint64
	Lost() bool
	Unlock(context.Context) error
}

// game is a kind of lock to contend for.
type game struct {
	dirs  []string // in which nothing may be left
	enter func(ctx context.Context, c *client.Client, r *rand.Rand) (held, claim, error)
	// then, unless nil, turns a hold that is not shared into another one.
	then func(ctx context.Context, c *client.Client, h held) (held, claim, error)
}

var games = map[string]game{
	"Mutex": {dirs: []string{"/x"}, enter: enterMutex, then: relock},
	"RWMutex": {dirs: []string{"/x"}, enter: func(ctx context.Context, c *client.Client, r *rand.Rand) (held, claim, error) {
		m, shared := lock.NewRW(c, "/x"), r.IntN(2) == 0
		take := m.Lock
		if shared {
			take = m.RLock
		}
		h, err := take(ctx)
		return ifNone(h, err), claim{paths: []string{"/x"}, shared: shared}, err
	}, then: downgrade},
	"Semaphore": {dirs: []string{"/x/locks", "/x/leases"}, enter: func(ctx context.Context, c *client.Client, r *rand.Rand) (held, claim, error) {
		p, err := lock.NewSemaphore(c, "/x", seats).Acquire(ctx, 1+r.IntN(2))
		if err != nil {
			return ifNone(p, err), claim{}, err
		}
		return p, claim{slots: p.Slots()}, nil
	}},
	"LockAll": {dirs: []string{"/x", "/y", "/z"}, enter: func(ctx context.Context, c *client.Client, r *rand.Rand) (held, claim, error) {
		if r.IntN(3) == 0 {
			return enterMutex(ctx, c, r)
		}
		all := []string{"/x", "/y", "/z"}
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = all[:1+r.IntN(len(all))]
		h, err := lock.LockAll(ctx, c, all)
		return ifNone(h, err), claim{paths: all}, err
	}},
}

func enterMutex(ctx context.Context, c *client.Client, r *rand.Rand) (held, claim, error) {
	m := lock.New(c, "/x")
	take := m.Lock
	if r.IntN(6) == 0 {
		take = m.TryLock
	}
	h, err := take(ctx)
	return ifNone(h, err), claim{paths: []string{"/x"}}, err
}

func relock(ctx context.Context, c *client.Client, h held) (held, claim, error) {
	next, err := lock.New(c, "/x").Relock(ctx, h.(*lock.Held))
	return ifNone(next, err), claim{paths: []string{"/x"}}, err
}

func downgrade(ctx context.Context, _ *client.Client, h held) (held, claim, error) {
	read, err := h.(*lock.RWHeld).Downgrade(ctx)
	return ifNone(read, err), claim{paths: []string{"/x"}, shared: true}, err
}

// ifNone returns h, or a plain nil for a typed one. Kazoo, vitess PR #8310: exactly one of hold and error is nil.
func ifNone[H interface {
	comparable
	held
}](h H, err error) held {
	var none H
	if (h == none) == (err == nil) {
		panic(fmt.Sprintf("hold %v with error %v", h, err))
	}
	if h == none {
		return nil
	}
	return h
}

// match is one schedule of a game.
type match struct {
	t *testing.T
	s *servertest.Schedule
	game
	roster testkit.Roster[claim]
	busy   testkit.Spans  // somebody holds or waits
	guard  *testkit.Store // nil: holders heed their contexts

	cables [contenders]testkit.Cable // of each contender

	mu    sync.Mutex // guards tries
	tries map[int]context.CancelFunc
}

const contenders, rounds = 3, 4

// play lets the contenders contend, and tells whether the schedule counts.
func (m *match) play() bool {
	observer := m.s.Dial(m.t)
	var all []*contender
	for i := range contenders {
		plug := func(c *client.Config) { c.DialContext = m.cables[i].Dialer(c.DialContext) }
		all = append(all, &contender{match: m, id: i, c: m.s.Dial(m.t, plug), r: rand.New(rand.NewPCG(m.s.Seed, uint64(2+i)))})
	}
	began, run := time.Now(), m.s.Begin(m.steps()...)
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(c.contend)
	}
	wg.Wait()
	run.Stop()
	m.checkEmpty(observer)
	fault := slices.ContainsFunc(run.Trace(), func(h servertest.Happening) bool {
		return h.Step != giveUp && m.busy.Contain(began.Add(h.At))
	})
	return fault && m.roster.Total() >= 2
}

// giveUp is the step that ends the context of a Lock that is under way.
const giveUp = "give up"

// steps are faults of the contenders' own, besides those of the servers.
func (m *match) steps() []servertest.Step {
	return []servertest.Step{
		{Name: giveUp, Weight: 4, Do: func(mo *servertest.Moment) {
			m.mu.Lock()
			cancel := m.tries[mo.Rand.IntN(contenders)]
			m.mu.Unlock()
			if cancel != nil {
				cancel()
			}
		}},
		{Name: "silence a client", Weight: 6, Do: func(mo *servertest.Moment) {
			cable := &m.cables[mo.Rand.IntN(contenders)]
			cable.Unplug()
			defer cable.Plug()
			mo.Wait(mo.Between(20*time.Millisecond, 5*time.Second))
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

// checkEmpty sees to it that nobody has left anything behind, once the faults are over.
func (m *match) checkEmpty(c *client.Client) {
	for _, dir := range m.dirs {
		waitForChildren(m.t, c, dir, 0)
	}
}

// contender is one of those who contend, with a client of its own.
type contender struct {
	*match
	id int
	c  *client.Client
	r  *rand.Rand
}

func (c *contender) contend() {
	for range rounds {
		c.pause(200*time.Millisecond, c.s.Context())
		if err := c.round(); err != nil {
			c.t.Errorf("contender %d: %v", c.id, err)
			return
		}
	}
}

// oversleep waits for longer than a session may last, often enough.
func (c *contender) oversleep() {
	c.pause(4*time.Second, c.s.Context())
	c.pause(4*time.Second, c.s.Context())
}

// pause waits for a while, short ones being as likely as long ones, or until ctx ends.
func (c *contender) pause(most time.Duration, ctx context.Context) {
	t := time.NewTimer(min(time.Millisecond<<c.r.IntN(13), most))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (c *contender) round() error {
	defer c.busy.Begin()()
	began := c.guard.Now()
	h, what, err := c.try(func(ctx context.Context) (held, claim, error) { return c.enter(ctx, c.c, c.r) })
	t := testkit.Turn{Began: began, Granted: c.guard.Now()}
	for err == nil && c.s.Context().Err() == nil {
		if err := c.inside(h, what, t); err != nil {
			return errors.Join(err, h.Unlock(c.s.Context()))
		}
		if c.then == nil || what.shared || c.r.IntN(2) == 0 {
			return c.leave(h)
		}
		before := h
		began = c.guard.Now()
		h, what, err = c.try(func(ctx context.Context) (held, claim, error) { return c.then(ctx, c.c, before) })
		if err == nil && h.Token() != before.Token() { // a turn of its own
			t = testkit.Turn{Began: began, Granted: c.guard.Now()}
		}
	}
	if c.s.Context().Err() != nil {
		return errors.Join(context.Cause(c.s.Context()), err)
	}
	return nil
}

// try is patient, impatient, or told to give up by the script.
func (c *contender) try(take func(context.Context) (held, claim, error)) (held, claim, error) {
	ctx, cancel := context.WithCancel(c.s.Context())
	defer cancel()
	if c.r.IntN(3) == 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Millisecond<<c.r.IntN(13))
		defer stop()
	}
	c.mu.Lock()
	c.tries[c.id] = cancel
	c.mu.Unlock()
	return take(ctx)
}

// inside says what is held, and stays for a while.
func (c *contender) inside(h held, what claim, t testkit.Turn) error {
	if wrong := conflict(c.roster.Enter(h.Context(), what)); wrong != "" && c.guard == nil {
		return errors.New(wrong)
	}
	if c.guard == nil {
		c.pause(4*time.Second, h.Context())
		return nil
	}
	for range 2 { // the second time after a pause in which it looked at nothing
		refused, err := c.guard.Write(what.paths, h.Token(), t)
		if err != nil || refused {
			return errors.Join(err, c.mustLose(h))
		}
		c.oversleep()
	}
	return nil
}

// mustLose waits until a holder whom the store has refused knows why.
func (c *contender) mustLose(h held) error {
	select {
	case <-h.Context().Done():
	case <-c.s.Context().Done():
	}
	if !h.Lost() {
		return errors.New("the store refuses a holder that has not lost")
	}
	return nil
}

// leave unlocks. What cannot be confirmed goes on in the background, as checkEmpty finds out.
func (c *contender) leave(h held) error {
	ctx, cancel := context.WithTimeout(c.s.Context(), time.Millisecond<<c.r.IntN(13))
	defer cancel()
	if err := h.Unlock(ctx); err != nil && !errors.Is(err, lock.ErrReleasePending) {
		return fmt.Errorf("Unlock: %w", err)
	}
	if h.Context().Err() == nil {
		return errors.New("the context lives on after Unlock")
	}
	return nil
}

// L1, L3, L6, L7, L8: as long as no session is ended by force, what is held together may be held together; whoever
// gives up leaves nothing behind, and all get on with it when the faults are over.
func TestSchedules_L1_NeverTwo(t *testing.T) {
	for name, g := range games {
		t.Run(name, func(t *testing.T) { schedules(t, servertest.Plan{Schedules: testkit.Count(t, 60)}, g, false) })
	}
}

// The same with ensembles of three, whose servers and leaders are killed, cut off and left behind.
func TestSchedules_L1_NeverTwoOnThree(t *testing.T) {
	for name, g := range games {
		t.Run(name, func(t *testing.T) {
			schedules(t, servertest.Plan{Schedules: testkit.Count(t, 60)/10 + 1, Servers: 3}, g, false)
		})
	}
}

// L2: with sessions that end too early, as if the clocks of servers ran ahead, and with holders that look at no context,
// as if they had been paused, a store refuses whoever comes after one that was let in later.
func TestSchedules_L2_FenceRefusesTheLate(t *testing.T) {
	for _, name := range []string{"Mutex", "LockAll"} {
		t.Run(name, func(t *testing.T) { schedules(t, servertest.Plan{Schedules: testkit.Count(t, 60)}, games[name], true) })
		t.Run(name+" on three", func(t *testing.T) {
			schedules(t, servertest.Plan{Schedules: testkit.Count(t, 60)/10 + 1, Servers: 3}, games[name], true)
		})
	}
}

func schedules(t *testing.T, p servertest.Plan, g game, late bool) {
	var refused atomic.Int64
	p.Steps = unforced
	if late {
		p.Steps = forced
	}
	servertest.Schedules(t, p, func(t *testing.T, s *servertest.Schedule) bool {
		m := &match{t: t, s: s, game: g, tries: make(map[int]context.CancelFunc)}
		if late {
			guard := fence.Memory()
			m.guard = testkit.NewStore(func(path string, token uint64) error { return guard.Admit(s.Context(), path, token) })
			defer func() { refused.Add(int64(m.guard.Refused())) }()
		}
		return m.play()
	})
	if late {
		t.Logf("%d writes refused", refused.Load())
	}
}
