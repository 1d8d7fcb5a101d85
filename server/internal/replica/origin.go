package replica

import (
	"encoding/binary"
	"sync"
	"time"
)

// maxInFlight is how many batches of one origin are on their way at once, and how many entries of the leader.
const maxInFlight = 4

// outbox holds what was proposed here and is not yet applied here. Commands gather in open chunks; the sender makes the
// oldest chunk a numbered batch whenever fewer than maxInFlight batches are pending. So batches grow by themselves under
// load, and a lone command leaves at once. A batch stays until this member has applied it: it is sent again, always in
// order and from the oldest on, to each new leader; the machine skips what it has already.
type outbox struct {
	id, incarnation uint64
	wake            chan struct{} // there may be something to send
	again           chan struct{} // everything pending must be sent again

	mu      sync.Mutex // guards what follows
	open    []*chunk   // proposed, in no batch yet; oldest first
	pending []*sealed  // in batches, oldest first
	seq     uint64     // of the youngest batch
	bytes   int
	closed  bool
	room    int // what the next chunk is made for: about as much as those before it held
}

// batchRoom is what stands before the commands of a batch that travels: its length and its header.
const batchRoom = batchPrefix + batchHeader

type chunk struct {
	frame   []byte // room for what is known only when it is sealed, and the commands
	waiters []any
}

type sealed struct {
	seq     uint64
	frame   []byte // its length and itself, as forwarded
	waiters []any
	since   time.Time
}

func newOutbox(id, incarnation uint64) *outbox {
	return &outbox{id: id, incarnation: incarnation, wake: make(chan struct{}, 1), again: make(chan struct{}, 1)}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// propose adds a command to the youngest chunk.
func (o *outbox) propose(w any, cmd []byte) error {
	if len(cmd) > MaxCommand {
		return ErrTooLarge
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrClosed
	}
	n := len(o.open)
	if n == 0 || len(o.open[n-1].frame)-batchRoom+len(cmd) > batchBytes {
		o.open = append(o.open, &chunk{frame: make([]byte, batchRoom, max(o.room, batchRoom+len(cmd)))})
		n++
	}
	c := o.open[n-1]
	before := len(c.frame)
	c.frame = appendCommand(c.frame, cmd)
	c.waiters = append(c.waiters, w)
	o.bytes += len(c.frame) - before
	if n == 1 && len(c.waiters) == 1 {
		signal(o.wake)
	}
	return nil
}

// oldest is the number before the oldest batch that must be sent: where a sender begins.
func (o *outbox) oldest() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seq - uint64(len(o.pending))
}

// next returns the batch after the one numbered sent, making one if there is room; nil if there is none now.
func (o *outbox) next(sent uint64) *sealed {
	o.mu.Lock()
	defer o.mu.Unlock()
	if sent < o.seq-uint64(len(o.pending)) {
		sent = o.seq - uint64(len(o.pending)) // applied meanwhile, by another way
	}
	if sent < o.seq {
		return o.pending[len(o.pending)-int(o.seq-sent)]
	}
	if len(o.open) == 0 || len(o.pending) >= maxInFlight {
		return nil
	}
	c := o.open[0]
	o.open[0] = nil
	o.open = o.open[1:]
	o.seq++
	o.room = max(len(c.frame), o.room*3/4)
	binary.LittleEndian.PutUint32(c.frame, uint32(len(c.frame)-batchPrefix))
	putBatch(c.frame[batchPrefix:], packet{origin: o.id, incarnation: o.incarnation, seq: o.seq, count: len(c.waiters)})
	s := &sealed{seq: o.seq, waiters: c.waiters, since: time.Now(), frame: c.frame}
	o.pending = append(o.pending, s)
	return s
}

// applied takes out the batch numbered seq, which this member applies now, and returns its waiters.
func (o *outbox) applied(incarnation, seq uint64) []any {
	if incarnation != o.incarnation {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var waiters []any
	for len(o.pending) > 0 && o.pending[0].seq <= seq {
		if o.pending[0].seq == seq {
			waiters = o.pending[0].waiters
		}
		o.bytes -= len(o.pending[0].frame) - batchRoom
		o.pending[0] = nil
		o.pending = o.pending[1:]
	}
	if len(o.open) > 0 {
		signal(o.wake)
	}
	return waiters
}

// overdue tells whether the oldest batch has been pending for longer than d.
func (o *outbox) overdue(d time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.pending) == 0 || time.Since(o.pending[0].since) < d {
		return false
	}
	o.pending[0].since = time.Now()
	return true
}

func (o *outbox) pendingBytes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes
}

// close refuses further commands, and lets go of those pending.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.open, o.bytes = nil, 0
}
