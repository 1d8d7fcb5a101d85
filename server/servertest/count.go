package servertest

import (
	"maps"

	"github.com/docent-io/docent/internal/wire"
)

// Counters count what went over the connections of clients.
type Counters struct {
	Requests map[string]int // by operation
	Watches  int            // set by reads and addWatch; setWatches after a reconnect does not count
	Events   int            // watch events sent: wake-ups
}

// Total returns the number of requests, pings aside.
func (c Counters) Total() int {
	n := 0
	for op, k := range c.Requests {
		if op != wire.OpPing.String() {
			n += k
		}
	}
	return n
}

// Count returns what went over the connections of clients since the server was made.
func (s *Server) Count() Counters {
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	c := s.wire.counters
	c.Requests = maps.Clone(c.Requests)
	return c
}
