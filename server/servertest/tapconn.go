package servertest

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

type tapListener struct {
	net.Listener
	tap *tap
}

func (l *tapListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &tapConn{Conn: nc, tap: l.tap, out: newOutlet(nc, &l.tap.way), buf: make([]byte, minBuf)}
	l.tap.mu.Lock()
	l.tap.conns[c] = struct{}{}
	l.tap.mu.Unlock()
	return c, nil
}

// A connection reads so much at a time: most carry little.
const minBuf, maxBuf = 1 << 10, 64 << 10

var errFault = errors.New("servertest: the connection breaks here")

// tapConn is the server's end of a client's connection.
type tapConn struct {
	net.Conn
	tap     *tap
	out     *outlet
	session atomic.Int64
	plain   atomic.Bool // what goes over it is no frames, and is left alone

	// Used by the reader alone.
	buf    []byte    // what Conn gave
	raw    []byte    // the beginning of what has come and is not cut into frames yet
	ready  []byte    // what the server may read
	held   *exchange // comes next
	opened bool      // the connect request has been read

	mu       sync.Mutex  // guards the fields below
	pending  []*exchange // requests to be answered, in order
	answered bool        // the connect request
}

func (c *tapConn) Read(p []byte) (int, error) {
	for len(c.ready) == 0 {
		if err := c.fill(); err != nil {
			c.Conn.Close()
			return 0, err
		}
	}
	n := copy(p, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

// fill makes more ready, or does a step towards it.
func (c *tapConn) fill() error {
	if e := c.held; e != nil {
		c.held = nil
		return c.pass(e)
	}
	c.ready = c.ready[:0]
	for frame := c.frame(); frame != nil; frame = c.frame() {
		if !c.opened {
			c.opened = true
			c.ready = append(c.ready, frame...)
			continue
		}
		e := c.tap.request(c, wire.Op(int32(binary.BigEndian.Uint32(frame[8:]))), frame)
		if len(c.ready) > 0 && (e.moment != nil || e.request.Kind != "") {
			c.held = e // what came before goes first
			return nil
		}
		if err := c.pass(e); err != nil {
			return err
		}
	}
	if c.plain.Load() {
		c.ready, c.raw = append(c.ready, c.raw...), nil
	}
	if len(c.ready) > 0 {
		return nil
	}
	n, err := c.Conn.Read(c.buf)
	if !c.tap.way.gate.pass(c.out.ended) {
		return errFault
	}
	c.raw = append(c.raw, c.buf[:n]...)
	if n == len(c.buf) && n < maxBuf {
		c.buf = make([]byte, 4*n)
	}
	if n > 0 {
		return nil
	}
	return err
}

// frame cuts the next whole frame off raw, nil if there is none. The first one of a connection may be as short as it
// likes; what cannot be a request leaves the connection plain.
func (c *tapConn) frame() []byte {
	if len(c.raw) < 4 || c.plain.Load() {
		return nil
	}
	n := int(binary.BigEndian.Uint32(c.raw))
	if n > wire.MaxFrame || c.opened && n < 8 {
		c.plain.Store(true)
		return nil
	}
	if len(c.raw) < 4+n {
		return nil
	}
	frame := c.raw[: 4+n : 4+n]
	c.raw = c.raw[4+n:]
	return frame
}

// pass lets a request go on to the server, or breaks the connection in its place.
func (c *tapConn) pass(e *exchange) error {
	if e.moment != nil {
		f := e.moment.wait(c.out.ended)
		if f.atRequest() {
			e.request = f
		} else if f.Kind != "" {
			e.reply = f
		}
	}
	session := c.session.Load()
	switch e.request.Kind {
	case CommittedLate:
		c.tap.keep(session, e.op, e.frame)
		return errFault
	case RequestDropped:
		return errFault
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, late := range c.tap.due(session, e.op) {
		c.pending = append(c.pending, &exchange{swallow: true})
		c.ready = append(c.ready, late...)
	}
	c.pending = append(c.pending, e)
	c.ready = append(c.ready, e.frame...)
	return nil
}

// Write passes the frames on; the server writes whole ones.
func (c *tapConn) Write(p []byte) (int, error) {
	start, end := 0, 0 // of what goes on together
	send := func(decide func(<-chan struct{}) fate) error {
		if start == end {
			return nil
		}
		err := c.out.send(parcel{data: p[start:end], decide: decide})
		start = end
		return err
	}
	for !c.plain.Load() && end+4 <= len(p) {
		next := end + 4 + int(binary.BigEndian.Uint32(p[end:]))
		if next > len(p) {
			break
		}
		decide, swallow := c.reply(p[end+4 : next])
		if decide != nil || swallow {
			if err := send(nil); err != nil {
				return 0, err
			}
		}
		if end = next; swallow {
			start = next
		} else if decide != nil {
			if err := send(decide); err != nil {
				return 0, err
			}
		}
	}
	end = len(p)
	return len(p), send(nil)
}

// reply tells what is to happen to a frame that the server sends.
func (c *tapConn) reply(frame []byte) (decide func(<-chan struct{}) fate, swallow bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.answered {
		if c.answered = true; len(frame) >= 16 {
			session := int64(binary.BigEndian.Uint64(frame[8:]))
			c.session.Store(session)
			for _, t := range c.tap.others {
				t.forget(session)
			}
		}
		return nil, false
	}
	if len(frame) >= 4 && int32(binary.BigEndian.Uint32(frame)) == wire.XidNotification {
		c.tap.mu.Lock()
		c.tap.counters.Events++
		c.tap.mu.Unlock()
		return nil, false
	}
	if len(c.pending) == 0 {
		return nil, false
	}
	e := c.pending[0]
	c.pending = c.pending[1:]
	if e.swallow || e.op == wire.OpPing && e.reply.Kind == "" {
		return nil, e.swallow
	}
	var m *Moment
	if e.op != wire.OpPing {
		c.tap.mu.Lock()
		m = c.tap.moment(Moment{Server: c.tap.srv, Op: e.op.String(), Session: c.session.Load(), Reply: true})
		c.tap.mu.Unlock()
	}
	if m == nil && e.reply.Kind == "" {
		return nil, false
	}
	return func(ended <-chan struct{}) fate { return happens(e.reply, m, ended) }, false
}

// happens returns the fate of a reply, after the time that it is held.
func happens(f Fault, m *Moment, ended <-chan struct{}) fate {
	if m != nil {
		if g := m.wait(ended); g.Kind != "" {
			f = g
		}
	}
	switch f.Kind {
	case ReplyDropped, RequestDropped, CommittedLate:
		return getsLost
	case ReplyDuplicated:
		return arrivesTwice
	case ClosedAfterReply:
		return arrivesLast
	case ReplyDelayed:
		if !pause(f.For, ended) {
			return getsLost
		}
	}
	return arrives
}

// CloseWrite tells the client that nothing follows.
func (c *tapConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// SetDeadline lets go of what is held if the deadline is over: so the server ends a connection.
func (c *tapConn) SetDeadline(t time.Time) error {
	if over(t) {
		c.release()
	}
	return c.Conn.SetDeadline(t)
}

func (c *tapConn) release() {
	c.out.end()
	c.tap.mu.Lock()
	delete(c.tap.conns, c)
	c.tap.mu.Unlock()
}

// Close closes the connection; what is held is lost.
func (c *tapConn) Close() error {
	c.release()
	return c.out.close()
}
