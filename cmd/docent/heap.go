package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// heapRoom is what a server's heap may grow by before the collector runs, however little of it is alive. Go's own
	// measure, as much again as is alive, is small where a tree is, and a busy server with a small tree collects dozens of
	// times a second: a fifth of its work.
	heapRoom = 64 << 20
	usualGC  = 100 // Go's measure, in percent
)

// keepRoom sees to that until ctx ends. A GOGC in the environment is somebody's own decision and stands; so does GOMEMLIMIT,
// to which the collector holds itself in any case.
func keepRoom(ctx context.Context) {
	if _, set := os.LookupEnv("GOGC"); set {
		return
	}
	alive := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for now := 0; ; {
		metrics.Read(alive)
		if p := roomPercent(alive[0].Value.Uint64()); p < now*7/8 || p > now*9/8 {
			debug.SetGCPercent(p)
			now = p
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// roomPercent is the growth, in percent of what is alive, that gives it its room.
func roomPercent(alive uint64) int {
	const least = 4 << 20 // before the first collection nothing is known to be alive
	return max(usualGC, int(heapRoom*100/max(alive, least)))
}
