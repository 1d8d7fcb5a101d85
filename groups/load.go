package groups

import (
	"context"
	"math"
	"time"
)

// loadStep is the least change of load that is worth waking all pickers for.
const loadStep = 0.1

// hysteresis decides when a load is published: not for small changes, and not too often. Time is passed in.
type hysteresis struct {
	every time.Duration
	last  float64
	at    time.Time // of the last publication
}

// due tells whether load is to be published now, and takes it as published if so.
func (h *hysteresis) due(load float64, now time.Time) bool {
	const dust = 1e-9 // 0.3-0.2 is a tenth, too
	if math.IsNaN(load) || math.IsInf(load, 0) || math.Abs(load-h.last) < loadStep-dust || now.Sub(h.at) < h.every {
		return false
	}
	h.last, h.at = load, now
	return true
}

// ReportLoad asks f for the load every second (more often if ReportEvery is less) until ctx ends or the registration is
// closed, and publishes what differs by a tenth or more from what was published last, at most as often as ReportEvery
// says. Run it in a goroutine of its own; f is called by that one alone, and what is not a number is passed over.
func (r *Registration) ReportLoad(ctx context.Context, f func() float64) {
	h := hysteresis{every: r.every, last: r.Instance().Load}
	ticker := time.NewTicker(max(min(time.Second, r.every), time.Millisecond))
	defer ticker.Stop()
	for {
		if load := f(); h.due(load, time.Now()) {
			_ = r.change(func(in *Instance) { in.Load = load }) // a finite number is no reason to refuse
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		case <-r.closed:
			return
		}
	}
}
