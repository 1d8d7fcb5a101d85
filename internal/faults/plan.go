//go:build linux

package faults

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// plan is what a seed draws before anything happens.
type plan struct {
	seed      uint64
	servers   int
	load      time.Duration // how long clients and faults are at it
	snapshots int           // bytes of log between two
	smallDisk int           // which member's disk can be filled; -1: none
	sabotage  sabotage
}

func draw(seed uint64, load time.Duration) plan {
	r := rand.New(rand.NewPCG(seed, 9))
	p := plan{seed: seed, servers: 3, load: load, snapshots: 64 << 10 << (2 * r.IntN(4)), smallDisk: -1}
	if r.IntN(3) == 0 {
		p.servers = 5
	}
	if r.IntN(2) == 0 {
		p.smallDisk = r.IntN(p.servers)
	}
	return p
}

// flags are those of all servers.
func (p plan) flags() []string {
	return []string{"--snapshot-bytes", fmt.Sprint(p.snapshots)}
}
