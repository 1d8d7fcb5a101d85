package bench

import (
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// Result is what a run measured, as it goes into JSON. Latencies are in microseconds, other times in seconds.
type Result struct {
	Load       Load              `json:"load"`
	Start      time.Time         `json:"start"` // of what counts, after the warm-up
	Seconds    float64           `json:"seconds"`
	Ops        int64             `json:"ops"` // acknowledged within Seconds
	Rate       float64           `json:"rate"`
	Reads      float64           `json:"read_rate"`
	Writes     float64           `json:"write_rate"`
	Latency    Latency           `json:"latency"` // of all; in an open load of all that were due within Seconds
	ReadLat    Latency           `json:"read_latency"`
	WriteLat   Latency           `json:"write_latency"`
	Kinds      map[string]Kind   `json:"kinds"`
	Errors     map[string]int64  `json:"errors,omitempty"`     // replies that were errors, by what they say
	Lost       int64             `json:"lost,omitempty"`       // requests under way when their connection broke
	Reconnects int64             `json:"reconnects,omitempty"` // connections that broke
	Expired    int64             `json:"expired,omitempty"`    // sessions that ended meanwhile
	Timeline   *Timeline         `json:"timeline,omitempty"`
	Processes  []Process         `json:"processes,omitempty"`
	CPUPerOp   float64           `json:"cpu_us_per_op,omitempty"` // of all processes together
	Notes      map[string]string `json:"notes,omitempty"`
}

// Load repeats what was asked for.
type Load struct {
	Servers  []string `json:"servers"`
	Conns    int      `json:"conns"`
	InFlight int      `json:"in_flight"`
	Mix      string   `json:"mix"`
	Size     int      `json:"size"`
	Nodes    int      `json:"nodes"`
	Zipf     float64  `json:"zipf,omitempty"`
	Rate     float64  `json:"rate,omitempty"`
	WarmUp   float64  `json:"warm_up_s"`
	Sessions int      `json:"idle_sessions,omitempty"`
	Watches  int      `json:"watches,omitempty"`
}

// Kind is what requests of one kind did.
type Kind struct {
	Rate    float64 `json:"rate"`
	Latency Latency `json:"latency"`
}

// Latency sums up a histogram, in microseconds.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_us"`
	P50   float64 `json:"p50_us"`
	P90   float64 `json:"p90_us"`
	P99   float64 `json:"p99_us"`
	P999  float64 `json:"p999_us"`
	Max   float64 `json:"max_us"`
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func latencyOf(h *Histogram) Latency {
	q := func(q float64) float64 { return micros(h.Quantile(q)) }
	return Latency{h.Count(), micros(h.Mean()), q(0.5), q(0.9), q(0.99), q(0.999), micros(h.Max())}
}

// tally is what a worker counts.
type tally struct {
	took                      [kinds]Histogram // of requests that were due while the run counted
	acked                     [kinds]int64     // acknowledged while the run counted
	errors                    map[wire.Code]int64
	lost, reconnects, expired int64
	points                    []Point
}

// count counts a reply.
func (t *tally) count(r *run, p *pending, now time.Duration, code wire.Code) {
	inTime := now >= r.from && now < r.end
	if inTime && r.cfg.Timeline > 0 {
		t.point(int((now-r.from)/r.cfg.Timeline), p, code)
	}
	if code != wire.OK {
		if t.errors == nil {
			t.errors = make(map[wire.Code]int64)
		}
		t.errors[code]++
		return
	}
	if inTime {
		t.acked[p.kind]++
	}
	if p.due >= r.from && p.due < r.end {
		t.took[p.kind].Add(now - p.due)
	}
}

func (t *tally) point(i int, p *pending, code wire.Code) {
	for len(t.points) <= i {
		t.points = append(t.points, Point{})
	}
	switch pt := &t.points[i]; {
	case code != wire.OK:
		pt.Errors++
	case p.kind.write():
		pt.Writes++
	default:
		pt.Reads++
	}
}

// result sums up what the workers counted.
func (r *run) result(workers []*worker) *Result {
	cfg := r.cfg
	res := &Result{
		Load:  Load{cfg.Addrs, cfg.Conns, cfg.InFlight, cfg.Mix.String(), cfg.Size, cfg.Nodes, cfg.Zipf, cfg.Rate, cfg.WarmUp.Seconds(), cfg.Sessions, cfg.Watches},
		Start: r.t0.Add(r.from), Seconds: cfg.Duration.Seconds(), Kinds: make(map[string]Kind),
	}
	var all, reads, writes, byKind = Histogram{}, Histogram{}, Histogram{}, [kinds]Histogram{}
	var acked [kinds]int64
	for _, w := range workers {
		for k := range kinds {
			byKind[k].Merge(&w.took[k])
			acked[k] += w.acked[k]
		}
		for code, n := range w.errors {
			if res.Errors == nil {
				res.Errors = make(map[string]int64)
			}
			res.Errors[code.Error()] += n
		}
		res.Lost += w.lost
		res.Reconnects += w.reconnects
		res.Expired += w.expired
	}
	for k := range kinds {
		if acked[k] == 0 && byKind[k].Count() == 0 {
			continue
		}
		rate := float64(acked[k]) / res.Seconds
		res.Kinds[k.String()] = Kind{rate, latencyOf(&byKind[k])}
		res.Ops += acked[k]
		all.Merge(&byKind[k])
		if k.write() {
			writes.Merge(&byKind[k])
			res.Writes += rate
		} else {
			reads.Merge(&byKind[k])
			res.Reads += rate
		}
	}
	res.Rate = float64(res.Ops) / res.Seconds
	res.Latency, res.ReadLat, res.WriteLat = latencyOf(&all), latencyOf(&reads), latencyOf(&writes)
	if cfg.Timeline > 0 {
		res.Timeline = r.timeline(workers)
	}
	return res
}
