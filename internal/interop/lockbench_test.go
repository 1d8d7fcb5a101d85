package interop_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/interop/peers"
)

// benchRounds is how often each program is measured, in turns with the others.
const benchRounds = 5

// BenchmarkLocks compares the locks of docent, Curator and go-zookeeper on one docent server, which syncs to disk. Each
// round measures all of them, one after the other; the table shows medians, and the least and largest in brackets. The
// rounds before, which do not count, are for the Java virtual machine. Run it by `make bench-locks`.
func BenchmarkLocks(b *testing.B) {
	addr := peers.Standalone(b, peers.Build(b, "./cmd/docent")).Addr
	all := []*contender{docentContender(b), curatorContender(b), gozkContender(b)}
	cases := []struct {
		name       string
		contenders int
	}{{"acquire and release, uncontended", 1}, {"hand-over among 50 contenders", 50}}
	var table strings.Builder
	fmt.Fprintf(&table, "\n| per second | %s | %s | %s | docent / %[2]s | docent / %[3]s |\n|---|---:|---:|---:|---:|---:|\n", all[0].Name, all[1].Name, all[2].Name)
	for _, c := range cases {
		got := make([][]float64, len(all))
		for round := -2; round < benchRounds; round++ {
			for i, p := range all {
				rate := p.rate(b, addr, fmt.Sprintf("/bench/%s-%d", strings.Fields(c.name)[0], i), c.contenders)
				if round >= 0 {
					got[i] = append(got[i], rate)
				}
			}
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %.2f× | %.2f× |\n", c.name, spread(got[0]), spread(got[1]), spread(got[2]),
			median(got[0])/median(got[1]), median(got[0])/median(got[2]))
		b.ReportMetric(median(got[0])/max(median(got[1]), median(got[2])), strings.Fields(c.name)[0]+"-ratio")
	}
	fmt.Fprint(os.Stderr, table.String())
}

// rate measures turns per second.
func (c *contender) rate(b *testing.B, addr, path string, contenders int) float64 {
	b.Helper()
	answer, err := c.do("bench", addr, path, contenders, 3000)
	if err != nil {
		b.Fatal(err)
	}
	var n, ns int64
	if _, err := fmt.Sscan(answer, &n, &ns); err != nil {
		b.Fatalf("%s: %q: %v", c.Name, answer, err)
	}
	return float64(n) / time.Duration(ns).Seconds()
}

func median(x []float64) float64 {
	x = slices.Sorted(slices.Values(x))
	return x[len(x)/2]
}

func spread(x []float64) string {
	return fmt.Sprintf("%.0f [%.0f–%.0f]", median(x), slices.Min(x), slices.Max(x))
}
