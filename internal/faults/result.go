//go:build linux

package faults

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/docent-io/docent/internal/history"
)

// result is what one seed came to.
type result struct {
	plan    plan
	took    time.Duration
	acked   int64
	unknown int64
	creates int64
	ops     int
	verdict history.Verdict
	r       records
	wrong   []error
	dir     string // what is kept if something is wrong
}

// fewest is how many requests a second must have been answered on average for a seed to count.
const fewest = 100

func (r *result) rate() float64 { return float64(r.acked) / r.plan.load.Seconds() }

// verdict is a word for the line.
func (r *result) word() string {
	switch {
	case len(r.wrong) > 0:
		return "FAILED"
	case r.rate() < fewest:
		return "thin"
	}
	return "ok"
}

// String returns one line.
func (r *result) String() string {
	n := 0
	var each []string
	for _, name := range slices.Sorted(maps.Keys(r.r.steps)) {
		n += r.r.steps[name]
		each = append(each, fmt.Sprintf("%s %d", name, r.r.steps[name]))
	}
	events, fenced, lives := 0, 0, 0
	for _, n := range r.r.lives {
		lives += n
	}
	for _, s := range r.r.streams {
		events += len(s.Events)
	}
	for _, f := range r.r.fenced {
		fenced += len(f)
	}
	return fmt.Sprintf("%d %s servers=%d seconds=%.0f acked=%d rate=%.0f unknown=%d creates=%d ops=%d histories=%d undecided=%d transfers=%d events=%d fenced=%d lives=%d connections=%d faults=%d progress=%v (%s)%s",
		r.plan.seed, r.word(), r.plan.servers, r.took.Seconds(), r.acked, r.rate(), r.unknown, r.creates, r.ops, r.verdict.Histories, r.verdict.Undecided,
		r.r.transfers, events, fenced, lives, r.r.ends, n, r.r.worst.Round(10*time.Millisecond), strings.Join(each, ", "), strings.Join(r.r.notes, ""))
}
