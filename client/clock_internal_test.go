package client

import (
	"testing"
	"time"
)

// A machine cannot be put to sleep by a test, so this one tells the clock what it would have seen.
// Golang/go #24595: the clock that timers run by stops while the machine sleeps; k8s #125761 is what comes of it.
func TestClock_SleepCounts(t *testing.T) {
	c := newClock()
	before := c.now()
	c.compare(time.Duration(c.ahead.Load()) + suspendMin/2) // noise
	if got := c.now() - before; got > time.Minute {
		t.Errorf("noise counted as %v of sleep", got)
	}
	c.compare(time.Duration(c.ahead.Load()) + time.Hour)
	if got := c.now() - before; got < time.Hour || got > time.Hour+time.Minute {
		t.Errorf("an hour asleep counted as %v", got)
	}
	again := c.now()
	if got := c.now() - again; got > time.Minute {
		t.Errorf("the same sleep was counted twice: %v", got)
	}
}
