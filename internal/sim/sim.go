// Package sim runs whole ensembles in one process, on virtual time, over a network, disks and clocks that fail, while
// clients use everything there is; and has package history check what happened.
//
// A schedule is drawn from a seed: the size of the ensemble, its clocks and links, what the clients do, and which faults
// meet them when. Bubbles of testing/synctest make time pass as fast as there is nothing to do, so that hours of elections
// and time-outs take minutes. The same seed makes the same draws, though not the same interleaving down to the last step:
// Go's scheduler is not ours. A seed that fails is repeated with
//
//	go test ./internal/sim -run '^TestSim$' -args -seeds 4711
package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/history"
	"github.com/docent-io/docent/server/servertest"
)

// run runs one schedule in a bubble of its own. What is wrong fails t, and ends it.
func run(t *testing.T, p plan, res *result) {
	res.plan = p
	began := time.Now()
	defer func() { res.real, res.failed = time.Since(began), t.Failed() }()
	var ops []history.Op
	var tell string
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, p)
		script := w.play()
		w.check()
		res.take(w)
		res.faults = make(map[string]int)
		for _, h := range script.Trace() {
			res.faults[h.Step]++
		}
		ops, tell = w.r.ops, w.story(script)
		if t.Failed() {
			t.Log(tell) // it ends here
		}
	})
	var err error
	if res.verdict, err = history.Registers(ops, patience); err != nil { // outside, where time passes while one searches
		t.Errorf("%v\n%s", err, tell)
	}
}

// story tells what happened, for who looks for the cause of what a check found.
func (w *world) story(script *servertest.Run) string {
	w.ensemble.mu.Lock()
	defer w.ensemble.mu.Unlock()
	return fmt.Sprintf("%+v\n%v\n%s\n%s", w.plan, script, strings.Join(w.ensemble.told, "\n"), w.log.Story())
}

// patience bounds the search for the order of one register's operations.
const patience = 10 * time.Second

// play lets clients and faults loose on the ensemble, and returns when both have ended and all servers agree.
func (w *world) play() *servertest.Run {
	first := w.dial()
	w.prepare(first)
	stop, end := context.WithCancel(w.ctx)
	defer end()
	var players, followers sync.WaitGroup
	number := 0
	start := func(wg *sync.WaitGroup, c *client.Client, f func(c *client.Client, player int, r *rand.Rand)) {
		player := number
		number++
		wg.Go(func() { f(c, player, rand.New(rand.NewPCG(w.plan.seed, 100+uint64(player)))) })
	}
	var all []*client.Client
	for range w.plan.clients {
		all = append(all, w.dial())
	}
	members := make([]*client.Client, participants)
	for i := range members {
		members[i] = w.dial()
	}
	script := servertest.Script(w.t, w.plan.seed, w.steps()...)
	for _, c := range all {
		for _, f := range []func(*client.Client, int, *rand.Rand){w.playRegisters, w.playLine, w.playLives, w.playWatches} {
			start(&players, c, f)
		}
	}
	start(&players, all[0], w.playBank)
	start(&players, all[1], w.playBank)
	start(&players, all[1], w.playFleeting)
	start(&players, all[2], w.playFleeting)
	start(&players, all[0], w.playMortals)
	for i := range 2 {
		start(&followers, all[i], func(c *client.Client, player int, r *rand.Rand) { w.playStream(c, player, r, stop) })
	}
	game := recipes()[w.plan.recipe]
	for i, c := range members {
		players.Go(func() { game.play(w, c, i, rand.New(rand.NewPCG(w.plan.seed, 200+uint64(i)))) })
	}
	players.Wait()
	script.Stop()
	w.cluster.Heal()
	w.recover(first)
	if game.check != nil {
		game.check(w, first)
	}
	end()
	followers.Wait()
	w.finish(first)
	return script
}

// recover sees to it that all servers run and are members, and that without any help a write goes through.
func (w *world) recover(c *client.Client) {
	w.reunite()
	err := w.until(func(ctx context.Context) error {
		_, err := c.Set(ctx, register(0), []byte("the end"), -1)
		return err
	})
	if err != nil {
		w.t.Errorf("after all faults: %v", errors.Join(err, context.Cause(w.ctx)))
	}
}

// finish reads what is there in the end, and ends all sessions.
func (w *world) finish(c *client.Client) {
	there := make(map[string]string)
	names, _, err := c.Children(w.ctx, "/lines", client.Fresh())
	for _, name := range names {
		var n client.Node
		if n, err = c.Get(w.ctx, "/lines/"+name); err != nil {
			break
		}
		there[n.Path] = string(n.Data)
	}
	if err != nil {
		w.t.Errorf("look at what is there in the end: %v", err)
		return
	}
	var numbered []history.Numbered
	w.record(func(r *records) { numbered = r.numbered })
	w.wrong(history.Sequences(numbered, there))
	w.checkMortals(c)
	w.wrong(w.converged())
	w.compared()
	w.endSessions()
	w.wrong(w.converged())
}

// endSessions asks each session what it knows of its end, and then ends those that live.
func (w *world) endSessions() {
	var ended []history.Ended
	var clients []*client.Client
	w.record(func(r *records) {
		for s := range r.sessions {
			e := history.Ended{Session: s.ID(), Expired: errors.Is(context.Cause(s.Context()), client.ErrSessionExpired)}
			if !r.forced[s.ID()] && s.Context().Err() != nil {
				e.Deadline = r.reliable[s]
			}
			ended = append(ended, e)
		}
		clients = r.clients
	})
	for _, c := range clients {
		c.Close() // a session that is not confirmed to have ended does so by itself
	}
	var nodes []history.Ephemeral
	w.record(func(r *records) { nodes = r.ephemerals })
	w.wrong(history.Sessions(nodes, ended, w.log.Timeline()))
}

func (w *world) wrong(err error) {
	if err != nil {
		w.t.Error(err)
	}
}

// check compares what was recorded, all but the registers.
func (w *world) check() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong(w.log.Check())
	t := w.log.Timeline()
	for _, c := range w.r.conns {
		w.wrong(c.Check(t))
	}
	w.wrong(history.Writes(w.r.writes, t))
	w.wrong(history.Streams(w.r.streams, t))
	w.wrong(history.Mortals(w.r.mortals, neverUsed, w.plan.jumps, t))
}
