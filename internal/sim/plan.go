package sim

import (
	"io"
	"math/rand/v2"
	"time"
)

// plan is what a seed draws before anything happens.
type plan struct {
	seed           uint64
	servers        int
	spares         int // that wait to be added
	members        membership
	clients        int // that work with plain nodes
	ops            int // of each of a client's players
	hot            int // operations on the first register besides, which make for a long history
	sessionTimeout time.Duration
	snapshotBytes  int64
	limit          time.Duration   // of virtual time
	rates          []float64       // of the servers' clocks for sessions
	lags           []time.Duration // of the links between servers
	forced         bool            // sessions are ended by force, too
	jumps          bool            // of the servers' time of day
	disks          bool            // on disks that lose what was not synced; else in memory that forgets nothing
	recipe         string
	sabotage       sabotage
	logs           io.Writer // what the servers tell, if anybody wants to know
}

// Clocks for sessions may differ by so much: a client gives up a third of its timeout before the end.
const leastRate, mostRate = 0.8, 1.25

func draw(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 7))
	p := plan{
		seed: seed, servers: 3, clients: 3 + r.IntN(2), ops: 10 + r.IntN(6), limit: 5 * time.Minute,
		sessionTimeout: 2 * time.Second, snapshotBytes: 4 << 10 << r.IntN(6), forced: r.IntN(3) == 0,
		recipe: recipeNames[r.IntN(len(recipeNames))], disks: r.IntN(4) > 0,
	}
	if r.IntN(4) == 0 {
		p.servers = 5
	}
	p.jumps, p.hot = r.IntN(2) == 0, 24+r.IntN(8)
	p.drawMembers(r)
	for range p.servers + p.spares {
		p.rates = append(p.rates, leastRate+(mostRate-leastRate)*r.Float64())
		p.lags = append(p.lags, time.Duration(r.IntN(2)*r.IntN(3000))*time.Microsecond)
	}
	return p
}

// spoiled is the plan with something wrong.
func (p plan) spoiled(how sabotage) plan {
	p.sabotage = how
	if how.ofEvents() {
		p.limit = 30 * time.Second // who waits for an event that is lost waits for long
	}
	switch how {
	case fastClocks:
		for i := range p.rates {
			p.rates[i] = 3
		}
	case noSync:
		p.disks = true
	case noFence:
		p.recipe, p.forced = "mutex", true
	}
	return p
}
