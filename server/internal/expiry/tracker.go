package expiry

import (
	"container/heap"
	"time"
)

// Tracker knows when each session was heard last. It is not synchronized.
//
// A touch only notes the time. The heap is ordered by deadlines that may be older than the truth; whoever comes to its
// top too early is put back with the true one. So a touch costs one look-up, and a session that is heard all the time
// is moved in the heap once per timeout.
type Tracker struct {
	tick     time.Duration
	last     time.Time     // of the last tick
	delay    time.Duration // by which all deadlines have been moved so far
	sessions map[int64]*session
	queue    queue
}

// session is known until it is removed. All its times are moved: real time less the delay there was then.
type session struct {
	id      int64
	timeout time.Duration
	heard   time.Time
	closing bool
	at      time.Time // when to look at it: not later than its deadline
	index   int       // in the queue
}

// renameTicks is how many ticks after it was named a closing session is named again.
const renameTicks = 10

// New returns a tracker without sessions. Its owner calls Overdue every tick.
func New(now time.Time, tick time.Duration) *Tracker {
	return &Tracker{tick: tick, last: now, sessions: make(map[int64]*session)}
}

// Add makes a session known, or begins anew with it: it has its full timeout from now, and is not closing.
func (t *Tracker) Add(id int64, timeout time.Duration, now time.Time) {
	moved := now.Add(-t.delay)
	if s := t.sessions[id]; s != nil {
		s.timeout, s.heard, s.closing, s.at = timeout, moved, false, moved.Add(timeout)
		heap.Fix(&t.queue, s.index)
		return
	}
	s := &session{id: id, timeout: timeout, heard: moved, at: moved.Add(timeout)}
	t.sessions[id] = s
	heap.Push(&t.queue, s)
}

// Touch notes that a session was heard. It returns false if the session is unknown or was named by Overdue: then
// it is too late. Times that run backwards change nothing.
func (t *Tracker) Touch(id int64, now time.Time) bool {
	s := t.sessions[id]
	if s == nil || s.closing {
		return false
	}
	if moved := now.Add(-t.delay); moved.After(s.heard) {
		s.heard = moved
	}
	return true
}

// Deadline returns when a session is overdue unless it is heard before; ok is false if it is unknown.
func (t *Tracker) Deadline(id int64) (at time.Time, ok bool) {
	s := t.sessions[id]
	if s == nil {
		return time.Time{}, false
	}
	return s.heard.Add(s.timeout + t.delay), true
}

// Remove forgets a session.
func (t *Tracker) Remove(id int64) {
	if s := t.sessions[id]; s != nil {
		heap.Remove(&t.queue, s.index)
		delete(t.sessions, id)
	}
}

// Len returns the number of sessions.
func (t *Tracker) Len() int { return len(t.sessions) }

// Overdue names the sessions whose timeout has passed since they were last heard; from now on they are closing. Those
// that are still not removed are named again every ten ticks.
//
// When the call itself comes late, all deadlines are moved by the delay first: what a sleeping leader did not hear is
// not the sessions' fault. Less than a quarter of a tick is a timer's jitter and not late.
func (t *Tracker) Overdue(now time.Time) []int64 {
	if late := now.Sub(t.last) - t.tick; late >= t.tick/4 {
		t.delay += late
	}
	t.last = now
	moved := now.Add(-t.delay)
	var overdue []int64
	for len(t.queue) > 0 && t.queue[0].at.Before(moved) {
		s := t.queue[0]
		if deadline := s.heard.Add(s.timeout); s.closing || deadline.Before(moved) {
			overdue = append(overdue, s.id)
			s.closing = true
			s.at = moved.Add(renameTicks * t.tick)
		} else {
			s.at = deadline
		}
		heap.Fix(&t.queue, 0)
	}
	return overdue
}

// queue is a heap of the sessions by at.
type queue []*session

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}

// Push is heap.Interface's.
func (q *queue) Push(x any) {
	s := x.(*session)
	s.index = len(*q)
	*q = append(*q, s)
}

// Pop is heap.Interface's.
func (q *queue) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return s
}
