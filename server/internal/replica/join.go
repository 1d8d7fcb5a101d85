package replica

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// joinBytes is how much must have come together for another entry to leave while one is in flight.
	joinBytes = 128 << 10
	// joinLimit bounds what waits at the leader. Origins hold themselves to maxInFlight batches, so it is never reached
	// unless a peer misbehaves.
	joinLimit = 256 << 20
)

var errJoinFull = errors.New("too many batches wait at the leader")

// joiner is the leader's side of a write: it joins the batches of all origins, in the order they came, into raft entries.
// While an entry is in flight what arrives gathers; a second to fourth leaves only when joinBytes have come together, for
// small entries in flight together only make each other wait. There are no timers.
type joiner struct {
	raft    *raft.Raft
	turn    chan struct{} // a token: whoever holds it may submit entries
	futures chan raft.ApplyFuture
	onDrop  func() // batches were dropped: all origins must send again
	now     func() time.Time

	mu       sync.Mutex // guards what follows
	queue    [][]byte
	size     int
	inFlight int
}

func newJoiner(onDrop func(), now func() time.Time) *joiner {
	return &joiner{turn: make(chan struct{}, 1), futures: make(chan raft.ApplyFuture, maxInFlight), onDrop: onDrop, now: now}
}

// put queues a batch, and submits what is ready: a goroutine of its own for that would be one more to be woken for each write.
// It keeps the slice.
func (j *joiner) put(frame []byte) error {
	j.mu.Lock()
	if j.size+len(frame) > joinLimit {
		j.mu.Unlock()
		return errJoinFull
	}
	j.queue = append(j.queue, frame)
	j.size += len(frame)
	ready := j.ready()
	j.mu.Unlock()
	if ready {
		j.submit()
	}
	return nil
}

// submit hands raft the entries that are ready, in their order.
func (j *joiner) submit() {
	j.turn <- struct{}{}
	defer func() { <-j.turn }()
	for entry := j.take(); entry != nil; entry = j.take() {
		j.futures <- j.raft.Apply(entry, 0) // there is room: no more are in flight
	}
}

// ready needs mu.
func (j *joiner) ready() bool {
	return j.inFlight == 0 && j.size > 0 || j.inFlight < maxInFlight && j.size >= joinBytes
}

// take makes the next entry and counts it as in flight; nil if none may leave now.
func (j *joiner) take() []byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.ready() {
		return nil
	}
	n, size := 0, 0
	for n < len(j.queue) && (n == 0 || size+len(j.queue[n]) <= batchBytes) {
		size += len(j.queue[n])
		n++
	}
	entry := appendEntryHeader(make([]byte, 0, entryHeader+size), j.now().UnixMilli())
	for _, b := range j.queue[:n] {
		entry = append(entry, b...)
	}
	clear(j.queue[:n])
	j.queue = j.queue[n:]
	j.size -= size
	j.inFlight++
	return entry
}

// drop forgets what waits to be joined.
func (j *joiner) drop() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.queue, j.size = nil, 0
}

// reap waits for the entries in flight, and submits what gathered meanwhile, until ctx ends.
func (j *joiner) reap(ctx context.Context) {
	for {
		var err error
		select {
		case f := <-j.futures:
			err = f.Error()
		case <-ctx.Done():
			return
		}
		j.mu.Lock()
		j.inFlight--
		if err != nil {
			j.queue, j.size = nil, 0
		}
		ready := j.ready()
		j.mu.Unlock()
		if err != nil {
			j.onDrop()
		}
		if ready {
			j.submit()
		}
	}
}
