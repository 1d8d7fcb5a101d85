package server

import (
	"fmt"
	"time"
)

// Limits bound what clients may use of a server. Whoever exceeds one is the only one to feel it, and it is counted in
// a metric. Zero values mean the defaults.
type Limits struct {
	// Connections bounds the connections in all. One too many is closed at once. Default: the open files that the
	// process may have, less 256 for the server itself.
	Connections int
	// Handshake is how long a new connection may take to send its first request, and that request to be answered,
	// before it is closed. Default 10 s.
	Handshake time.Duration
	// InFlight is how many requests of a connection may be in work. It is not read while there are more. Default 1000.
	InFlight int
	// Unread is how many bytes of watch events, or behind a request that is not answered yet, wait for a client that
	// does not read. A connection with more is closed; it is not read while more than 1 MiB of answers wait. Default 64 MiB.
	Unread int
	// Watches is how many paths a connection may watch. A request that would watch one more fails with
	// ErrThrottled. Default 500,000.
	Watches int
}

// spareFiles are kept for log segments, snapshots, peers and operators.
const spareFiles = 256

func (l *Limits) setDefaults() {
	if _, files := descriptors(); l.Connections == 0 && files > 0 {
		l.Connections = int(max(files-spareFiles, files/2))
	}
	def(&l.Handshake, 10*time.Second)
	def(&l.InFlight, 1000)
	def(&l.Unread, 64<<20)
	def(&l.Watches, 500_000)
}

func (l *Limits) check(wrong func(format string, args ...any)) {
	for name, n := range map[string]int{"connections": l.Connections, "requests in flight": l.InFlight, "watches of a connection": l.Watches} {
		if n < 0 {
			wrong("%s %d: want more than 0", name, n)
		}
	}
	if l.Handshake < 0 {
		wrong("time for a handshake %v: want more than 0", l.Handshake)
	}
	if l.Unread < 1<<10 {
		wrong("bytes not read by a client %d: want at least 1024", l.Unread)
	}
}

// refusal tells why a connection is not taken, "" if it is. The caller holds s.mu.
func (s *Server) refusal(host string) string {
	switch limit := s.cfg.Limits.Connections; {
	case s.conns == nil:
		return "the server is closing"
	case limit > 0 && len(s.conns) >= limit:
		return fmt.Sprintf("there are %d connections already", limit)
	case s.cfg.MaxConnectionsPerAddress > 0 && s.perHost[host] >= s.cfg.MaxConnectionsPerAddress:
		return fmt.Sprintf("its address has %d connections already", s.cfg.MaxConnectionsPerAddress)
	}
	return ""
}
