package sim

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/internal/testkit"
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
	var each [3]testkit.Roster[holding]
	var tokens fencing
	return map[string]recipe{
		"locks": {play: func(w *world, c *client.Client, _ int, r *rand.Rand) {
			w.turns(r, func() error { return w.holdAll(c, r, &each) })
		}},
		"terms": {play: func(w *world, c *client.Client, player int, r *rand.Rand) {
			w.playTerms(c, player, r, &roster, &tokens)
		}, check: tokens.check},
		"follow":    {play: playFollow},
		"discovery": {play: playDiscovery, check: checkDiscovery},
		"value":     playValue(),
		"bundle":    {play: playBundle, check: checkBundle},
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
		context.DeadlineExceeded, client.ErrDeletePending, lock.ErrReleasePending, config.ErrSuperseded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
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
