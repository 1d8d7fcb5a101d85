package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/leader"
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/rendezvous"
)

// recipe lets three participants use a recipe together while faults happen. Each of them calls play in a goroutine and
// with a client of its own.
type recipe struct {
	play  func(w *world, c *client.Client, player int, r *rand.Rand)
	check func(w *world, c *client.Client) // in the end, when all have played and no fault is left
}

const (
	participants = 3
	turns        = 4
)

func recipes() map[string]recipe {
	var roster testkit.Roster[holding]
	var tokens fencing
	return map[string]recipe{
		"mutex": {play: func(w *world, c *client.Client, _ int, r *rand.Rand) {
			w.turns(r, func() error { return w.holdMutex(c, r, &roster, &tokens) })
		}, check: tokens.check},
		"rwmutex": {play: func(w *world, c *client.Client, _ int, r *rand.Rand) {
			w.turns(r, func() error { return w.holdRW(c, r, &roster) })
		}},
		"semaphore": {play: func(w *world, c *client.Client, _ int, r *rand.Rand) {
			w.turns(r, func() error { return w.holdPermit(c, r, &roster) })
		}},
		"leader": {play: func(w *world, c *client.Client, _ int, r *rand.Rand) {
			w.turns(r, func() error { return w.holdTerm(c, r, &roster, &tokens) })
		}, check: tokens.check},
		"barrier":    playBarrier(),
		"gate":       playGate(),
		"rendezvous": playRendezvous(),
		"group":      {play: playGroup, check: checkGroup},
		"counter":    playCounter(),
	}
}

var recipeNames = slices.Sorted(maps.Keys(recipes()))

// turns plays a few turns, with pauses. What ends a turn early is part of the game, unless it is of our own making.
func (w *world) turns(r *rand.Rand, turn func() error) {
	for range turns {
		if err := turn(); err != nil && w.ctx.Err() == nil && !excusable(err) {
			w.t.Errorf("%s: %v", w.plan.recipe, err)
		}
		if !w.think(r) {
			return
		}
	}
}

// excusable tells whether an error is what a participant must reckon with in a world of faults.
func excusable(err error) bool {
	for _, e := range []error{client.ErrMaybeApplied, client.ErrSessionExpired, client.ErrSessionDeadline, client.ErrSuspended,
		context.DeadlineExceeded, client.ErrDeletePending, lock.ErrReleasePending} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// held is what holds have in common.
type held interface {
	Context() context.Context
	Session() *client.Session
	Token() uint64
}

// holding is who says that it holds, since when.
type holding struct {
	shared  bool
	session int64
	token   uint64
	at      time.Duration
}

func (h holding) String() string {
	return fmt.Sprintf("session %#x with token %#x since %v", uint64(h.session), h.token, h.at)
}

// exclusive holds a thing of which there is one. While no session is ended by force, two contexts never live together.
func (w *world) exclusive(r *rand.Rand, roster *testkit.Roster[holding], h held, shared bool) error {
	ctx := h.Context()
	together := roster.Enter(ctx, holding{shared, h.Session().ID(), h.Token(), time.Since(w.start)})
	alone := func(h holding) bool { return !h.shared }
	if len(together) > 1 && !w.plan.forced && slices.ContainsFunc(together, alone) {
		return fmt.Errorf("hold together: %v", together)
	}
	w.spend(r, ctx)
	return nil
}

// spend holds for a while.
func (w *world) spend(r *rand.Rand, ctx context.Context) {
	wait, cancel := context.WithTimeout(ctx, time.Duration(r.IntN(1000))*time.Millisecond)
	defer cancel()
	<-wait.Done()
	w.granted()
}

// release lets go, and does not wait for ever.
func (w *world) release(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	return f(ctx)
}

func (w *world) holdMutex(c *client.Client, r *rand.Rand, roster *testkit.Roster[holding], tokens *fencing) error {
	h, err := lock.New(c, "/mutex").Lock(w.ctx)
	if err != nil {
		return err
	}
	err = w.exclusive(r, roster, h, false)
	begin := h.Txn
	if w.plan.sabotage == noFence {
		w.pause(time.Duration(r.IntN(6)) * time.Second)
		begin = c.Txn
	}
	return errors.Join(err, tokens.write(w, begin, h.Token()), w.release(h.Unlock))
}

func (w *world) holdTerm(c *client.Client, r *rand.Rand, roster *testkit.Roster[holding], tokens *fencing) error {
	t, err := leader.Campaign(w.ctx, c, "/leader")
	if err != nil {
		return err
	}
	err = w.exclusive(r, roster, t, false)
	return errors.Join(err, tokens.write(w, t.Txn, t.Token()), w.release(t.Resign))
}

func (w *world) holdRW(c *client.Client, r *rand.Rand, roster *testkit.Roster[holding]) error {
	m, shared := lock.NewRW(c, "/rw"), r.IntN(2) == 0
	take := m.Lock
	if shared {
		take = m.RLock
	}
	h, err := take(w.ctx)
	if err != nil {
		return err
	}
	return errors.Join(w.exclusive(r, roster, h, shared), w.release(h.Unlock))
}

// holdPermit takes one of two permits: never three are out.
func (w *world) holdPermit(c *client.Client, r *rand.Rand, roster *testkit.Roster[holding]) error {
	p, err := lock.NewSemaphore(c, "/semaphore", 2).Acquire(w.ctx, 1)
	if err != nil {
		return err
	}
	if together := roster.Enter(p.Context(), holding{true, p.Session().ID(), p.Token(), time.Since(w.start)}); len(together) > 2 && !w.plan.forced {
		err = fmt.Errorf("of 2 permits are out: %v", together)
	}
	w.spend(r, p.Context())
	return errors.Join(err, w.release(p.Unlock))
}

// fencing has holders write their token into a node, in a transaction that fails if they hold no more. In the order of the
// writes, tokens never go down: that is mutual exclusion, whatever anybody's clock says.
type fencing struct {
	mu     sync.Mutex // guards writes
	writes []fenced
}

type fenced struct {
	version int32
	token   uint64
}

func (f *fencing) write(w *world, begin func() *client.Txn, token uint64) error {
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	res, err := begin().Set("/fenced", []byte(strconv.FormatUint(token, 10)), -1).Commit(ctx)
	var late *client.TxnError
	if errors.As(err, &late) {
		return nil // refused: somebody else holds, or may
	}
	if err != nil {
		return err
	}
	w.record(func(r *records) { r.fenced++ })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes = append(f.writes, fenced{res[len(res)-1].Stat.Version, token})
	return nil
}

func (f *fencing) check(w *world, _ *client.Client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortFunc(f.writes, func(a, b fenced) int { return int(a.version) - int(b.version) })
	for i := 1; i < len(f.writes); i++ {
		if f.writes[i].token < f.writes[i-1].token {
			w.t.Errorf("%s: version %d was written with token %d, behind %d", w.plan.recipe, f.writes[i].version, f.writes[i].token, f.writes[i-1].token)
		}
	}
}

// playBarrier: nobody is in before all have come.
func playBarrier() recipe {
	var came atomic.Int64
	return recipe{play: func(w *world, c *client.Client, _ int, r *rand.Rand) {
		ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
		defer cancel()
		b := barrier.New(c, "/barrier", participants, barrier.Next())
		came.Add(1)
		m, err := b.Enter(ctx)
		if err != nil {
			return // the others may wait for one whose session ended: that is theirs to bound
		}
		if n := came.Load(); n < participants {
			w.t.Errorf("in the barrier after %d of %d came", n, participants)
		}
		w.think(r)
		m.Leave(ctx) // as above
		w.record(func(rec *records) { rec.acked++ })
	}}
}

// playGate: who waits gets through after the gate was opened, not before.
func playGate() recipe {
	var opened atomic.Bool
	closed := make(chan struct{})
	return recipe{play: func(w *world, c *client.Client, player int, r *rand.Rand) {
		g := barrier.NewGate(c, "/gate")
		if player == 0 {
			if err := w.until(func(ctx context.Context) error { return g.Close(ctx) }); err != nil {
				w.t.Errorf("close the gate: %v", err)
			}
			close(closed)
			w.pause(time.Duration(r.IntN(2000)) * time.Millisecond)
			opened.Store(true)
			if err := w.until(func(ctx context.Context) error { return g.Open(ctx) }); err != nil {
				w.t.Errorf("open the gate: %v", err)
			}
			return
		}
		select {
		case <-closed:
		case <-w.ctx.Done():
			return
		}
		if err := g.Wait(w.ctx); err != nil {
			w.t.Errorf("wait at the gate: %v", err)
		}
		if !opened.Load() {
			w.t.Errorf("through the gate, which is closed")
		}
		w.record(func(rec *records) { rec.acked++ })
	}}
}

// until repeats f while it fails for a reason that may pass.
func (w *world) until(f func(context.Context) error) error {
	for {
		err := f(w.ctx)
		if err == nil || w.ctx.Err() != nil || !excusable(err) {
			return err
		}
		w.pause(10 * time.Millisecond)
	}
}

// playRendezvous: workers get what the master posted, and nothing else.
func playRendezvous() recipe {
	return recipe{play: func(w *world, c *client.Client, player int, r *rand.Rand) {
		p := rendezvous.At[string](c, "/point")
		if player == 0 {
			w.pause(time.Duration(r.IntN(1000)) * time.Millisecond)
			err := w.until(func(ctx context.Context) error {
				if err := p.Post(ctx, "here"); !errors.Is(err, rendezvous.ErrPosted) {
					return err
				}
				return errors.Join(context.DeadlineExceeded, p.Vacant(ctx)) // an earlier session of ours
			})
			if err != nil {
				w.t.Errorf("post: %v", err)
			}
			return
		}
		ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
		defer cancel()
		got, err := p.Wait(ctx)
		if err == nil && got.Value != "here" {
			w.t.Errorf("met %q", got.Value)
		}
		w.record(func(rec *records) { rec.acked++ })
	}}
}

// playGroup: members join and stay.
func playGroup(w *world, c *client.Client, player int, r *rand.Rand) {
	m, err := groups.Join(w.ctx, c, "/group", player, groups.ID(strconv.Itoa(player)))
	if err != nil {
		w.t.Errorf("join: %v", err)
		return
	}
	w.think(r)
	if player == participants-1 { // this one goes again
		if err := w.until(m.Leave); err != nil {
			w.t.Errorf("leave: %v", err)
		}
	}
	w.record(func(rec *records) { rec.acked++ })
}

// checkGroup: in the end those are there who stayed.
func checkGroup(w *world, c *client.Client) {
	for {
		all, err := groups.Members[int](w.ctx, c, "/group")
		if err != nil {
			w.t.Errorf("members: %v", err)
			return
		}
		if len(all) == participants-1 {
			return
		}
		if !w.pause(50 * time.Millisecond) {
			w.t.Errorf("in the group in the end: %+v", all)
			return
		}
	}
}

// playCounter: each addition counts once, if it is not unknown.
func playCounter() recipe {
	var sure, maybe atomic.Int64
	return recipe{play: func(w *world, c *client.Client, _ int, r *rand.Rand) {
		k := config.NewCounter(c, "/counter", nil)
		for i := 0; i < 2*turns && w.think(r); i++ {
			switch _, err := k.Add(w.ctx, 1); {
			case err == nil:
				sure.Add(1)
				w.record(func(rec *records) { rec.acked++ })
			case errors.Is(err, client.ErrMaybeApplied):
				maybe.Add(1)
			}
		}
	}, check: func(w *world, c *client.Client) {
		n, err := config.NewCounter(c, "/counter", nil).Get(w.ctx)
		if err != nil || n < sure.Load() || n > sure.Load()+maybe.Load() {
			w.t.Errorf("the counter says %d (%v): %d are sure, %d unknown", n, err, sure.Load(), maybe.Load())
		}
	}}
}
