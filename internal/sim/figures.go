package sim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docent-io/docent/internal/history"
	"github.com/docent-io/docent/internal/wire"
)

// result is what one schedule came to.
type result struct {
	plan    plan
	figures map[string]int
	faults  map[string]int // that were let happen, how often
	effects map[string]int // what came of them, and what was done to the ensemble
	verdict history.Verdict
	virtual time.Duration
	real    time.Duration
	failed  bool
}

// The figures of a schedule, in the order of its line.
var figureNames = []string{"acked", "unknown", "creates", "writes", "multis", "txns", "leaps", "conns", "events", "streamed", "holds", "fenced", "compared"}

// fewest is how many requests must have been answered for a schedule to count.
const fewest = 100

// counts tells whether the schedule shows anything: enough was done, and something went wrong meanwhile.
func (r *result) counts() bool { return r.figures["acked"] >= fewest && len(r.faults) > 0 }

// take reads the figures.
func (r *result) take(w *world) {
	r.virtual = time.Since(w.start)
	w.mu.Lock()
	defer w.mu.Unlock()
	f := map[string]int{
		"acked": w.r.acked, "unknown": w.r.unknown, "writes": len(w.r.writes), "conns": len(w.r.conns), "holds": w.r.holds, "fenced": w.r.fenced, "compared": w.r.compared,
		"txns": int(w.log.Last()), "leaps": w.log.Leaps(),
	}
	for _, x := range w.r.writes {
		if len(x.Changes) > 1 {
			f["multis"]++
		}
		for _, c := range x.Changes {
			if c.Type == wire.EventCreated {
				f["creates"]++
			}
		}
	}
	for _, s := range w.r.streams {
		f["streamed"] += len(s.Events)
	}
	for _, c := range w.r.conns {
		f["events"] += c.Events()
	}
	r.figures, r.effects = f, maps.Clone(w.r.happened)
}

// String returns one line, which .ci/sim-table reads.
func (r *result) String() string {
	verdict := "ok"
	switch {
	case r.failed:
		verdict = "FAILED"
	case !r.counts():
		verdict = "thin"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s servers=%d spares=%d members=%s disks=%v recipe=%s virtual=%v real=%v", r.plan.seed, verdict, r.plan.servers,
		r.plan.spares, r.plan.members, r.plan.disks, r.plan.recipe, r.virtual.Round(time.Millisecond), r.real.Round(time.Millisecond))
	for _, name := range figureNames {
		fmt.Fprintf(&b, " %s=%d", name, r.figures[name])
	}
	fmt.Fprintf(&b, " histories=%s undecided=%d | %s | %s", joined(r.verdict.Lengths), r.verdict.Undecided, listed(r.faults), listed(r.effects))
	return b.String()
}

// listed is "cut 1, drop reply 3".
func listed(counts map[string]int) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprint(name, " ", counts[name]))
	}
	return strings.Join(all, ", ")
}

func joined(n []int) string { return strings.ReplaceAll(strings.Trim(fmt.Sprint(n), "[]"), " ", ",") }

// total sums up results.
type total struct {
	mu                   sync.Mutex // guards the rest
	ran, counted, failed int
	faults               int
	histories, undecided int
	figures              map[string]int
}

func (s *total) add(r *result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran++
	if r.failed {
		s.failed++
	}
	if !r.counts() {
		return
	}
	s.counted++
	s.histories += r.verdict.Histories
	s.undecided += r.verdict.Undecided
	if s.figures == nil {
		s.figures = make(map[string]int)
	}
	for name, n := range r.figures {
		s.figures[name] += n
	}
	for _, n := range r.faults {
		s.faults += n
	}
}

// String returns one line.
func (s *total) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.figures
	return fmt.Sprintf("%d schedules of %d count, %d failed: %d faults, %d transactions, %d requests acknowledged, %d of them creates, "+
		"%d histories of registers (%d undecided), %d watch events on connections and %d in streams, %d holds granted", s.counted, s.ran,
		s.failed, s.faults, f["txns"], f["acked"], f["creates"], s.histories, s.undecided, f["events"], f["streamed"], f["holds"])
}
