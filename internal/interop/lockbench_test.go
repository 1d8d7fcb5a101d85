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

// benchRounds is how often each way of locking is measured, in turns with the others, and benchLasts for how long.
const (
	benchRounds = 7
	benchLasts  = 1500 * time.Millisecond
)

// way is how a program takes its turns in a benchmark.
type way struct {
	name  string
	order string
	*contender
}

// BenchmarkLocks compares the locks of docent, Curator and go-zookeeper on one docent server, which syncs to disk. Each
// round measures all of them, one after the other; the table shows medians, and the least and largest in brackets. The
// rounds before, which do not count, are for the Java virtual machine. It fails if who relocks is not ahead of both others
// in the medians: that is what docent has for turn after turn, and one sync less for each is no matter of chance. Lock and
// Unlock take the same syncs as the others do, and are printed beside. Run it by `make bench-locks`.
func BenchmarkLocks(b *testing.B) {
	addr := peers.Standalone(b, peers.Build(b, "./cmd/docent")).Addr
	ours := docentContender(b)
	ways := []way{{"docent, Relock", "relock", ours}, {"docent", "bench", ours},
		{"Curator", "bench", curatorContender(b)}, {"go-zookeeper", "bench", gozkContender(b)}}
	const peersFrom = 2
	cases := []struct {
		name       string
		contenders int
	}{{"acquire and release, uncontended", 1}, {"hand-over among 50 contenders", 50}}
	table := new(strings.Builder)
	fmt.Fprint(table, "\n| per second |")
	for _, w := range ways {
		fmt.Fprintf(table, " %s |", w.name)
	}
	fmt.Fprintf(table, "\n|---|%s\n", strings.Repeat("---:|", len(ways)))
	for _, c := range cases {
		got := make([][]float64, len(ways))
		for round := -2; round < benchRounds; round++ {
			for i := range ways {
				i = (i + round + 2) % len(ways) // nobody is always the first
				rate := ways[i].rate(b, addr, fmt.Sprintf("/bench/%d-%d", c.contenders, i), c.contenders)
				if round >= 0 {
					got[i] = append(got[i], rate)
				}
			}
		}
		fmt.Fprintf(table, "| %s |", c.name)
		for i := range ways {
			fmt.Fprintf(table, " %s |", spread(got[i]))
		}
		fmt.Fprintln(table)
		for i, w := range ways[:peersFrom] {
			fmt.Fprintf(table, "| of it, %s to |", w.name)
			for j, peer := range ways[peersFrom:] {
				ratio := median(got[i]) / median(got[peersFrom+j])
				fmt.Fprintf(table, " %s: %.2f× |", peer.name, ratio)
				if ratio <= 1 && w.order == "relock" {
					b.Errorf("%s: %s is not ahead of %s: %.2f×", c.name, w.name, peer.name, ratio)
				}
			}
			fmt.Fprintln(table)
		}
	}
	fmt.Fprint(os.Stderr, table.String())
}

// rate measures turns per second.
func (w *way) rate(b *testing.B, addr, path string, contenders int) float64 {
	b.Helper()
	answer, err := w.do(w.order, addr, path, contenders, benchLasts.Milliseconds())
	if err != nil {
		b.Fatal(err)
	}
	var n, ns int64
	if _, err := fmt.Sscan(answer, &n, &ns); err != nil {
		b.Fatalf("%s: %q: %v", w.name, answer, err)
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
