//go:build race

package servertest

import "runtime"

// oneProcessor is called before bubbles are used. In a bubble of testing/synctest the timers of all processors share one
// context of the race detector (runtime.timer.unlockAndRun, Go 1.25 and 1.26): two goroutines that look at expired timers
// at the same moment crash the process. On one processor there is no same moment. Races are found all the same: the
// detector goes by what is ordered, not by what meets.
func oneProcessor() {
	if runtime.GOMAXPROCS(0) > 1 {
		runtime.GOMAXPROCS(1)
	}
}
