package servertest

import (
	"context"
	"slices"
	"time"
)

// How long the steps of this package make things last. Sessions in scripted tests should time out within stepMost, so
// that some live through it and some do not.
const (
	stepLeast = time.Millisecond
	stepMost  = 4 * time.Second
)

// Steps returns what a Script may let happen to this server and its clients: broken connections, lost, delayed and
// doubled replies, expired sessions, freezes, restarts and a slow disk.
func (s *Server) Steps() []Step {
	steps := s.clientSteps()
	return append(steps,
		s.step("restart", 2, func(m *Moment) {
			s.Kill()
			m.Wait(m.Between(stepLeast, stepMost/4))
			s.Restart()
		}))
}

// clientSteps are those that end without the help of others.
func (s *Server) clientSteps() []Step {
	let := func(name string, weight int, f Fault) Step {
		return s.step(name, weight, func(m *Moment) { m.Let(f) })
	}
	return []Step{
		s.step("cut", 2, func(*Moment) { s.Cut() }),
		let("drop request", 3, Fault{Kind: RequestDropped}),
		let("drop reply", 4, Fault{Kind: ReplyDropped}),
		let("close after reply", 1, Fault{Kind: ClosedAfterReply}),
		let("duplicate reply", 1, Fault{Kind: ReplyDuplicated}),
		let("commit late", 2, Fault{Kind: CommittedLate}),
		s.step("delay reply", 2, func(m *Moment) {
			m.Let(Fault{Kind: ReplyDelayed, For: m.Between(stepLeast, stepMost)})
		}),
		s.step("expire", 3, s.expireSome),
		s.step("freeze", 3, func(m *Moment) {
			s.Freeze()
			defer s.Thaw()
			m.Wait(m.Between(stepLeast, stepMost))
		}),
		s.step("slow disk", 1, func(m *Moment) {
			s.SlowDisk(m.Between(stepLeast, stepMost/20))
			defer s.SlowDisk(0)
			m.Wait(m.Between(stepLeast, stepMost/4))
		}),
	}
}

func (s *Server) step(name string, weight int, do func(*Moment)) Step {
	return Step{Name: name, Weight: weight, At: []*Server{s}, Do: do}
}

// expireSome ends the session of the moment, or one of those that are attached here. If the ensemble cannot do it
// within a second, it may be done later.
func (s *Server) expireSome(m *Moment) {
	id := m.Session
	if all := s.wire.sessions(); id == 0 && len(all) > 0 {
		id = all[m.Rand.IntN(len(all))]
	}
	if id == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(m.Context(), time.Second)
	defer cancel()
	s.Server().ExpireSession(ctx, id) // an error says that it is not done yet
}

// Steps returns what a Script may let happen to the cluster: the steps of its servers, killed servers and leaders that
// come back, partitions of all sorts, servers that are paused, that lag, and whose reads go stale. One server at a time is killed or cut
// off, so a majority of three remains.
func (c *Cluster) Steps() []Step {
	var steps []Step
	for _, s := range c.Servers {
		steps = append(steps, s.clientSteps()...)
	}
	return append(steps, c.step("restart", 3, func(m *Moment) { c.restart(m, c.some(m)) }),
		c.step("restart the leader", 3, func(m *Moment) { c.restart(m, c.leads()) }),
		c.step("cut off", 3, func(m *Moment) { c.cutOff(m, c.Partition) }),
		c.step("make mute", 2, func(m *Moment) { c.cutOff(m, c.PartitionOneWay) }),
		c.step("make deaf", 2, func(m *Moment) {
			c.cutOff(m, func(one, rest []int) { c.PartitionOneWay(rest, one) })
		}),
		c.step("pause", 2, func(m *Moment) {
			defer c.Pause(slices.Index(c.Servers, c.some(m)))()
			m.Wait(m.Between(stepLeast, stepMost))
		}),
		c.step("lag", 2, func(m *Moment) {
			i := slices.Index(c.Servers, c.some(m))
			c.Lag(i, m.Between(stepLeast, 200*time.Millisecond))
			defer c.Lag(i, 0)
			m.Wait(m.Between(stepLeast, stepMost))
		}),
		c.step("hold applies", 2, func(m *Moment) {
			defer c.some(m).HoldApplies()()
			m.Wait(m.Between(stepLeast, stepMost))
		}))
}

func (c *Cluster) step(name string, weight int, do func(*Moment)) Step {
	return Step{Name: name, Weight: weight, At: c.Servers, Do: do}
}

// some draws a server.
func (c *Cluster) some(m *Moment) *Server { return c.Servers[m.Rand.IntN(len(c.Servers))] }

// leads returns a server that believes it leads, or else the first: a script does not wait for an election.
func (c *Cluster) leads() *Server {
	for _, s := range c.Servers {
		if id, ok := s.Server().Leader(); ok && id == s.id {
			return s
		}
	}
	return c.Servers[0]
}

func (c *Cluster) restart(m *Moment, s *Server) {
	s.Kill()
	m.Wait(m.Between(stepLeast, stepMost/2))
	s.Restart()
}

// cutOff parts one server from the others for a while.
func (c *Cluster) cutOff(m *Moment, how func(one, rest []int)) {
	one := m.Rand.IntN(len(c.Servers))
	var rest []int
	for i := range c.Servers {
		if i != one {
			rest = append(rest, i)
		}
	}
	how([]int{one}, rest)
	defer c.Heal()
	m.Wait(m.Between(stepLeast, stepMost))
}
