package replica

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// streams is raft's part of the peer port (a raft.StreamLayer).
type streams struct {
	port  *port
	addr  address
	ids   func(raft.ServerAddress) (uint64, bool)
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

// address is the address that the other members know us by; the listener's own may be a wildcard.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

func newStreams(p *port, addr string, ids func(raft.ServerAddress) (uint64, bool)) *streams {
	s := &streams{port: p, addr: address(addr), ids: ids, conns: make(chan net.Conn), done: make(chan struct{})}
	p.serve[forRaft] = func(ctx context.Context, c net.Conn, _ uint64) {
		select {
		case s.conns <- c:
		case <-ctx.Done():
			c.Close()
		case <-s.done:
			c.Close()
		}
	}
	return s
}

// Accept returns the next connection that another member's raft opened.
func (s *streams) Accept() (net.Conn, error) {
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept; the port closes the connections.
func (s *streams) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}

// Addr is the address the other members know us by.
func (s *streams) Addr() net.Addr { return s.addr }

// Dial connects to another member's raft.
func (s *streams) Dial(addr raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	id, ok := s.ids(addr)
	if !ok {
		return nil, errors.New("no member has the address " + string(addr))
	}
	ctx, cancel := context.WithTimeout(s.port.ctx, timeout)
	defer cancel()
	plain, _ := unmark(addr)
	return s.port.dial(ctx, plain, id, forRaft)
}

// network is raft's transport. It tells followers early what is committed, and notes what they have stored. Each request
// waits for the answer to the one before: what comes meanwhile goes along with the next. raft's pipeline only moves that
// waiting to more goroutines, and one whose follower refuses entries can block its sender for ever in v1.8.0.
type network struct {
	*raft.NetworkTransport
	sieved chan raft.RPC // what a sieve lets through
	early  func(to raft.ServerID, req *raft.AppendEntriesRequest)
	stored func(by raft.ServerID, req *raft.AppendEntriesRequest)
}

// Consumer is where raft gets what other members ask of it.
func (n network) Consumer() <-chan raft.RPC { return n.sieved }

// AppendEntries sends one request and waits for the answer.
func (n network) AppendEntries(id raft.ServerID, addr raft.ServerAddress, req *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) error {
	n.early(id, req)
	err := n.NetworkTransport.AppendEntries(id, addr, req, resp)
	if err == nil && resp.Success && len(req.Entries) > 0 {
		n.stored(id, req)
	}
	return err
}

// AppendEntriesPipeline tells raft to do without.
func (network) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}
