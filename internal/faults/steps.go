//go:build linux

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"
)

// step is something that happens to an ensemble for a while. Whatever it does, all is well when it returns.
type step struct {
	name   string
	weight int
	// milder: a majority is up and connected all the time.
	milder bool
	do     func(w *world, r *rand.Rand)
}

// One step of each kind at most happens at a time: to servers, to the links between them, to clients and their links.
var serverSteps = []step{
	{"kill a server", 4, true, func(w *world, r *rand.Rand) { w.kill(r, w.e.some(r, 1)) }},
	{"kill the leader", 5, true, func(w *world, r *rand.Rand) { w.kill(r, w.e.theLeader(w.load, r)) }},
	{"kill a majority", 3, false, func(w *world, r *rand.Rand) { w.kill(r, w.e.some(r, w.e.majority())) }},
	{"kill all", 2, false, func(w *world, r *rand.Rand) { w.kill(r, w.e.members) }},
	{"kill one after the other", 2, false, (*world).killInTurn},
	{"pause a server", 3, true, func(w *world, r *rand.Rand) { w.freeze(r, w.e.some(r, 1)) }},
	{"pause the leader", 4, true, func(w *world, r *rand.Rand) { w.freeze(r, w.e.theLeader(w.load, r)) }},
	{"pause a majority", 2, false, func(w *world, r *rand.Rand) { w.freeze(r, w.e.some(r, w.e.majority())) }},
	{"restart a server", 2, true, func(w *world, r *rand.Rand) { w.restart(r, w.e.some(r, 1)) }},
	{"rolling restart", 2, true, func(w *world, r *rand.Rand) { w.restart(r, w.e.leaderLast(w.load, r)) }},
}

// These need a majority, so nothing happens to the links meanwhile.
var memberSteps = []step{
	{"replace a member", 3, true, func(w *world, r *rand.Rand) { w.replace(r, false) }},
	{"lose a folder", 3, true, func(w *world, r *rand.Rand) { w.replace(r, true) }},
}

var diskSteps = []step{{"fill a disk", 1, true, (*world).fillDisk}}

func (e *ensemble) majority() int { return len(e.members)/2 + 1 }

// some returns n members.
func (e *ensemble) some(r *rand.Rand, n int) (all []*member) {
	for _, i := range r.Perm(len(e.members))[:n] {
		all = append(all, e.members[i])
	}
	return all
}

// theLeader returns it, or any member if none says that it leads.
func (e *ensemble) theLeader(ctx context.Context, r *rand.Rand) []*member {
	if i := e.leader(ctx); i >= 0 {
		return e.members[i : i+1]
	}
	return e.some(r, 1)
}

// between returns a duration, short ones as often as long ones.
func between(r *rand.Rand, least, most time.Duration) time.Duration {
	d := least
	for d < most && r.IntN(2) == 0 {
		d *= 2
	}
	return min(most, d+time.Duration(r.Int64N(int64(d))))
}

// lasts waits for as long as a fault may last: sessions and leaders are given up in between.
func (w *world) lasts(r *rand.Rand) {
	_ = sleep(w.load, between(r, 100*time.Millisecond, 8*time.Second)) // early, at the end of the load
}

func names(ms []*member) (s []int) {
	for _, m := range ms {
		s = append(s, m.id)
	}
	return s
}

// kill ends servers at once, and starts them again; now and then once more while they recover.
func (w *world) kill(r *rand.Rand, some []*member) {
	for again := true; again; again = r.IntN(3) == 0 {
		w.told("kill %v", names(some))
		for _, m := range some {
			m.kill()
		}
		_ = sleep(w.load, between(r, 50*time.Millisecond, 4*time.Second))
		for _, m := range some {
			_ = sleep(w.load, between(r, time.Millisecond, 200*time.Millisecond))
			m.start()
		}
		w.told("started %v", names(some))
		_ = sleep(w.load, between(r, 20*time.Millisecond, time.Second))
	}
}

// killInTurn kills servers one after the other and gives none the time to recover.
func (w *world) killInTurn(r *rand.Rand) {
	for _, m := range w.e.some(r, len(w.e.members)) {
		w.told("kill %d in its turn", m.id)
		m.kill()
		_ = sleep(w.load, between(r, time.Millisecond, 300*time.Millisecond))
		m.start()
		_ = sleep(w.load, between(r, time.Millisecond, 600*time.Millisecond))
	}
}

// freeze pauses servers, for less or more than others wait for them.
func (w *world) freeze(r *rand.Rand, some []*member) {
	w.told("pause %v", names(some))
	for _, m := range some {
		m.signal(syscall.SIGSTOP)
	}
	w.lasts(r)
	for _, m := range some {
		m.signal(syscall.SIGCONT)
	}
	w.told("go on %v", names(some))
}

// progressBound is how soon a write must go through when a majority is up and connected.
const progressBound = 10 * time.Second

// misfortunes lets steps happen until the load ends. After each round all is well, and a write must go through.
func (w *world) misfortunes(r *rand.Rand) {
	if w.plan.sabotage == oldFolders {
		w.rollBack(r)
	}
	for sleep(w.load, between(r, 50*time.Millisecond, 500*time.Millisecond)) == nil {
		round, milder := w.round(r)
		began := time.Now()
		all := make(chan struct{})
		for i, s := range round {
			rng := rand.New(rand.NewPCG(r.Uint64(), uint64(i)))
			go func() {
				defer func() { all <- struct{}{} }()
				w.told("begin: %s", s.name)
				s.do(w, rng)
				w.told("end: %s", s.name)
			}()
		}
		for range round {
			<-all
		}
		healed := time.Now()
		w.recovered(healed)
		w.record(func(rec *records) {
			for _, s := range round {
				rec.steps[s.name]++
			}
		})
		if gap := w.pulse.gap(began, healed); milder && gap > progressBound {
			w.fail("no write went through for %v during %q, which left a majority alone", gap, round[0].name)
		}
	}
}

// recovered sees to it that a write which begins when all is well comes to its end.
func (w *world) recovered(since time.Time) {
	ctx, cancel := context.WithTimeoutCause(w.ctx, progressBound, fmt.Errorf("not within %v", progressBound))
	defer cancel()
	err := w.pulse.after(ctx, since)
	took := time.Since(since)
	w.record(func(r *records) { r.worst = max(r.worst, took) })
	if err != nil {
		w.fail("all is well since %v, and no write goes through: %v", since.Format("15:04:05.000"), err)
	}
}

// round draws what happens next, and tells whether all of it together leaves a majority alone.
func (w *world) round(r *rand.Rand) (round []step, milder bool) {
	if w.plan.sabotage == noFence {
		return []step{{name: "pause all clients", do: (*world).pausePuppets}}, true
	}
	links := w.e.parted && r.IntN(2) == 0
	switch n := r.IntN(10); {
	case n == 0:
		round, links = append(round, draw1(r, memberSteps)), false
	case n == 1 && w.plan.smallDisk >= 0:
		round = append(round, diskSteps...)
	case n < 7 || !w.e.parted:
		round = append(round, draw1(r, serverSteps))
	default:
		links = true
	}
	if links {
		round = append(round, draw1(r, linkSteps))
	}
	milder = len(round) == 1 && round[0].milder
	if r.IntN(3) == 0 {
		round = append(round, draw1(r, clientSteps)) // which the client of the pulse does not notice
	}
	return round, milder
}

func draw1(r *rand.Rand, from []step) step {
	sum := 0
	for _, s := range from {
		sum += s.weight
	}
	n := r.IntN(sum)
	for _, s := range from {
		if n -= s.weight; n < 0 {
			return s
		}
	}
	return from[0] // not reached
}
