package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Quantiles are those of the sorted list, to within 1 %.
func TestHistogram_Quantiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() time.Duration{
		"small":   func() time.Duration { return time.Duration(rng.IntN(200)) },
		"uniform": func() time.Duration { return time.Duration(rng.Int64N(int64(time.Second))) },
		"heavy":   func() time.Duration { return time.Duration(math.Exp(rng.Float64() * 40)) },
	} {
		var whole, a, b Histogram
		var all []time.Duration
		for i := range 20_000 {
			d := draw()
			all = append(all, d)
			whole.Add(d)
			if i%3 == 0 {
				a.Add(d)
			} else {
				b.Add(d)
			}
		}
		a.Merge(&b)
		slices.Sort(all)
		for _, q := range []float64{0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1} {
			want := all[max(int(math.Ceil(q*float64(len(all))))-1, 0)]
			got := whole.Quantile(q)
			if off := math.Abs(float64(got - want)); off > 0.01*float64(want) && off > 1 {
				t.Errorf("%s: quantile %v is %v, want %v", name, q, got, want)
			}
			if merged := a.Quantile(q); merged != got {
				t.Errorf("%s: quantile %v is %v after a merge, want %v", name, q, merged, got)
			}
		}
		if whole.Count() != 20_000 || a.Mean() != whole.Mean() || whole.Max() != all[len(all)-1] {
			t.Errorf("%s: count %d, mean %v, max %v", name, whole.Count(), whole.Mean(), whole.Max())
		}
	}
}

func TestHistogram_Edges(t *testing.T) {
	var h Histogram
	if h.Quantile(0.5) != 0 || h.Mean() != 0 || h.Max() != 0 {
		t.Error("an empty histogram is not 0")
	}
	h.Add(-time.Second)
	h.Add(math.MaxInt64)
	if h.Quantile(0) != 0 || h.Quantile(1) < math.MaxInt64/100*99 {
		t.Errorf("quantiles %v and %v", h.Quantile(0), h.Quantile(1))
	}
	for _, d := range []time.Duration{0, 1, 63, 64, 127, 128, 129, 1 << 20, 1<<62 + 12345, math.MaxInt64} {
		low, width := bucketRange(bucketOf(d))
		if d < low || d-low >= width {
			t.Errorf("%d is in the bucket from %d on, %d wide", d, low, width)
		}
	}
}

// Keys are chosen as often as Zipf's law says.
func TestZipf(t *testing.T) {
	const n, draws = 50, 400_000
	for _, s := range []float64{0.5, 0.99, 1, 1.5} {
		rng := rand.New(rand.NewPCG(3, 4))
		z := zipf(n, s)
		var sum float64
		for k := range n {
			sum += math.Pow(float64(k+1), -s)
		}
		var got [n]int
		for range draws {
			got[z.pick(rng)]++
		}
		for k := range n {
			p := math.Pow(float64(k+1), -s) / sum
			sigma := math.Sqrt(draws * p * (1 - p))
			if off := math.Abs(float64(got[k]) - draws*p); off > 5*sigma {
				t.Errorf("exponent %v: key %d came %d times, want %.0f", s, k, got[k], draws*p)
			}
		}
	}
	if zipf(1, 0.99).pick(rand.New(rand.NewPCG(1, 1))) != 0 {
		t.Error("of one key, another was chosen")
	}
}

func TestNodes_Data(t *testing.T) {
	for _, size := range []int{0, 3, 8, 100} {
		ns := newNodes(&Config{Root: "/r", Nodes: 250, Size: size})
		data := ns.appendData(nil, 7)
		if len(data) != size || !ns.holds(data, 7) {
			t.Errorf("size %d: %q is not the data of node 7", size, data)
		}
		if size >= 8 && ns.holds(data, 8) {
			t.Errorf("size %d: the data of node 7 are those of 8", size)
		}
		if ns.holds(append(data, 0), 7) {
			t.Errorf("size %d: one byte more goes unnoticed", size)
		}
		if size > 8 {
			data[size-1]++
			if ns.holds(data, 7) {
				t.Errorf("size %d: another byte goes unnoticed", size)
			}
		}
	}
	ns := newNodes(&Config{Root: "/r", Nodes: 250})
	if p := ns.path(249); p != "/r/d00002/n49" || ns.inFolder(2) != 50 || ns.folders() != 3 || len(p) != ns.pathLen() {
		t.Errorf("node 249 of 250 is %s, one of %d", p, ns.inFolder(2))
	}
}

func TestGaps(t *testing.T) {
	const ms = time.Millisecond
	g := newGaps(true, 100*ms, 200*ms)
	for _, at := range []time.Duration{50, 101, 103, 102, 120, 121, 126, 300} {
		g.acknowledged(at * ms)
	}
	want := []Gap{{0.003, 0.02}, {0.021, 0.026}, {0.026, 0.1}}
	if len(g.list) != len(want) {
		t.Fatalf("gaps %v, want %v", g.list, want)
	}
	for i, w := range want {
		if math.Abs(g.list[i].From-w.From) > 1e-9 || math.Abs(g.list[i].To-w.To) > 1e-9 {
			t.Errorf("gap %d is %v, want %v", i, g.list[i], w)
		}
	}
}
