package servertest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server"
)

// Cluster is an ensemble of servers in this process, over real TCP.
type Cluster struct {
	Servers []*Server // number i+1 at index i
	links   *links
	fail    func(format string, args ...any)
}

// NewCluster starts an ensemble of n servers, and Spares, and waits until all its members serve. They are closed when the
// test ends.
func NewCluster(t testing.TB, n int, o ...Option) *Cluster {
	t.Helper()
	c := &Cluster{fail: fatalf(t)}
	var opts options
	for _, f := range o {
		f(&opts)
	}
	peers, members := make(map[uint64]string), make(map[uint64]string)
	var net network
	for i := range n + opts.spares {
		s := newServer(o, c.fail)
		s.id = uint64(i + 1)
		if s.opts.disk {
			s.data = t.TempDir()
		}
		if net == nil {
			net, c.links = s.net, newLinks(s.net, peers)
		}
		s.net = net
		first, err := net.listen("127.0.0.1:0")
		if err != nil {
			t.Fatalf("servertest: %v", err)
		}
		peers[s.id] = first.Addr().String()
		if s.join = i >= n; !s.join {
			members[s.id] = peers[s.id]
		}
		s.member = func(cfg *server.Config) (err error) {
			cfg.Peers, cfg.DialPeer = members, c.links.dialer(s.id)
			if s.joins() {
				cfg.Join, cfg.Peers = true, map[uint64]string{s.id: peers[s.id]}
			}
			ln := first
			if first = nil; ln == nil {
				if ln, err = net.listen(peers[s.id]); err != nil {
					return err
				}
			}
			cfg.PeerListener = c.links.listen(s.id, ln)
			return nil
		}
		c.Servers = append(c.Servers, s)
	}
	t.Cleanup(c.close)
	for _, s := range c.Servers {
		for _, other := range c.Servers {
			if other != s {
				s.wire.others = append(s.wire.others, other.wire)
			}
		}
	}
	for _, s := range c.Servers {
		s.start()
	}
	for _, s := range c.Servers[:n] {
		s.ready()
	}
	return c
}

// joins tells whether the server is one that was, or is to be, added to an ensemble that runs.
func (s *Server) joins() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.join
}

// close stops all servers at once: one by one each would hand its lead to the next.
func (c *Cluster) close() {
	c.links.heal()
	for i := range c.Servers {
		c.Lag(i, 0)
	}
	var wg sync.WaitGroup
	for _, s := range c.Servers {
		wg.Go(s.Close)
	}
	wg.Wait()
}

// Addrs returns the addresses of all servers for clients.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, s := range c.Servers {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}

// Dial connects a client that knows all servers.
func (c *Cluster) Dial(t testing.TB, o ...func(*client.Config)) *client.Client {
	t.Helper()
	return dial(t, c.Servers[0].net, c.Addrs(), o)
}

// Leader returns the server that leads, by the word of a majority of those that run, and waits until there is one.
func (c *Cluster) Leader() *Server {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		votes := make(map[uint64]int)
		for _, s := range c.running() {
			if id, ok := s.Server().Leader(); ok {
				votes[id]++
			}
		}
		for _, s := range c.running() {
			if votes[s.id] > len(c.Servers)/2 {
				return s
			}
		}
	}
	c.fail("no leader after %v", patience)
	return nil
}

func (c *Cluster) running() []*Server {
	return slices.DeleteFunc(slices.Clone(c.Servers), func(s *Server) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.down
	})
}

// KillLeader kills the server that leads and returns it.
func (c *Cluster) KillLeader() *Server {
	s := c.Leader()
	s.Kill()
	return s
}

// Expire ends the present session of cl, as Server.Expire does, through a server that runs.
func (c *Cluster) Expire(cl *client.Client) { c.Leader().Expire(cl) }

// Partition cuts the servers at the indices a off from those at the indices b, in both directions: their connections
// break, and new ones are refused. Clients reach all of them as before.
func (c *Cluster) Partition(a, b []int) {
	c.each(a, b, func(i, j uint64) { c.links.cut(i, j) })
}

// PartitionOneWay loses everything that the servers at the indices from send to those at the indices to, until Heal. The
// other direction works as far as a connection can that hears no answer; new connections come about in neither. What
// was lost is sent once more after Heal, as TCP does.
func (c *Cluster) PartitionOneWay(from, to []int) {
	c.each(from, to, func(i, j uint64) { c.links.way(i, j).gate.shut() })
}

func (c *Cluster) each(a, b []int, f func(i, j uint64)) {
	for _, i := range a {
		for _, j := range b {
			if i != j {
				f(c.Servers[i].id, c.Servers[j].id)
			}
		}
	}
}

// Pause lets the server at an index send and hear nothing, without breaking a connection, as if its process had been
// stopped: neither towards its clients nor towards the other servers. (It goes on thinking meanwhile, so a leader notices
// by itself that it is alone.) resume lets everything through that was sent meanwhile.
func (c *Cluster) Pause(server int) (resume func()) {
	var rest []int
	for i := range c.Servers {
		if i != server {
			rest = append(rest, i)
		}
	}
	one := []int{server}
	gates := func(f func(*gate)) {
		open := func(i, j uint64) { f(&c.links.way(i, j).gate) }
		c.each(one, rest, open)
		c.each(rest, one, open)
		f(&c.Servers[server].wire.way.gate)
	}
	gates((*gate).shut)
	return func() { gates((*gate).open) }
}

// Lag makes everything between the server at an index and the others take d longer, in both directions. With less than
// an election timeout it stays a follower, whose reads are older than the leader's by d. 0 ends it.
func (c *Cluster) Lag(server int, d time.Duration) {
	for _, other := range c.Servers {
		if id := c.Servers[server].id; other.id != id {
			c.links.way(id, other.id).lag.Store(int64(d))
			c.links.way(other.id, id).lag.Store(int64(d))
		}
	}
}

// Heal ends all partitions.
func (c *Cluster) Heal() { c.links.heal() }
