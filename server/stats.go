package server

import (
	"sync/atomic"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// serverStats are the numbers that monitoring asks for.
type serverStats struct {
	received, sent, rejected atomic.Int64
	requests                 atomic.Int64
	latencySum               atomic.Int64 // microseconds
	latencyMin, latencyMax   atomic.Int64 // milliseconds
}

func (s *serverStats) reset() {
	s.received.Store(0)
	s.sent.Store(0)
	s.requests.Store(0)
	s.latencySum.Store(0)
	s.latencyMin.Store(0)
	s.latencyMax.Store(0)
}

// answered notes that a request was answered just now.
func (s *serverStats) answered(sl *slot) {
	d := time.Since(sl.start)
	s.received.Add(1)
	s.sent.Add(1)
	ms := d.Milliseconds()
	if s.requests.Add(1) == 1 || ms < s.latencyMin.Load() {
		s.latencyMin.Store(ms) // two at once may lose one: a figure for people
	}
	if ms > s.latencyMax.Load() {
		s.latencyMax.Store(ms)
	}
	s.latencySum.Add(d.Microseconds())
}

// average returns the mean latency in milliseconds.
func (s *serverStats) average() float64 {
	n := s.requests.Load()
	if n == 0 {
		return 0
	}
	return float64(s.latencySum.Load()) / 1000 / float64(n)
}

// connStats are the numbers of one connection.
type connStats struct {
	received, sent atomic.Int64
	lastOp         atomic.Int32
	lastXid        atomic.Int32
}

func (s *connStats) answered(sl *slot) {
	s.sent.Add(1)
	s.lastOp.Store(int32(sl.op))
	s.lastXid.Store(sl.xid)
}

func (s *connStats) operation() wire.Op { return wire.Op(s.lastOp.Load()) }
