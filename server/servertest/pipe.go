package servertest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// pipes is a network without sockets: its connections are buffers in this process, so everything that waits on them
// waits in a way that testing/synctest understands.
type pipes struct {
	mu        sync.Mutex // guards the fields below
	listeners map[string]*pipeListener
	ports     int
}

func newPipes() *pipes { return &pipes{listeners: make(map[string]*pipeListener)} }

// pipeAddr looks like an address of this machine, since servers derive identities from addresses.
type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }

// port returns an address that is not in use. The caller holds mu.
func (p *pipes) port() pipeAddr {
	p.ports++
	return pipeAddr(fmt.Sprintf("127.0.0.1:%d", p.ports))
}

// listen takes an address, a new one if addr ends with port 0.
func (p *pipes) listen(addr string) (net.Listener, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := pipeAddr(addr)
	if _, port, err := net.SplitHostPort(addr); err != nil {
		return nil, err
	} else if port == "0" {
		a = p.port()
	}
	if p.listeners[string(a)] != nil {
		return nil, &net.OpError{Op: "listen", Net: a.Network(), Addr: a, Err: syscall.EADDRINUSE}
	}
	l := &pipeListener{pipes: p, addr: a, arrived: make(chan struct{}, 1), closed: make(chan struct{})}
	p.listeners[string(a)] = l
	return l, nil
}

// dial connects as a net.Dialer does, except that there is always a place in the backlog.
func (p *pipes) dial(ctx context.Context, addr string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.listeners[addr]
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "pipe", Addr: pipeAddr(addr), Err: syscall.ECONNREFUSED}
	}
	near, far := newPipe(p.port(), l.addr)
	l.backlog = append(l.backlog, far)
	select {
	case l.arrived <- struct{}{}:
	default:
	}
	return near, nil
}

type pipeListener struct {
	pipes   *pipes
	addr    pipeAddr
	backlog []*pipeConn   // guarded by pipes.mu
	arrived chan struct{} // of capacity 1: the backlog has grown
	closed  chan struct{}
}

func (l *pipeListener) Addr() net.Addr { return l.addr }

func (l *pipeListener) Accept() (net.Conn, error) {
	for {
		l.pipes.mu.Lock()
		if l.pipes.listeners[string(l.addr)] != l {
			l.pipes.mu.Unlock()
			return nil, &net.OpError{Op: "accept", Net: "pipe", Addr: l.addr, Err: net.ErrClosed}
		}
		if len(l.backlog) > 0 {
			c := l.backlog[0]
			l.backlog = l.backlog[1:]
			l.pipes.mu.Unlock()
			return c, nil
		}
		l.pipes.mu.Unlock()
		select {
		case <-l.arrived:
		case <-l.closed:
		}
	}
}

// Close frees the address and resets the connections that nobody has accepted.
func (l *pipeListener) Close() error {
	l.pipes.mu.Lock()
	if l.pipes.listeners[string(l.addr)] != l {
		l.pipes.mu.Unlock()
		return net.ErrClosed
	}
	delete(l.pipes.listeners, string(l.addr))
	left := l.backlog
	l.backlog = nil
	l.pipes.mu.Unlock()
	close(l.closed)
	for _, c := range left {
		c.Close()
	}
	return nil
}

// pipeConn is one end of a connection. Writes never wait: the buffers have no bound.
type pipeConn struct {
	in, out       *stream
	local, remote pipeAddr
}

func newPipe(a, b pipeAddr) (atA, atB *pipeConn) {
	toA, toB := newStream(), newStream()
	return &pipeConn{toA, toB, a, b}, &pipeConn{toB, toA, b, a}
}

func (c *pipeConn) Read(p []byte) (int, error) { return c.in.read(p) }

func (c *pipeConn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close drops what was not read; the other end still reads what was written.
func (c *pipeConn) Close() error {
	c.out.finish()
	return c.in.drop()
}

// CloseWrite lets the other end read to the end.
func (c *pipeConn) CloseWrite() error {
	c.out.finish()
	return nil
}

func (c *pipeConn) LocalAddr() net.Addr  { return c.local }
func (c *pipeConn) RemoteAddr() net.Addr { return c.remote }

func (c *pipeConn) SetDeadline(t time.Time) error {
	c.SetWriteDeadline(t)
	return c.SetReadDeadline(t)
}

func (c *pipeConn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(t)
	return nil
}

func (c *pipeConn) SetWriteDeadline(t time.Time) error {
	c.out.setWriteDeadline(t)
	return nil
}
