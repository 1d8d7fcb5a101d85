package client

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// setWatchesMax bounds the text of the paths in one request that sets watches again; servers take frames of 1 MiB, and
// other clients send as much.
const setWatchesMax = 120 << 10

// dial makes a connection to one address, with TLS if configured. ctx bounds it.
func (c *core) dial(ctx context.Context, h host) (net.Conn, error) {
	nc, err := c.cfg.DialContext(ctx, "tcp", h.addr)
	if err != nil || c.cfg.TLS == nil {
		return nc, err
	}
	cfg := c.cfg.TLS.Clone()
	if cfg.ServerName == "" {
		cfg.ServerName = h.name
	}
	tc := tls.Client(nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return tc, nil
}

// hello sends the connect request and returns its answer. Nothing else may be sent before that: a server that answers
// "expired" closes at once, and what had been sent would make its answer get lost.
func (c *conn) hello(req *wire.ConnectRequest) (*wire.ConnectResponse, error) {
	frame := wire.EndFrame(req.Append(wire.BeginFrame(nil)), 0)
	if _, err := c.nc.Write(frame); err != nil {
		return nil, err
	}
	answer, err := wire.ReadFrame(c.br, nil, 0)
	if err != nil {
		return nil, fmt.Errorf("no answer to the connect request: %w", err)
	}
	var r wire.Reader
	r.Reset(answer)
	resp := new(wire.ConnectResponse)
	resp.Decode(&r)
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("%w: answer to the connect request: %w", ErrProtocol, err)
	}
	return resp, nil
}

// prepare makes a connection ready for the requests of its session: identities first, then the watches.
func (c *conn) prepare() error {
	for _, a := range c.s.core.cfg.Auth {
		m := wire.AuthRequest{Scheme: a.Scheme, Auth: a.Data}
		code, err := c.exchange(wire.XidAuth, wire.OpAuth, m.Append)
		if err != nil {
			return fmt.Errorf("authenticating with scheme %s: %w", a.Scheme, err)
		}
		if code != 0 {
			return fmt.Errorf("authenticating with scheme %s: %w", a.Scheme, code)
		}
	}
	return c.setWatches()
}

// setWatches sets the session's watches again, in portions. Those whose node has changed meanwhile fire before the
// answer.
func (c *conn) setWatches() error {
	all, streams := c.s.watches.snapshot()
	op := wire.OpSetWatches
	if len(all.Persistent)+len(all.Recursive) > 0 {
		op = wire.OpSetWatches2 // servers before 3.6 do not know it
	}
	zxid := c.s.zxid.Load()
	for part, more := cutWatches(&all); more; part, more = cutWatches(&all) {
		part.RelativeZxid = zxid
		code, err := c.exchange(c.handshakeXid(), op, func(b []byte) []byte { return part.Append(b, op) })
		if err == nil && code != 0 {
			err = code
		}
		if err != nil {
			return fmt.Errorf("setting watches again: %w", err)
		}
	}
	for _, st := range streams {
		st.resync()
	}
	return nil
}

// cutWatches takes a portion out of all; more is false if there was nothing left.
func cutWatches(all *wire.SetWatchesRequest) (part wire.SetWatchesRequest, more bool) {
	size := 0
	cut := func(from, to *[]string) {
		n := 0
		for ; n < len(*from) && size < setWatchesMax; n++ {
			size += 4 + len((*from)[n])
		}
		*to, *from = (*from)[:n], (*from)[n:]
		more = more || n > 0
	}
	cut(&all.Data, &part.Data)
	cut(&all.Exist, &part.Exist)
	cut(&all.Child, &part.Child)
	cut(&all.Persistent, &part.Persistent)
	cut(&all.Recursive, &part.Recursive)
	return part, more
}

func (c *conn) handshakeXid() int32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nextXid()
}

// exchange sends one request and reads until its answer, delivering events on the way. It is for the time before the
// loops run. The silence it bears is that of a connection in use.
func (c *conn) exchange(xid int32, op wire.Op, body func([]byte) []byte) (Code, error) {
	frame := wire.RequestHeader{Xid: xid, Op: op}.Append(wire.BeginFrame(nil))
	frame = wire.EndFrame(body(frame), 0)
	guard := time.AfterFunc(c.s.core.cfg.readTimeout(c.s.granted()), func() { c.nc.Close() })
	defer guard.Stop()
	if _, err := c.nc.Write(frame); err != nil {
		return 0, err
	}
	for {
		answer, err := c.readFrame()
		if err != nil {
			return 0, err
		}
		var r wire.Reader
		r.Reset(answer)
		var h wire.ReplyHeader
		h.Decode(&r)
		switch {
		case r.Err() != nil:
			return 0, fmt.Errorf("%w: %w", ErrProtocol, r.Err())
		case h.Xid == xid:
			return Code(h.Err), nil
		case h.Xid != wire.XidNotification:
			return 0, fmt.Errorf("%w: a reply to request %d, which is not the next", ErrProtocol, h.Xid)
		}
		if err := c.notify(h.Zxid, &r); err != nil {
			return 0, err
		}
	}
}
