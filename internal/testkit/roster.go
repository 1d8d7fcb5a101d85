package testkit

import (
	"context"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Roster notes who says that it holds something, for tests of who may hold what at the same time. Its zero value is
// empty, and it may be used by several goroutines.
type Roster[T any] struct {
	mu    sync.Mutex // guards the fields below
	all   []holder[T]
	total int
}

type holder[T any] struct {
	ctx  context.Context
	what T
}

// Enter notes that what is held until ctx ends, and returns all that was held at one and the same moment after that,
// the newcomer last; nothing if ctx has ended.
//
// There is such a moment, without any clock: a context that has ended never comes back. So those whose contexts are
// found alive one after the other, after all of them had entered, were alive together when the first was looked at.
func (r *Roster[T]) Enter(ctx context.Context, what T) (together []T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total++
	r.all = append(r.all, holder[T]{ctx, what})
	r.all = slices.DeleteFunc(r.all, func(h holder[T]) bool { return h.ctx.Err() != nil })
	if ctx.Err() != nil {
		return nil
	}
	for _, h := range r.all {
		together = append(together, h.what)
	}
	return together
}

// Total returns how often Enter was called.
func (r *Roster[T]) Total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// Spans notes stretches of time, to tell later what fell into one. Its zero value is empty, and it may be used by
// several goroutines.
type Spans struct {
	mu  sync.Mutex // guards all
	all []span
}

type span struct{ from, to time.Time }

// Begin begins a stretch, which lasts until end is called.
func (s *Spans) Begin() (end func()) {
	from := time.Now()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all = append(s.all, span{from, time.Now()})
	}
}

// Contain tells whether at lies within a stretch that has ended.
func (s *Spans) Contain(at time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.all, func(x span) bool { return !at.Before(x.from) && !at.After(x.to) })
}

// Count is how many random runs a test makes: few unless the environment says otherwise, by DOCENT_SCHEDULES. Under the
// race detector it is a tenth: that breaks down by itself after some hundred bubbles of testing/synctest (golang/go #78156).
func Count(t testing.TB, few int) int {
	t.Helper()
	text := os.Getenv("DOCENT_SCHEDULES")
	switch {
	case raceEnabled:
		return max(few/10, 1)
	case text == "":
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("DOCENT_SCHEDULES=%s: not a number of schedules", text)
	}
	return n
}
