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
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/history"
	"github.com/docent-io/docent/server/servertest"
)

// result is what one schedule came to.
type result struct {
	plan     plan
	acked    int // requests that were answered
	unknown  int // whose outcome nobody knows
	faults   map[string]int
	verdict  history.Verdict
	conns    int
	writes   int
	streamed int // events that streams gave
	virtual  time.Duration
	real     time.Duration
	failed   bool
}

// fewest is how many requests must have been answered for a schedule to count.
const fewest = 100

// counts tells whether the schedule shows anything: enough was done, and something went wrong meanwhile.
func (r result) counts() bool { return r.acked >= fewest && len(r.faults) > 0 }

// String returns one line.
func (r result) String() string {
	verdict, n := "ok", 0
	switch {
	case r.failed:
		verdict = "FAILED"
	case !r.counts():
		verdict = "thin"
	}
	var each []string
	for _, name := range slices.Sorted(maps.Keys(r.faults)) {
		n += r.faults[name]
		each = append(each, fmt.Sprintf("%s %d", name, r.faults[name]))
	}
	return fmt.Sprintf("%d %s servers=%d disks=%v acked=%d unknown=%d writes=%d histories=%d undecided=%d conns=%d events=%d recipe=%s faults=%d virtual=%v real=%v (%s)",
		r.plan.seed, verdict, r.plan.servers, r.plan.disks, r.acked, r.unknown, r.writes, r.verdict.Histories, r.verdict.Undecided, r.conns,
		r.streamed, r.plan.recipe, n, r.virtual.Round(time.Millisecond), r.real.Round(time.Millisecond), strings.Join(each, ", "))
}

// run runs one schedule in a bubble of its own. What is wrong fails t, and ends it.
func run(t *testing.T, p plan, res *result) {
	res.plan = p
	began := time.Now()
	defer func() { res.real, res.failed = time.Since(began), t.Failed() }()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, p)
		script := w.play()
		res.faults = make(map[string]int)
		for _, h := range script.Trace() {
			res.faults[h.Step]++
		}
		res.verdict = w.check()
		res.virtual = time.Since(w.start)
		w.record(func(r *records) {
			res.acked, res.unknown, res.writes, res.conns = r.acked, r.unknown, len(r.writes), len(r.conns)
			for _, s := range r.streams {
				res.streamed += len(s.Events)
			}
		})
		if t.Failed() {
			t.Logf("%+v\n%v\n%s", p, script, w.log.Story())
		}
	})
}

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

// recover sees to it that all servers run, and that without any help a write goes through.
func (w *world) recover(c *client.Client) {
	for _, s := range w.cluster.Servers {
		if !s.Running() {
			s.Restart()
		}
	}
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
	w.wrong(w.converged())
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

// check compares what was recorded.
func (w *world) check() history.Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wrong(w.log.Check())
	t := w.log.Timeline()
	for _, c := range w.r.conns {
		w.wrong(c.Check(t))
	}
	w.wrong(history.Writes(w.r.writes, t))
	w.wrong(history.Streams(w.r.streams, t))
	v, err := history.Registers(w.r.ops, patience)
	w.wrong(err)
	return v
}

// patience bounds the search for one register's order. In a bubble it is virtual time, which does not pass while one
// searches, so short histories are what bounds it.
const patience = 0
