package groups

import (
	"hash/fnv"
	"math/rand/v2"
)

// Choice is what a Strategy chooses from: the suitable instances, in the order of their IDs, at least one.
type Choice struct {
	Instances []Instance
	InFlight  []int  // by instance: picks of this directory that are not Done
	Turn      uint64 // grows by one with every pick of this directory
}

// Strategy chooses one of several suitable instances, by its index. It may be called by several goroutines at once,
// under no lock, and must neither keep nor change what it is given.
type Strategy func(Choice) int

// RoundRobin takes the instances in turn. The turn belongs to the directory, so a new RoundRobin for every pick goes on
// where the last one stopped.
func RoundRobin() Strategy {
	return func(c Choice) int { return int(c.Turn % uint64(len(c.Instances))) }
}

// Random takes any instance.
func Random() Strategy {
	return func(c Choice) int { return rand.IntN(len(c.Instances)) }
}

// LeastLoaded takes the less loaded of two instances chosen at random, and where they are equal the one with fewer
// picks of ours in flight. Looking for the very least loaded would send all pickers to the same instance until it
// publishes its new load. (The power of two choices: Mitzenmacher 1996.)
func LeastLoaded() Strategy {
	return func(c Choice) int {
		a := rand.IntN(len(c.Instances))
		if len(c.Instances) == 1 {
			return a
		}
		b := rand.IntN(len(c.Instances) - 1)
		if b >= a {
			b++
		}
		la, lb := c.Instances[a].Load, c.Instances[b].Load
		if lb < la || lb == la && c.InFlight[b] < c.InFlight[a] {
			return b
		}
		return a
	}
}

// Sticky takes the same instance for the same key while it can be picked, in every process; when an instance comes or
// goes, only the keys move that must. (Highest random weight: Thaler and Ravishankar 1998.)
func Sticky(key string) Strategy {
	return func(c Choice) int {
		best, heaviest := 0, uint64(0)
		for i, in := range c.Instances {
			if w := weight(key, in.ID); i == 0 || w > heaviest {
				best, heaviest = i, w
			}
		}
		return best
	}
}

// weight hashes key and id to a number that all processes agree on. FNV alone leaves the high bits of short texts
// alike, so they are mixed once more (the finalizer of SplitMix64).
func weight(key, id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(key))
	h.Write([]byte{0})
	h.Write([]byte(id))
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
