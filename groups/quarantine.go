package groups

import "time"

// quarantine remembers which instances failed their pickers in this process. An instance that failed is not picked for
// a while, twice as long after every further failure; then one pick tries it again while the others still turn away
// (half-open), and its outcome decides. Time is passed in. Not safe for concurrent use.
type quarantine struct {
	first, most time.Duration // the first wait, and the longest
	failed      map[life]*failure
}

// life is one incarnation of an instance: who registers again starts with a clean record.
type life struct {
	id    string
	epoch uint64
}

type failure struct {
	times int
	until time.Time
}

// admits tells whether the instance may be picked now.
func (q *quarantine) admits(l life, now time.Time) bool {
	f := q.failed[l]
	return f == nil || !now.Before(f.until)
}

// picked notes that the instance was given to a picker. If it was on trial, nobody else gets it until the picker tells
// how it went, or as much time has passed as if it had failed again.
func (q *quarantine) picked(l life, now time.Time) {
	if f := q.failed[l]; f != nil {
		f.until = now.Add(q.wait(f.times))
	}
}

// done notes how a pick went.
func (q *quarantine) done(l life, failed bool, now time.Time) {
	if !failed {
		delete(q.failed, l)
		return
	}
	f := q.failed[l]
	if f == nil {
		f = new(failure)
		q.failed[l] = f
	}
	f.until = now.Add(q.wait(f.times))
	f.times++
}

// wait is how long an instance is left alone that had failed so many times before.
func (q *quarantine) wait(times int) time.Duration {
	d := q.first
	for ; times > 0 && d < q.most; times-- {
		d *= 2
	}
	return min(d, q.most)
}

// keep forgets all instances that are not among alive.
func (q *quarantine) keep(alive map[life]bool) {
	for l := range q.failed {
		if !alive[l] {
			delete(q.failed, l)
		}
	}
}
