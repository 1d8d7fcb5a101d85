package client

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

const (
	readBuffer = 64 << 10
	keepBuffer = 1 << 20 // larger send buffers are given back
)

// conn is one connection of a session: a queue in front of a writer, and a reader that gives answers back in order. A
// call that is alone needs neither; see lone.go.
type conn struct {
	nc       net.Conn
	s        *session
	addr     string
	readOnly bool
	heard    atomic.Int64  // when bytes came last, on the core's clock
	wake     chan struct{} // of one: there is something to write
	back     chan struct{} // of one: the reader has to read again
	open     atomic.Int32  // calls that have no answer yet
	direct   *tryWriter    // writes without waiting, or nil

	deadlines bool // it knows read deadlines

	// whose turn it is to read
	br   *bufio.Reader
	lot  []*call // calls sent, answered up to next
	next int
	long []byte // what has come of a frame that does not fit into br
	want int    // its length, or 0

	mu      sync.Mutex      // guards the rest
	out     []byte          // frames that nobody has taken to write yet
	spare   []byte          // to swap for out, when a caller writes
	queued  []*call         // whose requests are in out
	sent    []*call         // taken by the writer, not yet by the reader
	pings   []time.Duration // when the pings in flight were put into out
	xid     int32
	over    bool // nothing is taken any more
	writing bool // somebody does, and looks for more afterwards
	reading role
	recall  bool  // the caller who reads is to give that back
	lone    int   // flights in a row that found nothing else open
	failure error // of the caller who read, for the reader
}

func newConn(nc net.Conn, addr string) *conn {
	c := &conn{nc: nc, addr: addr, wake: make(chan struct{}, 1), back: make(chan struct{}, 1), direct: newTryWriter(nc)}
	c.br = bufio.NewReaderSize(nc, readBuffer)
	c.deadlines = nc.SetReadDeadline(time.Time{}) == nil
	return c
}

// enqueue puts the calls into the send queue, next to each other. It reports false, and has taken nothing, if the
// connection is over; a request that is too large for the server is an error. Nobody may wait for them: see send.
func (c *conn) enqueue(calls ...*call) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.put(calls)
}

// enqueueLast is enqueue for the end of the session: nothing goes out behind it.
func (c *conn) enqueueLast(k *call) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() { c.over = true }()
	return c.put([]*call{k})
}

// put is enqueue for who holds mu: the writer writes them, the reader reads their answers.
func (c *conn) put(calls []*call) (bool, error) {
	taken, err := c.number(calls)
	if taken && err == nil {
		c.signal()
		c.readAgain()
	}
	return taken, err
}

// number encodes the calls behind what is queued. The caller holds mu.
func (c *conn) number(calls []*call) (bool, error) {
	if c.over {
		return false, nil
	}
	start, xid := len(c.out), c.xid
	for _, k := range calls {
		frame := len(c.out)
		k.xid = c.nextXid()
		c.out = k.req.appendTo(wire.BeginFrame(c.out), k.xid)
		if size := len(c.out) - frame - 4; size > wire.MaxFrame {
			c.out, c.xid = c.out[:start], xid
			return true, fmt.Errorf("%w: request of %d bytes, servers take %d", ErrBadArguments, size, wire.MaxFrame)
		}
		c.out = wire.EndFrame(c.out, frame)
	}
	for _, k := range calls {
		k.owners.Add(1)
	}
	c.queued = append(c.queued, calls...)
	c.open.Add(int32(len(calls)))
	return true, nil
}

// nextXid numbers requests from 1, and begins again at 1 behind the largest. The caller holds mu.
func (c *conn) nextXid() int32 {
	if c.xid == math.MaxInt32 {
		c.xid = 0
	}
	c.xid++
	return c.xid
}

func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default: // the writer is awake already
	}
}

var pingFrame = [12]byte{3: 8, 4: 0xff, 5: 0xff, 6: 0xff, 7: 0xfe, 11: byte(wire.OpPing)}

// ping queues a ping. Its time is taken before it is sent, as the deadline wants it.
func (c *conn) ping(now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = append(c.out, pingFrame[:]...)
	c.pings = append(c.pings, now)
	c.signal()
}

// awaitsPong tells whether the server owes the answer to a ping that would prove the session alive.
func (c *conn) awaitsPong() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pings) > 0 && c.decides()
}

// writeLoop writes what is queued, all there is at once, until stop is closed or the connection fails.
func (c *conn) writeLoop(stop <-chan struct{}) error {
	var buf []byte
	for {
		select {
		case <-stop:
			return nil
		case <-c.wake:
		}
		for buf = c.take(buf, false); len(buf) > 0; buf = c.take(buf, true) {
			if _, err := c.nc.Write(buf); err != nil {
				return err
			}
		}
	}
}

// take swaps the queue for an empty buffer. From here on its calls count as sent. It returns nothing while a caller
// writes, who wakes the writer then; on is for the writer, when it has written and goes on.
func (c *conn) take(empty []byte, on bool) []byte {
	if cap(empty) > keepBuffer {
		empty = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing && !on {
		return empty[:0]
	}
	full := c.swap(empty)
	c.writing = len(full) > 0
	return full
}

// swap is take for who holds mu.
func (c *conn) swap(empty []byte) []byte {
	if len(c.out) == 0 {
		return empty[:0]
	}
	full := c.out
	c.out = empty[:0]
	now := c.s.core.clock.now()
	for _, k := range c.queued {
		k.sentAt = now
	}
	c.sent = append(c.sent, c.queued...)
	clear(c.queued)
	c.queued = c.queued[:0]
	return full
}

// readLoop handles one frame after the other until the connection fails.
func (c *conn) readLoop() error {
	for {
		if err := c.readOne(); err != nil {
			return err
		}
		if c.rests() {
			if err := c.standBy(); err != nil {
				return err
			}
		}
	}
}

// readOne handles the next frame. It is for whose turn it is to read.
func (c *conn) readOne() error {
	frame, err := c.readFrame()
	if err != nil {
		return err
	}
	return c.handle(frame)
}

// readFrame returns the next frame, which is valid until the next call. When reading fails for a deadline, it can go on
// later: nothing that has come is lost.
func (c *conn) readFrame() ([]byte, error) {
	if c.want > 0 {
		return c.readLong()
	}
	if c.br.Buffered() < 4 {
		if _, err := c.br.Peek(4); err != nil {
			return nil, err
		}
		c.heard.Store(int64(c.s.core.clock.now())) // one stamp for all frames of one read
	}
	head, _ := c.br.Peek(4)
	n := int(int32(binary.BigEndian.Uint32(head)))
	if n < 0 || n > c.s.core.cfg.MaxReply {
		return nil, fmt.Errorf("%w: a frame of %d bytes", ErrProtocol, n)
	}
	if 4+n > c.br.Size() {
		_, _ = c.br.Discard(4) // they are there
		c.want = n
		return c.readLong()
	}
	frame, err := c.br.Peek(4 + n)
	if err != nil {
		return nil, err
	}
	_, err = c.br.Discard(4 + n) // its bytes stay until the next read
	return frame[4:], err
}

// readLong reads a frame that does not fit into the buffer, growing as it comes: the length is only a claim. It tells
// on the way that the server is alive.
func (c *conn) readLong() ([]byte, error) {
	for len(c.long) < c.want {
		have := len(c.long)
		part := min(c.want-have, max(readBuffer, have))
		c.long = append(c.long, make([]byte, part)...)
		n, err := c.br.Read(c.long[have:])
		c.long = c.long[:have+n]
		if err != nil {
			return nil, err
		}
		c.heard.Store(int64(c.s.core.clock.now()))
	}
	frame := c.long
	c.long, c.want = nil, 0
	return frame, nil
}

// handle gives a frame to whom it belongs.
func (c *conn) handle(frame []byte) error {
	var r wire.Reader
	r.Reset(frame)
	var h wire.ReplyHeader
	h.Decode(&r)
	if err := r.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	switch h.Xid {
	case wire.XidNotification:
		return c.notify(h.Zxid, &r)
	case wire.XidPing:
		return c.pong()
	}
	k := c.nextSent()
	if k == nil || k.xid != h.Xid {
		return fmt.Errorf("%w: a reply to request %d, which is not the next", ErrProtocol, h.Xid)
	}
	return c.answer(k, h, &r)
}

func (c *conn) notify(zxid int64, r *wire.Reader) error {
	var m wire.WatcherEvent
	m.Decode(r)
	if err := r.Err(); err != nil {
		return fmt.Errorf("%w: notification: %w", ErrProtocol, err)
	}
	c.s.watches.dispatch(Event{Type: EventType(m.Type), Path: m.Path, Zxid: zxid})
	return nil
}

func (c *conn) pong() error {
	c.mu.Lock()
	if len(c.pings) == 0 {
		c.mu.Unlock()
		return fmt.Errorf("%w: an answer to no ping", ErrProtocol)
	}
	sentAt := c.pings[0]
	c.pings = c.pings[:copy(c.pings, c.pings[1:])]
	c.mu.Unlock()
	c.prove(sentAt)
	return nil
}

// prove notes what an answer on this connection proves.
func (c *conn) prove(sentAt time.Duration) {
	if c.decides() {
		c.s.prove(sentAt)
	}
}

// decides tells whether those who decide about the session hear what is said here: on a read-only server they do not.
// Unless it began there.
func (c *conn) decides() bool { return !c.readOnly || c.s.local.Load() }

// nextSent returns the call whose answer is due. The reader takes the calls in lots, to lock once per lot.
func (c *conn) nextSent() *call {
	if c.next == len(c.lot) {
		c.mu.Lock()
		c.lot, c.sent, c.next = c.sent, c.lot[:0], 0
		c.mu.Unlock()
	}
	if len(c.lot) == 0 {
		return nil
	}
	return c.lot[c.next]
}

// answer finishes the call at the head of the line.
func (c *conn) answer(k *call, h wire.ReplyHeader, r *wire.Reader) error {
	k.rep.code = Code(h.Err)
	if h.Err == wire.OK {
		if err := k.rep.decode(r, &k.req); err != nil {
			return err // the call is still in line, and lost
		}
	}
	c.lot[c.next] = nil
	c.next++
	c.open.Add(-1)
	if h.Zxid > 0 {
		c.s.see(h.Zxid)
	}
	if k.req.changes() && h.Err == wire.OK && firstFailure(k.rep.results) < 0 {
		c.s.prove(k.sentAt)
	}
	gone := k.rep.code == ErrSessionExpired
	c.s.finish(k, answered)
	if gone {
		return ErrSessionExpired // the next connection will tell the same, or what is true
	}
	return nil
}

// stop makes the connection take no more calls, and gives back those it has: those that were never written as unsent,
// the others as lost. Its loops have ended.
func (c *conn) stop() {
	c.mu.Lock()
	c.over = true
	gone := append(c.lot[c.next:], c.sent...)
	fresh := c.queued
	c.lot, c.next, c.sent, c.queued, c.out = nil, 0, nil, nil, nil
	c.mu.Unlock()
	for _, k := range gone {
		c.s.finish(k, lost)
	}
	for _, k := range fresh {
		c.s.finish(k, unsent)
	}
}

// inFlight counts the requests not answered yet.
func (c *conn) inFlight() int { return int(c.open.Load()) }
