package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Everything between members runs over one port. Whoever dials says hello first:
//
//	0 "docent" · 6 protocol version · 7 what the connection is for · 8 id of the dialer · 16 id of the member it means
//	24 birth of the dialer's store · 32 birth of the store it knows of that member, 0 for none · 40 1 if the dialer was added
//
// There is no answer; a hello that is not right is closed.
const (
	helloSize    = 41
	helloMagic   = "docent"
	peerProtocol = 2
	helloWait    = 3 * time.Second
)

type purpose byte

const (
	forRaft    purpose = 'r' // raft's own transport
	forCalls   purpose = 'c' // requests and answers (link.go)
	forBatches purpose = 'b' // forwarded batches, one way (forward.go)
)

// hello is what a dialer says first.
type hello struct {
	use            purpose
	from, to       uint64
	born, expected uint64 // see births
	joined         bool
}

func (h hello) append(b []byte) []byte {
	b = append(b, helloMagic...)
	b = append(b, peerProtocol, byte(h.use))
	for _, n := range []uint64{h.from, h.to, h.born, h.expected} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	if h.joined {
		return append(b, 1)
	}
	return append(b, 0)
}

func readHello(r io.Reader) (h hello, err error) {
	b := make([]byte, helloSize)
	const head = len(helloMagic) + 1
	if _, err := io.ReadFull(r, b[:head]); err != nil {
		return h, err
	}
	if string(b[:6]) != helloMagic {
		return h, errors.New("not a docent server")
	}
	if b[6] != peerProtocol {
		return h, fmt.Errorf("peer protocol %d, ours is %d", b[6], peerProtocol)
	}
	if _, err := io.ReadFull(r, b[head:]); err != nil {
		return h, err
	}
	le := binary.LittleEndian
	return hello{purpose(b[7]), le.Uint64(b[8:]), le.Uint64(b[16:]), le.Uint64(b[24:]), le.Uint64(b[32:]), b[40] == 1}, nil
}

// port is the peer port: it accepts connections, reads the hello and hands each to whom it is for. It keeps all
// connections, dialed ones too, so that closing it ends every read and write on them.
type port struct {
	id      uint64
	births  *births
	meet    func(hello) error // whether to take a connection
	ln      net.Listener
	dialer  func(context.Context, string) (net.Conn, error)
	serve   map[purpose]func(ctx context.Context, c net.Conn, from uint64)
	log     *slog.Logger
	ctx     context.Context
	cancel  context.CancelFunc
	handles sync.WaitGroup

	mu    sync.Mutex // guards conns
	conns map[*peerConn]struct{}
}

// peerConn leaves the port's books when it is closed.
type peerConn struct {
	net.Conn
	port  *port
	peer  uint64 // who is at the other end; 0 until it has said so
	hello hello  // that it said; nothing if we dialed
}

func (c *peerConn) Close() error {
	c.port.mu.Lock()
	delete(c.port.conns, c)
	c.port.mu.Unlock()
	return c.Conn.Close()
}

func newPort(id uint64, ln net.Listener, dial func(context.Context, string) (net.Conn, error), log *slog.Logger) *port {
	p := &port{id: id, ln: ln, dialer: dial, log: log, conns: make(map[*peerConn]struct{}),
		serve: make(map[purpose]func(context.Context, net.Conn, uint64))}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// track enters a connection in the books, or closes it if the port is closed already.
func (p *port) track(c net.Conn, peer uint64) (*peerConn, error) {
	noticeSilence(c)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		return nil, errors.Join(ErrClosed, c.Close())
	}
	pc := &peerConn{Conn: c, port: p, peer: peer}
	p.conns[pc] = struct{}{}
	return pc, nil
}

// start accepts until the port is closed.
func (p *port) start() { p.handles.Go(p.accept) }

func (p *port) accept() {
	for {
		c, err := p.ln.Accept()
		if p.ctx.Err() != nil {
			if err == nil {
				c.Close()
			}
			return
		}
		if err != nil {
			p.log.Warn("peer port: accept", "err", err)
			select {
			case <-time.After(50 * time.Millisecond): // out of descriptors, most likely: do not spin
			case <-p.ctx.Done():
			}
			continue
		}
		if c, err := p.track(c, 0); err == nil {
			p.handles.Go(func() { p.handle(c) })
		}
	}
}

// handle reads the hello and serves the connection. It closes what is not meant for us. Whether it comes from a member is
// looked at by those who serve it: raft must hear a leader whose adding it has not heard of yet, and decides by itself.
func (p *port) handle(c *peerConn) {
	c.SetDeadline(time.Now().Add(helloWait))
	h, err := readHello(c)
	c.SetDeadline(time.Time{})
	p.mu.Lock() // before it is looked at: whoever changes the members meanwhile finds it here
	c.peer, c.hello = h.from, h
	p.mu.Unlock()
	serve := p.serve[h.use]
	switch {
	case err != nil:
	case h.to != p.id:
		err = fmt.Errorf("it looks for member %d", h.to)
	case serve == nil:
		err = fmt.Errorf("unknown purpose %q", byte(h.use))
	default:
		err = p.meet(h)
	}
	if err != nil {
		p.log.Debug("peer port: connection refused", "from", c.RemoteAddr().String(), "err", err)
		c.Close()
		return
	}
	serve(p.ctx, c, h.from)
}

// dial connects to a member's peer port and says hello.
func (p *port) dial(ctx context.Context, addr string, to uint64, use purpose) (net.Conn, error) {
	nc, err := p.dialer(ctx, addr)
	if err != nil {
		return nil, err
	}
	c, err := p.track(nc, to)
	if err != nil {
		return nil, err
	}
	h := hello{use: use, from: p.id, to: to, born: p.births.own, expected: p.births.of(to), joined: p.births.joined}
	c.SetWriteDeadline(time.Now().Add(helloWait))
	if _, err := c.Write(h.append(nil)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	c.SetWriteDeadline(time.Time{})
	return c, nil
}

// silence is how long a peer's machine may leave what we sent without any acknowledgement. A slow link acknowledges, a dead
// one does not, so this can be much shorter than any time-out on a request.
const silence = 3 * time.Second

// noticeSilence has the kernel break a connection to a machine that has vanished. Where it cannot, time-outs do it later.
func noticeSilence(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: silence / 2, Interval: silence / 4, Count: 2})
		setUserTimeout(tcp, silence)
	}
}

// drop breaks all connections with a member that is none any more. It may come back to be told so.
func (p *port) drop(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if c.peer == id {
			c.Conn.SetDeadline(time.Unix(1, 0)) // never blocks, unlike a Close; those who serve it close it
		}
	}
}

// said returns what a member has said in the hellos of its connections that live.
func (p *port) said(id uint64) (all []hello) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if c.peer == id && c.hello.from == id {
			all = append(all, c.hello)
		}
	}
	return all
}

// close ends all connections and waits for those who serve them.
func (p *port) close() error {
	p.cancel()
	err := p.ln.Close()
	p.mu.Lock()
	conns := p.conns
	p.conns = nil
	p.mu.Unlock()
	for c := range conns {
		c.Conn.Close()
	}
	p.handles.Wait()
	return err
}
