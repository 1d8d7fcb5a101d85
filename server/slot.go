package server

import (
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

// A slot is the place of one request in its connection's order of answers.
type slot struct {
	conn  *conn
	xid   int32
	op    wire.Op
	start time.Time

	// read, if set, makes the answer when the slot's turn has come. Else the answer is the result of a write, or none
	// (ping): it is there once done is set.
	read readFunc
	req  any // what read is about

	done   bool        // guarded by conn.mu
	result tree.Result // of a write; set before done
	moved  bool        // the session has moved to another connection: close this one without a reply
	last   bool        // close the connection behind this answer
}

// slotQueue is a queue that reuses its memory.
type slotQueue struct {
	slots []*slot
	head  int
}

func (q *slotQueue) len() int     { return len(q.slots) - q.head }
func (q *slotQueue) first() *slot { return q.slots[q.head] }

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
	}
}

// enqueue gives a request its place. Only the reader calls it.
func (c *conn) enqueue(s *slot) {
	c.mu.Lock()
	c.queue.push(s)
	c.mu.Unlock()
}

// idle tells whether everything before the next request has been answered. Only the reader adds to the queue, so for
// it the answer stays true.
func (c *conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queue.len() == 0
}

// complete gives a slot its result. It is called while the log is applied; the caller wakes the connection afterwards.
func (s *slot) complete(res tree.Result) {
	c := s.conn
	c.mu.Lock()
	s.result, s.done = res, true
	c.mu.Unlock()
}

// answer appends the answers that are due, in order. Only the writer calls it.
func (c *conn) answer() {
	for {
		c.mu.Lock()
		if c.closed || c.queue.len() == 0 {
			c.mu.Unlock()
			return
		}
		s := c.queue.first()
		switch {
		case s.read != nil:
			c.mu.Unlock()
			c.answerRead(s)
			continue
		case !s.done:
			c.mu.Unlock()
			return
		case s.moved || s.result.Err == wire.ErrSessionMoved:
			c.closeLocked()
			c.mu.Unlock()
			return
		}
		start := len(c.out)
		c.out = wire.BeginFrame(c.out)
		c.out = appendResult(c.out, s)
		c.out = wire.EndFrame(c.out, start)
		c.popLocked(s)
		c.mu.Unlock()
	}
}

// popLocked removes the slot that was just answered.
func (c *conn) popLocked(s *slot) {
	c.queue.pop()
	c.below.Signal()
	c.stats.answered(s)
	c.srv.stats.answered(s)
	if s.last {
		c.last = true
	}
}

// answerRead carries out a read and appends its answer, under the tree's lock: what is applied later, its events
// included, comes behind it. The reader calls it when nothing is in flight, the writer when the slot is first in line.
func (c *conn) answerRead(s *slot) {
	st := &c.srv.state
	st.mu.RLock()
	defer st.mu.RUnlock()
	r := readCall{conn: c, tree: st.tree, watches: st.watches, req: s.req}
	s.read(&r)
	h := wire.ReplyHeader{Xid: s.xid, Zxid: st.tree.Zxid(), Err: r.err}
	if r.zxid != nil {
		h.Zxid = *r.zxid
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	for _, e := range r.events {
		c.out = appendEvent(c.out, -1, e.Type, e.Path)
		c.stats.sent.Add(1)
	}
	start := len(c.out)
	c.out = wire.BeginFrame(c.out)
	c.out = h.Append(c.out)
	if r.err == wire.OK && r.reply != nil {
		c.out = r.reply(&r, c.out)
	}
	c.out = wire.EndFrame(c.out, start)
	if c.queue.len() > 0 {
		c.popLocked(s)
		return
	}
	c.stats.answered(s)
	c.srv.stats.answered(s)
	if s.last {
		c.last = true
	}
}
