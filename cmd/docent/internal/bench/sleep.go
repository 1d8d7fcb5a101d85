package bench

import (
	"context"
	"time"
)

// sleep waits for d or until ctx ends. The last part is left to the system's own clock, since timers of Go are up to a
// millisecond late, which would count as latency.
func sleep(ctx context.Context, d time.Duration) {
	const coarse = 2 * time.Millisecond
	end := time.Now().Add(d)
	if d > coarse {
		pause(ctx, d-coarse)
	}
	for ctx.Err() == nil {
		rest := time.Until(end)
		if rest <= 0 {
			return
		}
		nap(rest)
	}
}
