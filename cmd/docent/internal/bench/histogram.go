package bench

import (
	"math/bits"
	"time"
)

// subBits is the resolution of a Histogram: a bucket is at most 1/64 of its values wide.
const subBits = 6

// Histogram counts durations in buckets whose width grows with the value, so quantiles are off by less than 1 %
// wherever they lie. The zero Histogram is empty.
type Histogram struct {
	count   int64
	sum     time.Duration
	max     time.Duration
	buckets []int64 // grown to the largest value seen
}

// Add counts d; a negative one counts as 0.
func (h *Histogram) Add(d time.Duration) {
	d = max(d, 0)
	i := bucketOf(d)
	if i >= len(h.buckets) {
		h.buckets = append(h.buckets, make([]int64, i+1-len(h.buckets)+1<<subBits)...)
	}
	h.buckets[i]++
	h.count++
	h.sum += d
	h.max = max(h.max, d)
}

// Merge adds what other counted.
func (h *Histogram) Merge(other *Histogram) {
	if n := len(other.buckets) - len(h.buckets); n > 0 {
		h.buckets = append(h.buckets, make([]int64, n)...)
	}
	for i, n := range other.buckets {
		h.buckets[i] += n
	}
	h.count += other.count
	h.sum += other.sum
	h.max = max(h.max, other.max)
}

// Count returns how many durations were added.
func (h *Histogram) Count() int64 { return h.count }

// Max returns the longest.
func (h *Histogram) Max() time.Duration { return h.max }

// Mean returns the mean, 0 if there is none.
func (h *Histogram) Mean() time.Duration {
	if h.count == 0 {
		return 0
	}
	return h.sum / time.Duration(h.count)
}

// Quantile returns the duration that a share q of those added do not exceed, to within 1 %; 0 if there is none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := int64(q * float64(h.count))
	if float64(rank) < q*float64(h.count) || rank == 0 {
		rank++ // the smallest value with at least that share at or below it
	}
	for i, n := range h.buckets {
		if rank -= n; rank <= 0 && n > 0 {
			low, width := bucketRange(i)
			return min(low+width/2, h.max)
		}
	}
	return h.max
}

// bucketOf returns the bucket of d: one for each value below 2^subBits, then 2^subBits for each power of two.
func bucketOf(d time.Duration) int {
	shift := max(bits.Len64(uint64(d))-subBits-1, 0)
	return shift<<subBits + int(d>>shift)
}

// bucketRange returns the least value of bucket i, and how many values it holds.
func bucketRange(i int) (low, width time.Duration) {
	if i < 2<<subBits {
		return time.Duration(i), 1
	}
	shift := i>>subBits - 1
	return time.Duration(i-shift<<subBits) << shift, 1 << shift
}
