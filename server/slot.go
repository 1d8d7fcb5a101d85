package server

import (
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

// A slot is the place of one request in its connection's order.
//
// A request is carried out in its turn: a write when the log applies it, a read when every write before it has been
// applied and none behind it, so at the latest by the goroutine that applies the write before it. Answers leave in the
// same order. Only an unconfirmed ping lets requests behind it be carried out first; their answers, and the events that
// come meanwhile, wait in buf.
type slot struct {
	conn  *conn
	xid   int32
	op    wire.Op
	start time.Time
	last  bool // close the connection behind this answer

	read readFunc // makes the answer; nil for a write
	req  any      // what read is about; of a sync, the path

	// Guarded by conn.mu.
	applied bool        // of a write: result is there
	result  tree.Result // of a write
	held    bool        // of a ping: not confirmed by the leader yet
	buf     []byte      // the answer of a request that was carried out behind a held one
}

// keepSlots is how much room for requests an idle connection keeps.
const keepSlots = 256

// slotQueue is a queue that reuses its memory.
type slotQueue struct {
	slots []*slot
	head  int
}

func (q *slotQueue) len() int       { return len(q.slots) - q.head }
func (q *slotQueue) at(i int) *slot { return q.slots[q.head+i] }

func (q *slotQueue) push(s *slot) {
	if q.head > 0 && len(q.slots) == cap(q.slots) {
		n := copy(q.slots, q.slots[q.head:])
		clear(q.slots[n:])
		q.slots, q.head = q.slots[:n], 0
	}
	q.slots = append(q.slots, s)
}

func (q *slotQueue) pop() {
	q.slots[q.head] = nil
	q.head++
	if q.head == len(q.slots) {
		q.slots, q.head = q.slots[:0], 0
		if cap(q.slots) > keepSlots {
			q.slots = nil // most connections are idle most of the time
		}
	}
}

// enqueue gives a write its place. Only the reader calls it.
func (c *conn) enqueue(s *slot) {
	c.mu.Lock()
	c.queue.push(s)
	c.stats.received()
	c.mu.Unlock()
}

// read gives a read its place, and carries it out if nothing is before it.
func (c *conn) read(s *slot) {
	st := &c.srv.state
	st.mu.RLock()
	defer st.mu.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.queue.push(s)
		c.stats.received()
		c.runLocked()
	}
}

// complete gives a write its result and carries out the reads behind it. It is called while the log is applied; the
// caller wakes the connection afterwards.
func (s *slot) complete(res tree.Result) {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	s.result, s.applied = res, true
	if !c.closed {
		c.runLocked()
	}
}

// confirm lets a ping be answered. The caller wakes the connection afterwards.
func (s *slot) confirm() {
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	s.held = false
	for c.ran > 0 && !c.queue.at(0).held {
		s := c.queue.at(0)
		c.out = append(c.out, s.buf...)
		c.behind -= len(s.buf)
		c.ran--
		c.popLocked(s)
	}
}

// runLocked carries out what is due: everything up to the next write that has not been applied. The caller holds
// state.mu, in whatever way, and c.mu; so what is applied later, its events included, comes behind.
//
// Watches are registered under c.mu here, while Fire takes the table's lock first and c.mu then; the two never meet,
// for Fire is called under the write lock of state.mu.
func (c *conn) runLocked() {
	for c.ran < c.queue.len() {
		s := c.queue.at(c.ran)
		if s.read == nil && !s.applied {
			return
		}
		if s.result.Err == wire.ErrSessionMoved {
			c.closeLocked()
			return
		}
		if c.boundLocked(); c.closed {
			return
		}
		if c.ran > 0 || s.held {
			before := len(s.buf)
			s.buf = c.appendReply(s.buf, s)
			c.behind += len(s.buf) - before
			c.ran++
		} else {
			c.out = c.appendReply(c.out, s)
			c.popLocked(s)
		}
	}
}

func (c *conn) appendReply(b []byte, s *slot) []byte {
	if s.read != nil {
		return c.appendRead(b, s)
	}
	c.stats.lastZxid = s.result.Zxid
	start := len(b)
	return wire.EndFrame(appendResult(wire.BeginFrame(b), s), start)
}

// appendRead carries out a read and appends its answer.
func (c *conn) appendRead(b []byte, s *slot) []byte {
	st := &c.srv.state
	r := readCall{conn: c, tree: st.tree, watches: st.watches, req: s.req}
	s.read(&r)
	c.stats.lastZxid = st.tree.Zxid()
	h := wire.ReplyHeader{Xid: s.xid, Zxid: st.tree.Zxid(), Err: r.err}
	if r.zxid != nil {
		h.Zxid = *r.zxid
	}
	for _, e := range r.events {
		b = appendEvent(b, -1, e.Type, e.Path)
		c.stats.event()
	}
	start := len(b)
	b = h.Append(wire.BeginFrame(b))
	if r.err == wire.OK && r.reply != nil {
		b = r.reply(&r, b)
	}
	return wire.EndFrame(b, start)
}

// popLocked removes the first slot, whose answer is in out.
func (c *conn) popLocked(s *slot) {
	c.queue.pop()
	c.below.Signal()
	c.stats.answered(s, time.Now())
	if s.last {
		c.last = true
	}
}
