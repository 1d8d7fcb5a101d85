package peers

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy passes TCP connections on to a server, until told to cut them. It stands between a client that cannot be told
// to lose its connection and the server.
type Proxy struct {
	Addr string // where it listens

	listener net.Listener
	loops    sync.WaitGroup

	mu     sync.Mutex // guards target, open and closed
	target string     // "": refuse
	open   map[net.Conn]bool
	closed bool
}

// NewProxy starts a proxy to target; the test's cleanup stops it.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Addr: l.Addr().String(), listener: l, target: target, open: make(map[net.Conn]bool)}
	p.loops.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Cut closes every connection. New ones go to target, or are closed at once while it is empty.
func (p *Proxy) Cut(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
	for c := range p.open {
		c.Close()
	}
}

// Lead sends new connections to target and leaves those there are alone.
func (p *Proxy) Lead(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.listener.Close()
	p.Cut("")
	p.loops.Wait()
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.loops.Go(func() { p.pass(c) })
	}
}

// pass copies both ways until either side ends.
func (p *Proxy) pass(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	if target == "" {
		return
	}
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.keep(client, server) {
		return
	}
	defer p.forget(client, server)
	var both sync.WaitGroup
	copyTo := func(dst, src net.Conn) {
		io.Copy(dst, src) // its error is the end of the connection, which is all that matters
		dst.Close()
		src.Close()
	}
	both.Go(func() { copyTo(server, client) })
	both.Go(func() { copyTo(client, server) })
	both.Wait()
}

// keep notes a pair of connections for Cut; false means the proxy was closed meanwhile.
func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	for _, c := range conns {
		p.open[c] = true
	}
	return true
}

func (p *Proxy) forget(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.open, c)
	}
}
