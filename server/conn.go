package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

const (
	maxOut = 1 << 20 // answers not taken; a connection with more is not read

	maxConnect   = 4 << 10 // bytes of a connect request, which is some 45: who has no session yet takes up no memory
	keepOut      = 4 << 10 // a buffer of answers larger than this is kept only while it is needed
	drainTimeout = time.Second
	drainBytes   = 1 << 20
)

// A conn is a client's connection. Its reader decodes requests, carries out reads when nothing is in flight before
// them, and proposes writes; answers and events that come later are appended by the goroutine that applies the log.
// The writer hands to the kernel what the reader does not.
type conn struct {
	srv    *Server
	nc     net.Conn // replaced by a TLS connection at most once, before anything is written
	br     *intake
	reader wire.Reader // of the request that is being taken
	quiet  quiet
	remote string
	opened time.Time
	secure bool // it came to the port for TLS only

	// Set when the connect request is applied, before anything else sees the connection; constant from then on.
	session int64
	epoch   int32
	timeout time.Duration

	readOnly       bool        // of the read-only mode; written under Server.mu
	allowsReadOnly atomic.Bool // the client said so

	ids   atomic.Pointer[[]wire.ID] // replaced by auth requests, never changed in place
	heard atomic.Bool               // something came since the leader was last told

	mu     sync.Mutex // guards the fields below
	below  sync.Cond  // on mu: queue or out got shorter, or the connection ended
	queue  slotQueue  // requests not answered yet, in the order sent
	ran    int        // how many of them have been carried out, behind a ping that is held
	behind int        // bytes of their answers, and of events
	out    []byte     // encoded, not yet handed to the kernel
	spare  []byte     // the buffer out is swapped with
	closed bool
	last   bool // close when out is flushed
	stats  connStats

	flushing sync.Mutex    // held while writing to the socket
	wake     chan struct{} // of capacity 1: there is something to flush
	done     chan struct{} // closed with the connection
}

func newConn(s *Server, nc net.Conn, secure bool) *conn {
	c := &conn{srv: s, nc: nc, secure: secure, br: newIntake(nc), quiet: newQuiet(nc), remote: nc.RemoteAddr().String(), opened: time.Now(),
		wake: make(chan struct{}, 1), done: make(chan struct{})}
	c.below.L = &c.mu
	ids := []wire.ID{{Scheme: "ip", ID: host(nc.RemoteAddr())}}
	c.ids.Store(&ids)
	return c
}

func host(a net.Addr) string {
	h, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return h
}

// serve owns the connection: it returns when it has ended and nothing of it is left.
func (c *conn) serve() {
	defer c.nc.Close()
	if !c.open() {
		c.close()
		return
	}
	var wg sync.WaitGroup
	wg.Go(c.writeLoop)
	err := c.readLoop()
	c.srv.log.Debug("connection ended", "remote", c.remote, "session", sessionID(c.session), "cause", err)
	c.close()
	wg.Wait()
	c.br.release()
	c.srv.state.watches.Drop(c)
	if errors.Is(err, errLastRequest) {
		c.drain()
	}
}

// drain takes what the client had sent behind its last request, for a while: closing with unread bytes would reset the
// connection, and the client could lose the last answer.
func (c *conn) drain() {
	tcp, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || c.nc.SetDeadline(time.Now().Add(drainTimeout)) != nil || tcp.CloseWrite() != nil {
		return
	}
	io.CopyN(io.Discard, c.nc, drainBytes) // however it ends, the connection is closed next
}

// close ends the connection, with no word to the client. It may be called from anywhere, also under state.mu.
func (c *conn) close() {
	c.mu.Lock()
	c.closeLocked()
	c.mu.Unlock()
}

func (c *conn) closeLocked() {
	if c.closed {
		return
	}
	c.closed = true
	close(c.done)
	c.below.Broadcast()
	// Reads and writes of the socket return at once; it is closed by serve. A deadline never blocks, unlike a Close.
	if err := c.nc.SetDeadline(time.Unix(1, 0)); err != nil && !errors.Is(err, net.ErrClosed) {
		c.nc.Close()
	}
}

var errLastRequest = errors.New("no request is taken behind this one")

// readLoop returns with the reason why no more requests are taken.
func (c *conn) readLoop() error {
	for {
		if err := c.awaitNext(); err != nil {
			return err
		}
		if c.takePings() > 0 {
			if err := c.throttle(); err != nil {
				return err
			}
		}
		frame := c.br.Frame(c.srv.cfg.MaxFrame)
		if frame == nil { // the rest of it is still to come
			var err error
			if frame, err = c.readFrame(c.srv.cfg.MaxFrame); err != nil {
				return err
			}
		}
		if err := c.request(frame); err != nil {
			return c.linger(err)
		}
		if !c.buffered() {
			c.flushNow()
		}
		if err := c.throttle(); err != nil {
			return err
		}
	}
}

// linger lets the writer answer what is still to be answered before the connection is closed for reason err.
func (c *conn) linger(err error) error {
	c.mu.Lock()
	c.last = true
	c.mu.Unlock()
	c.signal()
	<-c.done
	return err
}

// buffered tells whether another whole request has already been read from the socket.
func (c *conn) buffered() bool {
	if c.br.Buffered() < 4 {
		return false
	}
	head, _ := c.br.Peek(4)
	n := int(int32(binary.BigEndian.Uint32(head)))
	return n >= 0 && c.br.Buffered()-4 >= n
}

func (c *conn) readFrame(limit int) ([]byte, error) {
	frame, err := wire.ReadFrame(c.br, nil, limit)
	if err != nil && !errors.Is(err, io.EOF) {
		if errors.As(err, new(*wire.FrameError)) {
			c.srv.stats.frames.Add(1)
		}
		err = fmt.Errorf("read request: %w", err)
	}
	return frame, err
}

// throttle waits while the client has too much in flight, or takes no answers.
func (c *conn) throttle() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := false
	for !c.closed && (c.queue.len() >= c.srv.cfg.Limits.InFlight || len(c.out)+c.behind >= maxOut) {
		if !held {
			held = true
			c.srv.stats.held.Add(1)
		}
		c.signal()
		c.below.Wait()
	}
	if c.closed {
		return net.ErrClosed
	}
	return nil
}

// signal wakes the writer.
func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *conn) writeLoop() {
	for {
		select {
		case <-c.wake:
		case <-c.done:
			return
		}
		if err := c.flush(); err != nil {
			c.close()
			return
		}
	}
}

// flushNow writes what there is from the reader's goroutine, which saves waking the writer; if the writer is at it
// already, it is told to look again.
func (c *conn) flushNow() {
	if !c.flushing.TryLock() {
		c.signal()
		return
	}
	err := c.flushLocked()
	c.flushing.Unlock()
	if err != nil {
		c.close()
	}
}

func (c *conn) flush() error {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	return c.flushLocked()
}

func (c *conn) flushLocked() error {
	for {
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return net.ErrClosed
		}
		if len(c.out) == 0 {
			over := c.last && c.queue.len() == 0
			if over {
				c.closeLocked()
			}
			c.mu.Unlock()
			return nil
		}
		p := c.out
		c.out, c.spare = c.spare[:0], nil
		c.below.Signal()
		c.mu.Unlock()

		_, err := c.nc.Write(p)
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if cap(p) > maxOut || cap(p) > keepOut && len(p) < cap(p)/64 {
			p = nil // an idle connection's pongs need no more than they are long
		}
		c.mu.Lock()
		c.spare = p
		c.mu.Unlock()
	}
}

// deliver appends a watch event behind the answers of all requests that have been carried out. It is called while the
// change is applied, so before any reply that could show it.
func (c *conn) deliver(e *tree.Event, typ wire.EventType, path string) {
	if !tree.Allowed(e.ACL, wire.PermRead, *c.ids.Load()) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if c.boundLocked(); c.closed {
		return
	}
	if c.ran > 0 {
		s := c.queue.at(c.ran - 1)
		before := len(s.buf)
		s.buf = appendEvent(s.buf, e.Zxid, typ, path)
		c.behind += len(s.buf) - before
	} else {
		c.out = appendEvent(c.out, e.Zxid, typ, path)
	}
	c.stats.event()
}

// boundLocked closes the connection if its client leaves too much unread. It is asked before something is added: one
// answer may be as long as it is.
func (c *conn) boundLocked() {
	if len(c.out)+c.behind > c.srv.cfg.Limits.Unread {
		c.srv.log.Warn("client does not read, connection closed", "remote", c.remote, "session", sessionID(c.session))
		c.srv.stats.cut.Add(1)
		c.closeLocked()
		c.out = nil
	}
}

func appendEvent(b []byte, zxid int64, typ wire.EventType, path string) []byte {
	start := len(b)
	b = wire.BeginFrame(b)
	b = wire.ReplyHeader{Xid: wire.XidNotification, Zxid: zxid}.Append(b)
	b = (&wire.WatcherEvent{Type: typ, State: wire.StateSyncConnected, Path: path}).Append(b)
	return wire.EndFrame(b, start)
}
