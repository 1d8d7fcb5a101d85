package bench

import (
	"sync"
	"time"
)

// Timeline is what was acknowledged in each interval, and when nothing was.
type Timeline struct {
	Interval float64 `json:"interval_s"`
	Points   []Point `json:"points"`
	Gaps     []Gap   `json:"gaps"` // of at least 5 ms without an acknowledged write (or read, if there are no writes)
}

// Point is one interval: how much was acknowledged.
type Point struct {
	Reads  int64 `json:"r"`
	Writes int64 `json:"w"`
	Errors int64 `json:"e,omitempty"`
}

// Gap is a time without an acknowledgement, in seconds since the start.
type Gap struct {
	From float64 `json:"from_s"`
	To   float64 `json:"to_s"`
}

// leastGap is the shortest that is told.
const leastGap = 5 * time.Millisecond

// gaps finds them while the run goes on.
type gaps struct {
	on   bool
	from time.Duration // of the run: earlier gaps do not count
	end  time.Duration

	mu   sync.Mutex // guards last and list
	last time.Duration
	list []Gap
}

func newGaps(on bool, from, end time.Duration) *gaps {
	return &gaps{on: on, from: from, end: end, last: from}
}

// acknowledged notes that something was, at a time on the clock of the run. Workers call it at once, and a little out of
// order.
func (g *gaps) acknowledged(now time.Duration) {
	if !g.on || now <= g.from {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now = min(now, g.end)
	if now-g.last >= leastGap {
		g.list = append(g.list, Gap{(g.last - g.from).Seconds(), (now - g.from).Seconds()})
	}
	g.last = max(g.last, now)
}

// timeline adds up the points of all workers.
func (r *run) timeline(workers []*worker) *Timeline {
	r.gaps.acknowledged(r.end) // closes a gap that lasts to the end
	t := &Timeline{Interval: r.cfg.Timeline.Seconds(), Points: make([]Point, (r.cfg.Duration+r.cfg.Timeline-1)/r.cfg.Timeline), Gaps: r.gaps.list}
	for _, w := range workers {
		for i, p := range w.points {
			t.Points[i].Reads += p.Reads
			t.Points[i].Writes += p.Writes
			t.Points[i].Errors += p.Errors
		}
	}
	return t
}
