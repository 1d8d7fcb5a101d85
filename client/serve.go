package client

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// serve runs a connection until it fails, its session ends or the client is closed.
func (c *core) serve(cn *conn) {
	s := c.session
	stop, failed := make(chan struct{}), make(chan error, 2)
	var loops sync.WaitGroup
	began := c.clock.now()
	cn.heard.Store(int64(began))
	loops.Go(func() { failed <- cn.readLoop() })
	loops.Go(func() { failed <- cn.writeLoop(stop) })
	c.figures.attached.Add(1)
	c.current.Store(s)
	s.attach(cn)
	if cn.readOnly {
		c.setState(ReadOnly)
	} else {
		c.setState(Connected)
	}
	cause := fmt.Errorf("%w: %s: %w", ErrSuspended, cn.addr, c.tend(s, cn, failed))
	s.detach(cause)
	cn.nc.Close()
	close(stop)
	loops.Wait()
	cn.stop()
	s.watches.detached()
	now := c.clock.now()
	c.hosts.lost(now, now-began)
	if s.ctx.Err() == nil {
		c.log.Debug("connection lost", "error", cause)
		c.setState(Suspended)
	}
}

var (
	errSilent = errors.New("nothing was heard from the server")
	errEnded  = errors.New("the session has ended")
)

// tend pings a connection and watches over it. It returns why the connection is to be ended.
func (c *core) tend(s *session, cn *conn, failed <-chan error) error {
	granted := s.granted()
	every, patience := max(granted/6, time.Millisecond), c.cfg.readTimeout(granted)
	nextPing := c.clock.now() + every
	timer := time.NewTimer(min(every, patience))
	defer timer.Stop()
	for {
		select {
		case err := <-failed:
			return err
		case <-c.closing:
			s.end(ErrClosed)
			return c.farewell(s, cn, failed)
		case <-s.ctx.Done():
			return c.farewell(s, cn, failed)
		case <-timer.C:
		}
		now := c.clock.now()
		left := time.Duration(cn.heard.Load()) + patience - now
		if left <= 0 {
			return errSilent
		}
		if now >= nextPing {
			cn.ping(now)
			nextPing = now + every
		}
		timer.Reset(min(nextPing-now, left))
	}
}

// farewell closes a session that has ended here on the server, too. Requests sent before it are still answered.
func (c *core) farewell(s *session, cn *conn, failed <-chan error) error {
	k := s.call(wire.OpCloseSession, "")
	defer s.release(k)
	if taken, err := cn.enqueueLast(k); !taken || err != nil {
		return errors.Join(errEnded, err)
	}
	patience := time.NewTimer(min(c.cfg.readTimeout(s.granted()), c.cfg.CloseTimeout))
	defer patience.Stop()
	select {
	case <-k.done:
		s.gone.Store(k.out == answered)
		return errEnded
	case err := <-failed:
		select {
		case <-k.done: // the answer, and the server hung up behind it
			s.gone.Store(k.out == answered)
		default:
		}
		return err
	case <-patience.C:
	case <-c.ctx.Done():
	}
	k.abandon()
	return errEnded
}
