package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// errAgain asks for another attempt at the same address, at once.
var errAgain = errors.New("the earlier session has ended")

// attempt tries one address: to close a session left over, to re-attach the present one, or to begin a new one. It
// returns a connection that is ready, or errAgain when a server has told that the session it was to attach is no more.
func (c *core) attempt(parent context.Context, h host) (*conn, error) {
	ctx, cancel := context.WithTimeout(parent, c.cfg.ConnectTimeout)
	defer cancel()
	nc, err := c.dial(ctx, h)
	if err != nil {
		return nil, err
	}
	cn := newConn(nc, h.addr)
	if err = c.attach(ctx, parent, cn); err != nil {
		nc.Close()
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, errAgain) {
			err = fmt.Errorf("%w (%w)", cause, err)
		}
		return nil, err
	}
	return cn, nil
}

func (c *core) attach(ctx, parent context.Context, cn *conn) error {
	defer context.AfterFunc(parent, func() { cn.nc.Close() })()
	helloOver := context.AfterFunc(ctx, func() { cn.nc.Close() })
	req := c.connectRequest()
	sentAt := c.clock.now()
	resp, err := cn.hello(req)
	if !helloOver() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	gone := resp.Timeout <= 0 || resp.SessionID == 0
	switch {
	case gone && req.SessionID == 0:
		return fmt.Errorf("%w: a new session was refused", ErrProtocol)
	case gone:
		c.forget()
		return errAgain
	case c.leftover != nil && resp.ReadOnly:
		return c.keepLeftover()
	case c.leftover != nil:
		return c.closeLeftover(cn)
	}
	if err := c.admit(cn, resp, sentAt); err != nil {
		return err
	}
	return cn.prepare()
}

// connectRequest asks for what is due: the session left over, so as to close it, the present one, or a new one.
func (c *core) connectRequest() *wire.ConnectRequest {
	req := &wire.ConnectRequest{
		Timeout: int32(c.cfg.SessionTimeout.Milliseconds()), Password: make([]byte, wire.PasswordLen),
		HasReadOnly: true, ReadOnly: c.cfg.AllowReadOnly,
	}
	t := c.cfg.Resume
	switch {
	case c.leftover != nil:
		t = c.leftover
	case c.session != nil:
		t = &Ticket{c.session.id, c.session.password, c.session.zxid.Load()}
	case c.begun:
		t = nil
	}
	if t != nil {
		req.SessionID, req.Password, req.LastZxidSeen = t.SessionID, t.Password, t.LastZxid
	}
	return req
}

// admit makes the session that the server granted the owner's.
func (c *core) admit(cn *conn, resp *wire.ConnectResponse, sentAt time.Duration) error {
	c.granted.Store(true)
	granted := time.Duration(resp.Timeout) * time.Millisecond
	if c.cfg.RequireTimeout && granted != c.cfg.SessionTimeout || c.cfg.margin(granted) >= granted {
		if c.session == nil && c.cfg.Resume == nil {
			c.leftover = &Ticket{SessionID: resp.SessionID, Password: resp.Password}
		}
		return fmt.Errorf("%w: %v for %v", ErrTimeoutRefused, granted, c.cfg.SessionTimeout)
	}
	if c.session == nil {
		zxid := int64(0)
		if !c.begun && c.cfg.Resume != nil {
			zxid = c.cfg.Resume.LastZxid
		}
		c.session = newSession(c, resp, zxid, sentAt)
		c.session.local.Store(resp.ReadOnly)
		c.begun = true
		c.figures.sessions.Add(1)
	} else if c.session.id != resp.SessionID {
		return fmt.Errorf("%w: asked for session %#x, got %#x", ErrProtocol, uint64(c.session.id), uint64(resp.SessionID))
	}
	c.session.timeout.Store(int64(granted))
	cn.s, cn.readOnly = c.session, resp.ReadOnly
	cn.prove(sentAt)
	if !resp.ReadOnly {
		c.session.local.Store(false)
	}
	return nil
}

// keepLeftover is for a read-only server, which can end no session of the ensemble. Close has to find another one;
// a client that goes on leaves the session to its timeout, which has passed already or soon will have.
func (c *core) keepLeftover() error {
	if c.isClosing() {
		return fmt.Errorf("closing session %#x: %w", uint64(c.leftover.SessionID), ErrReadOnly)
	}
	c.leftover = nil
	return errAgain
}

// closeLeftover ends a session that this client has given up, so that its ephemerals go now and not some time later.
func (c *core) closeLeftover(cn *conn) error {
	c.leftoverTries++
	frame := wire.RequestHeader{Xid: 1, Op: wire.OpCloseSession}.Append(wire.BeginFrame(nil))
	if _, err := cn.nc.Write(wire.EndFrame(frame, 0)); err != nil {
		return err
	}
	guard := time.AfterFunc(c.cfg.ConnectTimeout, func() { cn.nc.Close() })
	defer guard.Stop()
	for {
		answer, err := wire.ReadFrame(cn.br, nil, c.cfg.MaxReply)
		if err != nil {
			return err
		}
		var r wire.Reader
		r.Reset(answer)
		var h wire.ReplyHeader
		h.Decode(&r)
		if r.Err() == nil && h.Xid == 1 {
			c.leftover = nil
			return errAgain
		}
	}
}
