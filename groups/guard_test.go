package groups

import (
	"fmt"
	"testing"
	"time"
)

func TestGuard(t *testing.T) {
	start := time.Unix(0, 0)
	g := &guard{window: 10 * time.Second, lost: make(map[string]*loss)}
	known := make(map[string]*entry)
	look := func(after time.Duration, names ...string) (view string, held int, again time.Time) {
		there := make(map[string]*entry)
		for _, n := range names {
			if known[n] == nil {
				known[n] = &entry{id: n, in: Instance{ID: n, Status: Up}}
			}
			there[n] = known[n]
		}
		shown, held, again := g.look(there, start.Add(after))
		for _, e := range shown {
			view += e.id
		}
		return view, held, again
	}
	check := func(after time.Duration, want string, wantHeld int, names ...string) {
		t.Helper()
		view, held, again := look(after, names...)
		if view != want || held != wantHeld || again.IsZero() != (wantHeld == 0) {
			t.Errorf("after %v: shows %q and holds %d, again at %v; want %q and %d", after, view, held, again, want, wantHeld)
		}
	}

	check(0, "abcdef", 0, "a", "b", "c", "d", "e", "f")
	check(1*time.Second, "cdef", 0, "c", "d", "e", "f") // two of six are not most
	check(2*time.Second, "def", 0, "d", "e", "f")       // half are not most
	check(3*time.Second, "abcdef", 4, "e", "f")         // bit by bit, most went within the window
	check(4*time.Second, "abcdefg", 4, "e", "f", "g")
	check(5*time.Second, "abcdefg", 6, "e")
	check(6*time.Second, "abcdefg", 2, "a", "b", "c", "d", "e") // most are back; the others are still waited for
	check(7*time.Second, "abcdefg", 2, "a", "b", "c", "d", "e")
	check(15*time.Second, "abcde", 0, "a", "b", "c", "d", "e") // for as long as the window
	check(16*time.Second, "abcde", 4, "e")
	check(26*time.Second, "e", 0, "e") // in the end it is believed
	check(30*time.Second, "", 0)
	check(31*time.Second, "ab", 0, "a", "b")
	if len(g.lost) > 1 {
		t.Errorf("remembers %d losses", len(g.lost))
	}
}

func TestGuardBelievesWhoDrained(t *testing.T) {
	g := &guard{window: time.Hour, lost: make(map[string]*loss)}
	there := make(map[string]*entry)
	for i := range 5 {
		id := fmt.Sprint(i)
		there[id] = &entry{id: id, in: Instance{ID: id, Status: Draining}}
	}
	g.look(there, time.Unix(0, 0))
	if shown, held, _ := g.look(nil, time.Unix(1, 0)); len(shown) != 0 || held != 0 {
		t.Errorf("shows %d and holds %d of those who drained", len(shown), held)
	}
}

func TestGuardLooksAtTheSelectedOnly(t *testing.T) {
	sel, err := parseSelector("flavor=slurm")
	if err != nil {
		t.Fatal(err)
	}
	g := &guard{window: time.Hour, sel: sel, lost: make(map[string]*loss)}
	all, rest := make(map[string]*entry), make(map[string]*entry)
	for i := range 20 {
		e := &entry{id: fmt.Sprintf("%02d", i), in: Instance{Flavor: "aws", Status: Up}}
		if i < 4 {
			e.in.Flavor = "slurm"
		} else {
			rest[e.id] = e
		}
		all[e.id] = e
	}
	g.look(all, time.Unix(0, 0))
	if shown, held, _ := g.look(rest, time.Unix(1, 0)); len(shown) != 4 || held != 4 {
		t.Errorf("shows %d and holds %d; want all four of the flavor", len(shown), held)
	}
	changed := make(map[string]*entry) // who does not match any more has not vanished
	for id, e := range all {
		changed[id] = &entry{id: id, mzxid: 1, in: Instance{Flavor: "aws", Status: Up}}
		_ = e
	}
	if shown, held, _ := g.look(changed, time.Unix(2, 0)); len(shown) != 0 || held != 0 {
		t.Errorf("shows %d and holds %d after all have changed their flavor", len(shown), held)
	}
}

func TestHysteresis(t *testing.T) {
	now := time.Unix(100, 0)
	h := hysteresis{every: 5 * time.Second, last: 0.5}
	for i, c := range []struct {
		after time.Duration
		load  float64
		want  bool
	}{
		{0, 0.59, false},
		{0, 0.6, true},
		{4 * time.Second, 0.9, false}, // too early
		{5 * time.Second, 0.9, true},
		{time.Minute, 0.85, false},
		{time.Minute, 0.8, true}, // a tenth, whatever binary fractions say
	} {
		if got := h.due(c.load, now.Add(c.after)); got != c.want {
			t.Errorf("%d: due(%v) after %v = %v", i, c.load, c.after, got)
		}
	}
}
