package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// serve runs a connection until it fails, its session ends or the client is closed.
func (c *core) serve(cn *conn) {
	s := c.session
	life, end := context.WithCancel(context.Background())
	failed := make(chan error, 2)
	var loops sync.WaitGroup
	began := c.clock.now()
	cn.heard.Store(int64(began))
	loops.Go(func() { failed <- cn.readLoop() })
	loops.Go(func() { failed <- cn.writeLoop(life.Done()) })
	c.figures.attached.Add(1)
	c.current.Store(s)
	s.attach(cn)
	better := make(chan host, 1) // a server to prefer to this one
	if cn.readOnly {
		c.setState(ReadOnly)
		loops.Go(func() { c.seekWritable(life, better) })
	} else {
		c.setState(Connected)
	}
	prefer, why := c.tend(s, cn, failed, better)
	cause := fmt.Errorf("%w: %s: %w", ErrSuspended, cn.addr, why)
	s.detach(cause)
	cn.nc.Close()
	end()
	loops.Wait()
	cn.stop()
	s.watches.detached()
	now := c.clock.now()
	c.hosts.lost(now, now-began)
	if prefer != (host{}) {
		c.hosts.prefer(prefer)
	}
	if s.ctx.Err() == nil {
		c.log.Debug("connection lost", "error", cause)
		c.setState(Suspended)
	}
}

var (
	errSilent = errors.New("nothing was heard from the server")
	errUnsure = errors.New("the server does not answer pings")
	errEnded  = errors.New("the session has ended")
	errBetter = errors.New("left a read-only server for one that takes writes")
)

// tend pings a connection and watches over it. It returns why the connection is to be ended, and the server to try
// first then, if there is one.
func (c *core) tend(s *session, cn *conn, failed <-chan error, better <-chan host) (prefer host, why error) {
	granted := s.granted()
	every, patience := max(granted/6, time.Millisecond), c.cfg.readTimeout(granted)
	hope := max(granted*2/3, patience) // how long an answer to a ping is waited for while others come
	nextPing := c.clock.now() + every - early(time.Now(), every)
	timer := time.NewTimer(min(every, patience))
	defer timer.Stop()
	for {
		select {
		case err := <-failed:
			return host{}, err
		case <-c.closing:
			s.end(ErrClosed)
			return host{}, c.farewell(s, cn, failed)
		case <-s.ctx.Done():
			return host{}, c.farewell(s, cn, failed)
		case h := <-better:
			return h, errBetter
		case <-timer.C:
		}
		now := c.clock.now()
		left := time.Duration(cn.heard.Load()) + patience - now
		if left <= 0 {
			return host{}, errSilent
		}
		if cn.awaitsPong() && now-time.Duration(s.proven.Load()) >= hope {
			return host{}, errUnsure // another server may still save the session
		}
		if now >= nextPing {
			cn.ping(now)
			nextPing = now + every - early(time.Now(), every)
		}
		timer.Reset(min(nextPing-now, left))
	}
}

// early is by how much the next ping is sent before every has passed: so much that it goes out at a multiple of a 64th of
// that by the wall clock. So the pings of many sessions, of this process and others, go out together, and wake those who
// send and answer them a few times in a second instead of once each, which is what idle sessions cost most.
func early(now time.Time, every time.Duration) time.Duration {
	return time.Duration(now.Add(every).UnixNano()) % max(every/64, 1)
}

// farewell closes a session that has ended here on the server, too. Requests sent before it are still answered. What a
// read-only server says of a session that is not its own ends nothing.
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
		s.gone.Store(k.out == answered && cn.decides())
		return errEnded
	case err := <-failed:
		if !k.abandon() { // the answer was there, and the server hung up behind it
			s.gone.Store(k.out == answered && cn.decides())
		}
		return err
	case <-patience.C:
	case <-c.ctx.Done():
	}
	k.abandon()
	return errEnded
}
