package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Text writes the result for people.
func (r *Result) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%d connections x %d, %s, %d nodes of %d bytes", strings.Join(r.Load.Servers, ","), r.Load.Conns, r.Load.InFlight, r.Load.Mix, r.Load.Nodes, r.Load.Size)
	if r.Load.Rate > 0 {
		fmt.Fprintf(&b, ", %g/s due", r.Load.Rate)
	}
	fmt.Fprintf(&b, "\n%.0f/s for %.3gs, every reply checked\n\n", r.Rate, r.Seconds)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tper second\tmean\tp50\tp90\tp99\tp99.9\tmax\t")
	for _, name := range slices.Sorted(maps.Keys(r.Kinds)) {
		latencyLine(table, name, r.Kinds[name].Rate, r.Kinds[name].Latency)
	}
	if len(r.Kinds) > 1 {
		latencyLine(table, "all", r.Rate, r.Latency)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	r.failures(&b)
	for _, p := range r.Processes {
		fmt.Fprintf(&b, "process %d: %.2f s of CPU, %d MiB, at most %d MiB\n", p.PID, p.CPU, p.RSS>>20, p.Peak>>20)
	}
	if r.CPUPerOp > 0 {
		fmt.Fprintf(&b, "CPU of all processes per request: %.2f µs\n", r.CPUPerOp)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func latencyLine(w io.Writer, name string, rate float64, l Latency) {
	fmt.Fprintf(w, "%s\t%.0f\t", name, rate)
	for _, us := range []float64{l.Mean, l.P50, l.P90, l.P99, l.P999, l.Max} {
		fmt.Fprintf(w, "%v\t", rounded(us))
	}
	fmt.Fprintln(w)
}

// rounded returns microseconds with three digits.
func rounded(us float64) time.Duration {
	d, step := time.Duration(us*float64(time.Microsecond)), time.Duration(1)
	for d/step >= 1000 {
		step *= 10
	}
	return d.Round(step)
}

// failures tells what a time line saw.
func (r *Result) failures(b *strings.Builder) {
	for _, text := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(b, "%d replies: %s\n", r.Errors[text], text)
	}
	if r.Reconnects > 0 {
		fmt.Fprintf(b, "%d connections broke, with %d requests under way; %d sessions expired\n", r.Reconnects, r.Lost, r.Expired)
	}
	if r.Timeline == nil {
		return
	}
	fmt.Fprintln(b, "\nseconds  requests per second")
	for i, p := range r.Timeline.Points {
		fmt.Fprintf(b, "%7.2f  %.0f\n", float64(i)*r.Timeline.Interval, float64(p.Reads+p.Writes)/r.Timeline.Interval)
	}
	for _, g := range r.Timeline.Gaps {
		if g.To-g.From >= r.Timeline.Interval/2 {
			fmt.Fprintf(b, "nothing acknowledged from %.3f s to %.3f s\n", g.From, g.To)
		}
	}
}
