package client

import (
	"sync/atomic"
	"time"
)

// suspendMin is the least difference between the clocks that counts as a suspended machine. Less is covered by the
// margin of every deadline; reading two clocks one after the other makes a difference, too.
const suspendMin = 250 * time.Millisecond

// clock tells the time elapsed since it was made, the time the machine was asleep included. Go's monotonic clock stops
// then (golang/go#24595), the timeouts of the servers do not.
type clock struct {
	start  time.Time
	boot   bool         // the machine has a clock to compare with
	ahead  atomic.Int64 // of the boot-time clock over the monotonic one, when last looked at
	asleep atomic.Int64 // sum of the jumps of ahead
}

func newClock() *clock {
	c := &clock{start: time.Now()}
	boot, ok := bootTime()
	if c.boot = ok && !virtual(c.start); c.boot {
		c.ahead.Store(int64(boot - time.Since(c.start)))
	}
	return c
}

// now returns the time elapsed.
func (c *clock) now() time.Duration {
	elapsed := time.Since(c.start)
	if c.boot {
		boot, _ := bootTime()
		c.compare(boot - elapsed)
	}
	return elapsed + time.Duration(c.asleep.Load())
}

func (c *clock) compare(ahead time.Duration) {
	before := c.ahead.Load()
	switch jump := int64(ahead) - before; {
	case jump > int64(suspendMin):
		if c.ahead.CompareAndSwap(before, int64(ahead)) {
			c.asleep.Add(jump)
		}
	case jump < 0:
		c.ahead.CompareAndSwap(before, int64(ahead))
	}
}
