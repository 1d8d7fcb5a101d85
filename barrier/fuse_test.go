package barrier_test

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"

	"github.com/docent-io/docent/client"
)

// The ways in which the one that starts the barrier crashes: its session is over before its transaction comes to the
// server, or right behind it, answered or not; or the transaction is lost together with the member.
const (
	crashBefore = 1 + iota
	crashBehind
	crashUnanswered
	crashUnheard
	ways = crashUnheard
)

// fused dials connections on which the one that starts the barrier crashes when the fuse is set.
func (p *party) fused(own *atomic.Pointer[client.Client]) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := p.s.Servers[0].DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &fusedConn{Conn: conn, p: p, own: own}, nil
	}
}

type fusedConn struct {
	net.Conn
	p   *party
	own *atomic.Pointer[client.Client]
}

func (c *fusedConn) Write(b []byte) (n int, err error) {
	member := c.own.Load()
	if member == nil || !bytes.Contains(b, []byte(`"state":"running"`)) { // only who starts it writes that
		return c.Conn.Write(b)
	}
	way := c.p.fuse.Swap(0)
	if way == 0 {
		return c.Conn.Write(b)
	}
	c.p.crashes.firing.Add(1)
	session := sessionID(member)
	if way == crashBefore {
		c.p.expire(c.p.s.Context(), session)
	}
	if way != crashUnheard {
		n, err = c.Conn.Write(b)
	}
	if way == crashUnanswered || way == crashUnheard {
		c.Conn.Close()
	}
	if way != crashBefore {
		c.p.expire(c.p.s.Context(), session)
	}
	return n, err
}
