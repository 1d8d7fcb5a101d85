package servertest

import (
	"context"
	"errors"
	"net"
	"sync"

	"github.com/docent-io/docent/server"
)

// links is what connects the peers of a cluster. Both ends of each connection go through here, so that each direction
// may be held up by itself.
type links struct {
	net   network
	peers map[uint64]string // peer addresses by number; constant once the servers start

	mu   sync.Mutex // guards the fields below
	cuts map[[2]uint64]bool
	ways map[[2]uint64]*way // from, to
	from map[string]uint64  // who dialled, by the address it dialled from
	open map[*link]struct{} // the dialled ends
}

func newLinks(nw network, peers map[uint64]string) *links {
	return &links{net: nw, peers: peers, cuts: make(map[[2]uint64]bool), ways: make(map[[2]uint64]*way),
		from: make(map[string]uint64), open: make(map[*link]struct{})}
}

var errCut = errors.New("servertest: this link is cut")

func pair(a, b uint64) [2]uint64 { return [2]uint64{min(a, b), max(a, b)} }

func (n *links) way(from, to uint64) *way {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.wayLocked(from, to)
}

func (n *links) wayLocked(from, to uint64) *way {
	w := n.ways[[2]uint64{from, to}]
	if w == nil {
		w = new(way)
		n.ways[[2]uint64{from, to}] = w
	}
	return w
}

// dialer connects a server to the others.
func (n *links) dialer(from uint64) server.DialFunc {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		var to uint64
		for id, a := range n.peers {
			if a == addr {
				to = id
			}
		}
		// A connection needs both directions to come about.
		if !n.way(from, to).gate.pass(ctx.Done()) || !n.way(to, from).gate.pass(ctx.Done()) {
			return nil, context.Cause(ctx)
		}
		if n.isCut(from, to) {
			return nil, errCut
		}
		nc, err := n.net.dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.cuts[pair(from, to)] {
			nc.Close()
			return nil, errCut
		}
		l := &link{Conn: nc, links: n, own: from, peer: to, out: newOutlet(nc, n.wayLocked(from, to))}
		n.open[l] = struct{}{}
		n.from[nc.LocalAddr().String()] = from
		return l, nil
	}
}

func (n *links) isCut(a, b uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cuts[pair(a, b)]
}

func (n *links) cut(a, b uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[pair(a, b)] = true
	for l := range n.open {
		if pair(l.own, l.peer) == pair(a, b) {
			l.Conn.Close()
		}
	}
}

func (n *links) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cuts)
	for _, w := range n.ways {
		w.gate.open()
	}
}

// listen makes the accepted ends of a server's connections links.
func (n *links) listen(id uint64, ln net.Listener) net.Listener { return &linkListener{ln, n, id} }

type linkListener struct {
	net.Listener
	links *links
	id    uint64
}

func (l *linkListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &link{Conn: nc, links: l.links, own: l.id}, nil
}

// link is one end of a connection between two peers.
type link struct {
	net.Conn
	links *links
	own   uint64
	peer  uint64 // of a dialled end

	mu  sync.Mutex // guards out
	out *outlet    // nil at an accepted end that has written nothing yet
}

// Write sends p on its way. Who dialled is in the books by then: it says hello first.
func (l *link) Write(p []byte) (int, error) {
	l.mu.Lock()
	if l.out == nil {
		l.links.mu.Lock()
		peer := l.links.from[l.RemoteAddr().String()]
		l.out = newOutlet(l.Conn, l.links.wayLocked(l.own, peer))
		l.links.mu.Unlock()
	}
	out := l.out
	l.mu.Unlock()
	return len(p), out.send(parcel{data: p})
}

// Close closes the connection; what is held up is lost.
func (l *link) Close() error {
	l.links.mu.Lock()
	delete(l.links.open, l)
	l.links.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out == nil {
		l.out = newOutlet(l.Conn, new(way))
	}
	return l.out.close()
}
