package groups

import (
	"fmt"
	"testing"
)

func choice(loads ...float64) Choice {
	c := Choice{InFlight: make([]int, len(loads))}
	for i, l := range loads {
		c.Instances = append(c.Instances, Instance{ID: fmt.Sprint("i", i), Load: l})
	}
	return c
}

func TestRoundRobinTakesEveryone(t *testing.T) {
	c, seen := choice(0, 0, 0), make([]int, 3)
	for c.Turn = 0; c.Turn < 9; c.Turn++ {
		seen[RoundRobin()(c)]++
	}
	if seen[0] != 3 || seen[1] != 3 || seen[2] != 3 {
		t.Errorf("taken %v times, want 3 each", seen)
	}
}

func TestRandomStaysInside(t *testing.T) {
	c, seen := choice(0, 0, 0), make([]int, 3)
	for range 1000 {
		seen[Random()(c)]++
	}
	if seen[0] == 0 || seen[1] == 0 || seen[2] == 0 {
		t.Errorf("taken %v times in 1000", seen)
	}
}

func TestLeastLoaded(t *testing.T) {
	for range 100 {
		if got := LeastLoaded()(choice(0.7)); got != 0 {
			t.Fatalf("of one: %d", got)
		}
		if got := LeastLoaded()(choice(0.9, 0.1)); got != 1 {
			t.Fatalf("of two: %d, want the less loaded", got)
		}
		if got := LeastLoaded()(choice(0.2, 0.9, 0.3)); got == 1 {
			t.Fatal("of three: the most loaded, which loses to every other")
		}
		tie := choice(0.5, 0.5)
		tie.InFlight[0] = 1
		if got := LeastLoaded()(tie); got != 1 {
			t.Fatalf("of two alike: %d, want the one with fewer picks in flight", got)
		}
	}
}

func TestStickyMovesOnlyWhatMust(t *testing.T) {
	all := choice(0, 0, 0, 0)
	without := Choice{Instances: all.Instances[:3], InFlight: all.InFlight[:3]}
	seen := make([]int, 4)
	for k := range 4000 {
		key := fmt.Sprint("job-", k)
		before, after := Sticky(key)(all), Sticky(key)(without)
		seen[before]++
		if before != 3 && before != after {
			t.Fatalf("%s moved from %d to %d although its instance is there", key, before, after)
		}
	}
	for i, n := range seen {
		if n < 800 || n > 1200 {
			t.Errorf("instance %d has %d of 4000 keys", i, n)
		}
	}
}
