package history

import (
	"encoding/binary"
	"sync"

	"github.com/docent-io/docent/internal/wire"
)

// End is one connection as its client sees it, checked while it goes on: nothing is kept of it, so it may last for days.
// Answers come in the order of requests; zxids never go back, nor behind what the client had seen; and no event comes behind
// an answer that is as new as its change. Without a log it cannot know which events are missing. Its zero value is a new
// connection; it may be used by two goroutines, one for each direction.
type End struct {
	mu       sync.Mutex // guards the fields below
	out, in  frames
	began    bool // the connect request was sent, and that was answered
	answered bool
	waiting  []pendingXid
	zxid     int64 // of the newest answer
	event    int64 // of the newest event
	answers  int
	faults   faults
}

type pendingXid struct {
	xid int32
	op  wire.Op
}

// Sent notes bytes that the client is about to write.
func (e *End) Sent(b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.out.cut(b, func(f []byte) {
		r := wire.NewReader(f)
		if !e.began {
			var m wire.ConnectRequest
			m.Decode(r)
			e.began, e.zxid = true, m.LastZxidSeen
			return
		}
		var h wire.RequestHeader
		h.Decode(r)
		e.waiting = append(e.waiting, pendingXid{h.Xid, h.Op})
	})
}

// Got notes bytes that the client has read.
func (e *End) Got(b []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.in.cut(b, func(f []byte) {
		if !e.answered {
			e.answered = true // the answer to the connect request has no header
			return
		}
		var h wire.ReplyHeader
		h.Decode(wire.NewReader(f))
		switch {
		case h.Xid == wire.XidNotification:
			e.told(h.Zxid)
		case len(e.waiting) == 0:
			e.faults.add("an answer to xid %d, and all were answered", h.Xid)
		case e.waiting[0].xid != h.Xid:
			e.faults.add("an answer to xid %d where %d (%v) was due", h.Xid, e.waiting[0].xid, e.waiting[0].op)
			e.waiting = e.waiting[1:]
		default:
			e.answer(e.waiting[0].op, h.Zxid)
			e.waiting = e.waiting[1:]
		}
	})
}

func (e *End) told(zxid int64) {
	switch {
	case zxid < 0: // of what changed while there was no connection
	case zxid <= e.zxid:
		e.faults.add("an event of %#x behind an answer of %#x", zxid, e.zxid)
	case zxid < e.event:
		e.faults.add("an event of %#x behind one of %#x", zxid, e.event)
	default:
		e.event = zxid
	}
}

func (e *End) answer(op wire.Op, zxid int64) {
	e.answers++
	if op == wire.OpAuth || op == wire.OpSASL || zxid <= 0 {
		return // do not tell the zxid
	}
	if known := max(e.zxid, e.event); zxid < known {
		e.faults.add("%v answered with zxid %#x behind %#x", op, zxid, known)
		return
	}
	e.zxid = zxid
}

// Check returns what was wrong so far.
func (e *End) Check() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.faults.err()
}

// Answers returns how many requests were answered, pings included.
func (e *End) Answers() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.answers
}

// frames cuts a stream.
type frames struct{ buf []byte }

func (f *frames) cut(b []byte, each func([]byte)) {
	f.buf = append(f.buf, b...)
	rest := f.buf
	for len(rest) >= 4 {
		n := 4 + int(binary.BigEndian.Uint32(rest))
		if n > len(rest) {
			break
		}
		each(rest[4:n])
		rest = rest[n:]
	}
	f.buf = append(f.buf[:0], rest...)
}
