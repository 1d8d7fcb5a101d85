package client

import (
	"context"
	"time"
)

// Deadline is when holds of this session end: until then its ephemerals are certainly ours, if clocks run at about one
// rate. It lies a granted timeout, less a margin of a third, behind the moment when the latest request was sent whose
// answer proves that the ensemble's authority on sessions has heard of us: a connect, a ping or a write. It moves with
// every such answer; see Lease for the context that ends there. It is cheap.
func (s *Session) Deadline() time.Time { return time.Now().Add(s.Remaining()) }

// Remaining is the time until Deadline, zero or less if that has passed. The time the machine was asleep counts (on
// Linux).
func (s *Session) Remaining() time.Duration {
	if s.s.ctx.Err() != nil {
		return 0
	}
	return s.s.deadline() - s.s.core.clock.now()
}

// Lease returns a context for what is held through the session: it ends at Deadline, with the cause
// ErrSessionDeadline, however far that has moved by then, or with the session and its cause. What has ended stays
// ended, also if the session turns out alive: a later call then returns a new lease. While the deadline is passed,
// the context returned has ended already.
func (s *Session) Lease() context.Context { return s.s.currentLease() }

// prove notes that the answer to a request sent at the given time proves the session alive.
func (s *session) prove(sentAt time.Duration) {
	for {
		before := s.proven.Load()
		if int64(sentAt) <= before || s.proven.CompareAndSwap(before, int64(sentAt)) {
			return
		}
	}
}

func (s *session) granted() time.Duration { return time.Duration(s.timeout.Load()) }

// expiry is when the whole timeout has passed unheard; deadline, when holds end.
func (s *session) expiry() time.Duration { return time.Duration(s.proven.Load()) + s.granted() }

func (s *session) deadline() time.Duration {
	granted := s.granted()
	return time.Duration(s.proven.Load()) + granted - s.core.cfg.margin(granted)
}

// keepTime ends leases at the deadline, and the session when the whole timeout has passed. It looks up often enough
// to notice soon that the machine was asleep.
func (s *session) keepTime() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-timer.C:
		}
		now := s.core.clock.now()
		if now >= s.expiry() {
			s.end(ErrSessionDeadline)
			return
		}
		next := s.deadline() - now
		if next <= 0 {
			s.endLease()
			next = s.expiry() - now
		}
		timer.Reset(min(next, max(s.granted()/6, time.Millisecond)))
	}
}

func (s *session) currentLease() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lease == nil {
		s.lease, s.unlease = context.WithCancelCause(s.ctx)
	}
	lease := s.lease
	if s.core.clock.now() >= s.deadline() {
		s.unlease(ErrSessionDeadline)
		s.lease = nil
	}
	return lease
}

func (s *session) endLease() {
	s.mu.Lock()
	lease, unlease := s.lease, s.unlease
	s.lease, s.unlease = nil, nil
	s.mu.Unlock()
	if lease != nil {
		unlease(ErrSessionDeadline)
	}
}
