package servertest

import (
	"context"
	"net"
	"time"
)

// network is what servers listen on and clients dial.
type network interface {
	listen(addr string) (net.Listener, error)
	dial(ctx context.Context, addr string) (net.Conn, error)
	// clientDialer is what clients need in their configuration; nil for the usual.
	clientDialer() func(ctx context.Context, network, addr string) (net.Conn, error)
}

// sockets is TCP.
type sockets struct{}

// listen takes a port; one that was in use a moment ago is waited for.
func (sockets) listen(addr string) (net.Listener, error) {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		ln, err := net.Listen("tcp", addr)
		if err == nil || time.Now().After(end) {
			return ln, err
		}
	}
}

func (sockets) dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

func (sockets) clientDialer() func(context.Context, string, string) (net.Conn, error) { return nil }

func (p *pipes) clientDialer() func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, addr string) (net.Conn, error) { return p.dial(ctx, addr) }
}
