//go:build linux

package faults

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// link is one direction of what connects two machines. Its zero value is a good one.
type link struct {
	mu    sync.Mutex    // guards the fields below
	cut   chan struct{} // closed when it is whole again; nil while it is
	worse weather
}

// weather makes a link slow. Bytes of TCP are never lost on the way, they are late.
type weather struct {
	delay time.Duration // of each piece
	rate  int           // bytes a second; 0: any
	loss  float64       // how often a piece is sent again, after resend
}

// resend is how long TCP waits at least before it sends again what was not acknowledged.
const resend = 200 * time.Millisecond

func (l *link) sever() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut == nil {
		l.cut = make(chan struct{})
	}
}

// heal makes it a good one again.
func (l *link) heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut != nil {
		close(l.cut)
		l.cut = nil
	}
	l.worse = weather{}
}

func (l *link) worsen(w weather) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.worse = w
}

// pass waits until n bytes are over.
func (l *link) pass(ctx context.Context, n int) error {
	for {
		l.mu.Lock()
		cut, w := l.cut, l.worse
		l.mu.Unlock()
		if cut == nil {
			return sleep(ctx, w.takes(n))
		}
		select {
		case <-cut:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w weather) takes(n int) time.Duration {
	d := w.delay
	if w.rate > 0 {
		d += time.Duration(n) * time.Second / time.Duration(w.rate)
	}
	for again := resend; rand.Float64() < w.loss && again < 4*time.Second; again *= 2 {
		d += again
	}
	return d
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// relay carries connections over two links.
type relay struct {
	ln          net.Listener
	dial        func(context.Context) (net.Conn, error)
	there, back *link
	ctx         context.Context
	cancel      context.CancelFunc
	wg          sync.WaitGroup

	mu    sync.Mutex // guards conns
	conns map[*carried]struct{}
}

// carried is one connection, which ends at both ends at once.
type carried struct {
	cancel context.CancelFunc
	a, b   net.Conn
}

// reset breaks it, as a machine does that has given up on the other.
func (c *carried) reset() {
	c.cancel()
	for _, nc := range []net.Conn{c.a, c.b} {
		if tcp, ok := nc.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // one that is closed already is as good
			_ = tcp.Close()
		}
	}
}

func newRelay(ln net.Listener, there, back *link, dial func(context.Context) (net.Conn, error)) *relay {
	r := &relay{ln: ln, dial: dial, there: there, back: back, conns: make(map[*carried]struct{})}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.wg.Go(r.accept)
	return r
}

func (r *relay) accept() {
	for {
		nc, err := r.ln.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			if sleep(r.ctx, resend) != nil {
				return
			}
		default:
			r.wg.Go(func() { r.carry(nc) })
		}
	}
}

// carry serves one connection. Nobody answers behind a link that is cut, and a refusal is passed on.
func (r *relay) carry(from net.Conn) {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	c := &carried{cancel: cancel, a: from}
	r.mu.Lock()
	r.conns[c] = struct{}{}
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.conns, c)
		if ctx.Err() != nil || c.b == nil {
			c.reset()
			return
		}
		c.a.Close() // both have said all, and what was said may still be under way
		c.b.Close()
	}()
	if r.there.pass(ctx, 0) != nil || r.back.pass(ctx, 0) != nil {
		return
	}
	to, err := r.dial(ctx)
	if err != nil {
		return
	}
	r.mu.Lock()
	c.b = to
	if ctx.Err() != nil {
		c.reset()
	}
	r.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { pump(ctx, cancel, to, from, r.there) })
	both.Go(func() { pump(ctx, cancel, from, to, r.back) })
	defer context.AfterFunc(ctx, func() { // who still reads must hear of it
		from.Close()
		to.Close()
	})()
	both.Wait()
}

// pump copies one direction. Its end travels like the rest.
func pump(ctx context.Context, cancel context.CancelFunc, to, from net.Conn, l *link) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if l.pass(ctx, n) != nil {
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				cancel()
				return
			}
		}
		switch tcp, ok := to.(*net.TCPConn); {
		case err == io.EOF && ok:
			_ = tcp.CloseWrite() // the other direction tells if that fails
			return
		case err != nil:
			cancel()
			return
		}
	}
}

// breakAll breaks all connections.
func (r *relay) breakAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		c.reset()
	}
}

// close ends it, and waits until everything has.
func (r *relay) close() {
	r.ln.Close()
	r.cancel()
	r.breakAll()
	r.wg.Wait()
}
