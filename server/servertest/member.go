package servertest

import (
	"errors"
	"syscall"

	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/internal/replica"
)

// Spares adds n servers to a cluster, the last ones of Servers: they wait to be added to its ensemble by
// server.AddMember.
func Spares(n int) Option { return func(o *options) { o.spares = n } }

// Member is what server.AddMember wants to know of the server at an index.
func (c *Cluster) Member(i int) server.Member {
	s := c.Servers[i]
	return server.Member{ID: s.id, Addr: c.links.peers[s.id]}
}

// Renew kills the server if it still runs, empties its disk, and starts it as one that waits to be added: what an operator
// does with a member that was removed before.
func (s *Server) Renew() {
	s.Kill()
	s.empty(true, false)
	s.start()
}

// Forget kills the server if it still runs, empties its disk, and starts it as it was started first: what an operator must
// not do, for it has forgotten its votes and what it acknowledged. The others should turn it away.
func (s *Server) Forget() {
	s.Kill()
	s.empty(false, true)
	s.start()
}

func (s *Server) empty(join, forgot bool) {
	s.memory = server.Memory{}
	if s.faulty != nil {
		s.faulty.disk.Delete(s.data) // an error says that there is nothing
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.join, s.forgot = join, forgot
}

// FillDisk leaves the server's disk room for so many bytes more, until free is called. The server stops when that is not
// enough, as it must, until it is restarted. It needs the option FaultyDisk.
func (s *Server) FillDisk(room int64) (free func()) {
	if s.faulty == nil {
		s.fail("FillDisk: the server has no FaultyDisk")
	}
	s.faulty.disk.Limit(s.faulty.disk.Used() + room)
	return func() { s.faulty.disk.Limit(0) }
}

// excuses tells whether a server may have stopped by itself for this reason.
func (s *Server) excuses(err error) bool {
	s.mu.Lock()
	forgot := s.forgot
	s.mu.Unlock()
	return errors.Is(err, server.ErrRemoved) || forgot && errors.Is(err, replica.ErrForgot) ||
		s.faulty != nil && errors.Is(err, syscall.ENOSPC) || s.faulty.excuses(err)
}
