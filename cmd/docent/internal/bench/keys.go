package bench

import (
	"math"
	"math/rand/v2"
)

// keyPicker chooses a key from 0 to n-1.
type keyPicker interface{ pick(rng *rand.Rand) int }

// uniform chooses each key as often as the others.
type uniform int

func (n uniform) pick(rng *rand.Rand) int {
	if n == 1 {
		return 0
	}
	return rng.IntN(int(n))
}

// weighted chooses among keys of given weights in constant time: Walker's alias method, with Vose's way to build the
// table. A key is either the one drawn, with the probability own, or its alias.
type weighted struct {
	own   []float64
	alias []int32
}

func (w *weighted) pick(rng *rand.Rand) int {
	i := rng.IntN(len(w.own))
	if rng.Float64() < w.own[i] {
		return i
	}
	return int(w.alias[i])
}

// zipf returns a picker that chooses key k with a probability in proportion to 1/(k+1)^s. Any s above 0 will do; math/rand's
// needs one above 1, and 0.99 is what loads are usually given as.
func zipf(n int, s float64) *weighted {
	weights, sum := make([]float64, n), 0.0
	for k := range weights {
		weights[k] = math.Pow(float64(k+1), -s)
		sum += weights[k]
	}
	w := &weighted{own: weights, alias: make([]int32, n)}
	var small, large []int32
	for k := range weights {
		if weights[k] *= float64(n) / sum; weights[k] < 1 {
			small = append(small, int32(k))
		} else {
			large = append(large, int32(k))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		w.alias[s] = l
		if weights[l] -= 1 - weights[s]; weights[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	for _, k := range append(small, large...) {
		weights[k] = 1 // but for rounding
	}
	return w
}
