package groups

import (
	"testing"
	"time"
)

func TestQuarantine(t *testing.T) {
	q := quarantine{first: time.Second, most: 5 * time.Second, failed: make(map[life]*failure)}
	a, b := life{"a", 1}, life{"b", 2}
	now := time.Unix(0, 0)
	check := func(what string, l life, after time.Duration, want bool) {
		t.Helper()
		if got := q.admits(l, now.Add(after)); got != want {
			t.Errorf("%s: after %v admitted = %v, want %v", what, after, got, want)
		}
	}

	q.done(a, true, now)
	check("failed once", a, 999*time.Millisecond, false)
	check("failed once", a, time.Second, true)
	check("another instance", b, 0, true)
	check("registered again", life{"a", 3}, 0, true)

	now = now.Add(time.Second)
	q.picked(a, now) // half-open: one picker tries it
	check("on trial", a, 0, false)
	q.done(a, true, now)
	check("failed twice", a, 1999*time.Millisecond, false)
	check("failed twice", a, 2*time.Second, true)

	q.picked(a, now)
	check("on trial and never heard of again", a, 4*time.Second, true)
	q.done(a, false, now)
	check("well again", a, 0, true)

	for range 70 {
		q.done(a, true, now)
	}
	check("failed often", a, 4999*time.Millisecond, false)
	check("failed often", a, 5*time.Second, true)

	q.keep(map[life]bool{b: true})
	if len(q.failed) != 0 {
		t.Errorf("%d failures kept of instances that are gone", len(q.failed))
	}
}
