//go:build linux

package faults

import (
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

// What happens to the links between servers.
var linkSteps = []step{
	{"partition", 4, false, func(w *world, r *rand.Rand) { w.part(r, halves, true) }},
	{"partition one way", 4, false, func(w *world, r *rand.Rand) { w.part(r, halves, false) }},
	{"cut off a server", 3, true, func(w *world, r *rand.Rand) { w.part(r, one, true) }},
	{"cut off the leader", 4, true, func(w *world, r *rand.Rand) { w.part(r, leading, true) }},
	{"a server is deaf", 2, true, func(w *world, r *rand.Rand) { w.part(r, othersOfOne, false) }},
	{"the leader is mute", 3, true, func(w *world, r *rand.Rand) { w.part(r, leading, false) }},
	{"bridge", 3, false, (*world).bridge},
	{"half-open", 2, true, (*world).halfOpen},
	{"flapping links", 3, false, (*world).flap},
	{"slow links", 2, false, func(w *world, r *rand.Rand) { w.weather(r, weather{delay: 20 * time.Millisecond, rate: 256 << 10}) }},
	{"lossy links", 3, false, func(w *world, r *rand.Rand) { w.weather(r, weather{loss: 0.05 + 0.2*r.Float64()}) }},
}

// What happens to clients.
var clientSteps = []step{
	{"clients cut off", 3, true, func(w *world, r *rand.Rand) { w.cutClients(r, true, true) }},
	{"clients unheard", 2, true, func(w *world, r *rand.Rand) { w.cutClients(r, true, false) }},
	{"clients deaf", 2, true, func(w *world, r *rand.Rand) { w.cutClients(r, false, true) }},
	{"clients on lossy links", 2, true, func(w *world, r *rand.Rand) { w.clientWeather(r, weather{loss: 0.05 + 0.25*r.Float64()}) }},
	{"clients on slow links", 2, true, func(w *world, r *rand.Rand) {
		w.clientWeather(r, weather{delay: 50 * time.Millisecond, rate: 32 << 10})
	}},
	{"connections reset", 3, true, (*world).resetClients},
	{"pause a client", 4, true, func(w *world, r *rand.Rand) { w.pausePuppet(r) }},
	{"kill a client", 3, true, func(w *world, r *rand.Rand) { w.killPuppet(r) }},
}

// dealing puts members into two heaps.
type dealing func(w *world, r *rand.Rand) (a, b []*member)

func (e *ensemble) others(of []*member) []*member {
	return slices.DeleteFunc(slices.Clone(e.members), func(m *member) bool { return slices.Contains(of, m) })
}

func halves(w *world, r *rand.Rand) (a, b []*member) {
	all := w.e.some(r, len(w.e.members))
	n := 1 + r.IntN(len(all)-1)
	return all[:n], all[n:]
}

func one(w *world, r *rand.Rand) (a, b []*member) {
	a = w.e.some(r, 1)
	return a, w.e.others(a)
}

func othersOfOne(w *world, r *rand.Rand) (a, b []*member) {
	b, a = one(w, r)
	return a, b
}

func leading(w *world, r *rand.Rand) (a, b []*member) {
	a = w.e.theLeader(w.load, r)
	return a, w.e.others(a)
}

// sever cuts the links from a to b.
func (e *ensemble) sever(a, b []*member) {
	for _, from := range a {
		for _, to := range b {
			e.links[from.id-1][to.id-1].sever()
		}
	}
}

// silence is after how long a kernel gives up a connection to a machine that does not answer, as servers want it to.
const silence = 3 * time.Second

// breakAll breaks connections between a and b, as kernels do for machines that are cut off for long.
func (e *ensemble) breakAll(a, b []*member) {
	for _, x := range a {
		for _, y := range b {
			e.relay(x, y).breakAll()
			e.relay(y, x).breakAll()
		}
	}
}

// part separates two heaps, or keeps b from hearing a.
func (w *world) part(r *rand.Rand, deal dealing, bothWays bool) {
	a, b := deal(w, r)
	w.told("cut %v from %v, both ways: %v", names(a), names(b), bothWays)
	w.e.sever(a, b)
	if bothWays {
		w.e.sever(b, a)
	}
	w.apart(r, a, b)
}

// apart waits while a and b are apart.
func (w *world) apart(r *rand.Rand, a, b []*member) {
	whole := between(r, 100*time.Millisecond, 8*time.Second)
	first := min(whole, silence)
	_ = sleep(w.load, first)
	if whole > first && r.IntN(3) > 0 {
		w.told("connections break: %v, %v", names(a), names(b))
		w.e.breakAll(a, b)
	}
	_ = sleep(w.load, whole-first)
	w.e.healLinks()
}

// bridge parts two heaps, and one server sees both.
func (w *world) bridge(r *rand.Rand) {
	all := w.e.some(r, len(w.e.members))
	n := 1 + r.IntN(len(all)-2)
	a, b := all[1:1+n], all[1+n:]
	w.told("cut %v from %v; %d sees both", names(a), names(b), all[0].id)
	w.e.sever(a, b)
	w.e.sever(b, a)
	w.apart(r, a, b)
}

// halfOpen takes a server off the network for long, and when it is back nobody knows its connections any more.
func (w *world) halfOpen(r *rand.Rand) {
	a, b := one(w, r)
	w.told("%v vanishes", names(a))
	w.e.sever(a, b)
	w.e.sever(b, a)
	_ = sleep(w.load, between(r, time.Second, 8*time.Second))
	w.e.breakAll(a, b)
	w.e.healLinks()
}

// flap cuts and mends links again and again.
func (w *world) flap(r *rand.Rand) {
	a, b := halves(w, r)
	w.told("flap between %v and %v", names(a), names(b))
	for range 4 + r.IntN(12) {
		w.e.sever(a, b)
		if r.IntN(2) == 0 {
			w.e.sever(b, a)
		}
		_ = sleep(w.load, between(r, 50*time.Millisecond, time.Second))
		if r.IntN(3) == 0 {
			w.e.breakAll(a, b)
		}
		w.e.healLinks()
		_ = sleep(w.load, between(r, 20*time.Millisecond, time.Second))
	}
}

// weather makes some links between servers worse.
func (w *world) weather(r *rand.Rand, bad weather) {
	w.told("links: %+v", bad)
	for _, row := range w.e.links {
		for _, l := range row {
			if l != nil && r.IntN(3) > 0 {
				l.worsen(bad)
			}
		}
	}
	_ = sleep(w.load, between(r, time.Second, 8*time.Second))
	w.e.healLinks()
}

// cutClients cuts a machine off all servers or some.
func (w *world) cutClients(r *rand.Rand, there, back bool) {
	g := w.groups[r.IntN(len(w.groups))]
	w.told("%s: cut there %v, back %v", g.name, there, back)
	all := r.IntN(2) == 0
	for i := range g.there {
		if !all && r.IntN(2) == 0 {
			continue
		}
		if there {
			g.there[i].sever()
		}
		if back {
			g.back[i].sever()
		}
	}
	_ = sleep(w.load, between(r, 200*time.Millisecond, 6*time.Second))
	if r.IntN(2) == 0 {
		g.breakAll()
	}
	g.heal()
}

func (g *group) breakAll() {
	for _, l := range g.relays {
		l.breakAll()
	}
}

func (w *world) clientWeather(r *rand.Rand, bad weather) {
	g := w.groups[r.IntN(len(w.groups))]
	w.told("%s: %+v", g.name, bad)
	for i := range g.there {
		g.there[i].worsen(bad)
		g.back[i].worsen(bad)
	}
	_ = sleep(w.load, between(r, time.Second, 6*time.Second))
	g.heal()
}

// resetClients breaks connections again and again, in the middle of whatever is on them.
func (w *world) resetClients(r *rand.Rand) {
	g := w.groups[r.IntN(len(w.groups))]
	w.told("%s: resets", g.name)
	for range 1 + r.IntN(8) {
		g.breakAll()
		_ = sleep(w.load, between(r, 10*time.Millisecond, 500*time.Millisecond))
	}
}

// pausePuppet pauses a client for less or more than its session lasts.
func (w *world) pausePuppet(r *rand.Rand) {
	p := w.all[r.IntN(len(w.all))]
	w.told("pause a client of %s", p.cfg.Name)
	p.signal(syscall.SIGSTOP)
	_ = sleep(w.load, between(r, 500*time.Millisecond, 6*time.Second))
	p.signal(syscall.SIGCONT)
}

func (w *world) killPuppet(r *rand.Rand) {
	p := w.all[r.IntN(len(w.all))]
	w.told("kill a client of %s", p.cfg.Name)
	p.kill()
	_ = sleep(w.load, between(r, 10*time.Millisecond, 3*time.Second))
	p.start()
}
