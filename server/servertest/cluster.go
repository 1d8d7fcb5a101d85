package servertest

import (
	"context"
	"errors"
	"net"
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
	net     *network
	fail    func(format string, args ...any)
}

// NewCluster starts an ensemble of n servers and waits until all of them serve. They are closed when the test ends.
func NewCluster(t testing.TB, n int, o ...Option) *Cluster {
	t.Helper()
	c := &Cluster{net: newNetwork(), fail: fatalf(t)}
	peers := make(map[uint64]string)
	ports := make(map[uint64]net.Listener)
	for i := range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("servertest: %v", err)
		}
		id := uint64(i + 1)
		peers[id], ports[id] = ln.Addr().String(), ln
	}
	for i := range n {
		s := newServer(o, c.fail)
		s.id = uint64(i + 1)
		if s.opts.disk {
			s.data = t.TempDir()
		}
		first := ports[s.id]
		s.member = func(cfg *server.Config) (err error) {
			cfg.Peers, cfg.DialPeer = peers, c.net.dialer(s.id, peers)
			if cfg.PeerListener, first = first, nil; cfg.PeerListener == nil {
				cfg.PeerListener, err = listen(peers[s.id])
			}
			return err
		}
		c.Servers = append(c.Servers, s)
	}
	t.Cleanup(c.close)
	for _, s := range c.Servers {
		s.start()
	}
	for _, s := range c.Servers {
		s.ready()
	}
	return c
}

// close stops all servers at once: one by one each would hand its lead to the next.
func (c *Cluster) close() {
	c.net.heal()
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
	return dial(t, c.Addrs(), o)
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

// Partition cuts the servers at the indices a off from those at the indices b, in both directions. Clients reach all
// of them as before.
func (c *Cluster) Partition(a, b []int) {
	for _, i := range a {
		for _, j := range b {
			c.net.cut(c.Servers[i].id, c.Servers[j].id)
		}
	}
}

// Heal ends all partitions.
func (c *Cluster) Heal() { c.net.heal() }

// network is what connects the peers of a cluster. Every link is dialled by one of its ends, so cutting what is dialled
// cuts everything.
type network struct {
	mu    sync.Mutex // guards the fields below
	cuts  map[[2]uint64]bool
	links map[net.Conn][2]uint64
}

func newNetwork() *network {
	return &network{cuts: make(map[[2]uint64]bool), links: make(map[net.Conn][2]uint64)}
}

func pair(a, b uint64) [2]uint64 { return [2]uint64{min(a, b), max(a, b)} }

var errCut = errors.New("servertest: this link is cut")

func (n *network) dialer(from uint64, peers map[uint64]string) server.DialFunc {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		var to uint64
		for id, a := range peers {
			if a == addr {
				to = id
			}
		}
		p := pair(from, to)
		n.mu.Lock()
		cut := n.cuts[p]
		n.mu.Unlock()
		if cut {
			return nil, errCut
		}
		var d net.Dialer
		nc, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.cuts[p] {
			nc.Close()
			return nil, errCut
		}
		l := &link{Conn: nc, net: n}
		n.links[l] = p
		return l, nil
	}
}

func (n *network) cut(a, b uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[pair(a, b)] = true
	for l, p := range n.links {
		if p == pair(a, b) {
			l.(*link).Conn.Close()
		}
	}
}

func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cuts)
}

// link is a connection between two peers.
type link struct {
	net.Conn
	net *network
}

// Close closes the connection and forgets it.
func (l *link) Close() error {
	l.net.mu.Lock()
	delete(l.net.links, l)
	l.net.mu.Unlock()
	return l.Conn.Close()
}
