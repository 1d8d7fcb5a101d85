// Package expiry tells the leader which sessions are overdue. It is pure: time is passed in.
package expiry

import "time"

// Tracker knows when each session was heard last. It is not synchronized.
type Tracker struct{}

// New returns a tracker without sessions. Its owner calls Overdue every tick.
func New(now time.Time, tick time.Duration) *Tracker { return &Tracker{} }

// Add makes a session known, or begins anew with it: it has its full timeout from now, and is not closing.
func (t *Tracker) Add(id int64, timeout time.Duration, now time.Time) {}

// Touch notes that a session was heard. It returns false if the session is unknown or was named by Overdue: then
// it is too late.
func (t *Tracker) Touch(id int64, now time.Time) bool { return false }

// Remove forgets a session.
func (t *Tracker) Remove(id int64) {}

// Len returns the number of sessions.
func (t *Tracker) Len() int { return 0 }

// Overdue names the sessions whose timeout has passed since they were last heard; from now on they are closing. Those
// that are still not removed are named again every ten ticks. When the call itself comes late all deadlines are moved
// by the delay first: what a sleeping leader did not hear is not the sessions' fault.
func (t *Tracker) Overdue(now time.Time) []int64 { return nil }
