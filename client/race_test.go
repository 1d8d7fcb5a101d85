//go:build race

package client_test

import (
	"runtime"
	"testing"
	"testing/synctest"
)

const raceEnabled = true // the race detector allocates, and makes pools forget

// bubble is synctest.Test on one processor. In a bubble the timers of all processors share one context of the race
// detector (runtime.timer.unlockAndRun, Go 1.25 and 1.26): two goroutines that look at expired timers at the same moment
// crash the process. On one processor there is no same moment. Races are found all the same: the detector goes by what is
// ordered, not by what meets.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, f)
}
