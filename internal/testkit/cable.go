package testkit

import (
	"context"
	"net"
	"sync"
)

// Cable is what one client's connections go through. While it is unplugged nothing passes in either direction and
// nothing breaks, as on a network that loses every packet. Its zero value is plugged in.
type Cable struct {
	mu  sync.Mutex    // guards out
	out chan struct{} // closed by Plug; nil while plugged in
}

// Unplug stops the traffic until Plug.
func (c *Cable) Unplug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out == nil {
		c.out = make(chan struct{})
	}
}

// Plug lets everything through that has waited and whose connection is not closed yet.
func (c *Cable) Plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out != nil {
		close(c.out)
		c.out = nil
	}
}

// Dialer returns a function that connects by dial, through the cable.
func (c *Cable) Dialer(dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if err := c.wait(ctx.Done()); err != nil {
			return nil, context.Cause(ctx)
		}
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &plugged{Conn: nc, cable: c, closed: make(chan struct{})}, nil
	}
}

// wait waits until the cable is plugged in or ended is closed, and then returns an error.
func (c *Cable) wait(ended <-chan struct{}) error {
	for {
		c.mu.Lock()
		out := c.out
		c.mu.Unlock()
		if out == nil {
			return nil
		}
		select {
		case <-out:
		case <-ended:
			return net.ErrClosed
		}
	}
}

type plugged struct {
	net.Conn
	cable  *Cable
	once   sync.Once
	closed chan struct{}
}

func (p *plugged) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if gone := p.cable.wait(p.closed); gone != nil {
		return 0, gone
	}
	return n, err
}

func (p *plugged) Write(b []byte) (int, error) {
	if err := p.cable.wait(p.closed); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

func (p *plugged) Close() error {
	p.once.Do(func() { close(p.closed) })
	return p.Conn.Close()
}
