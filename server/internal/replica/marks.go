package replica

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
)

// Digest is what a machine is like. It is the same on all members that have applied the same entries.
type Digest struct {
	Version uint8  // says how Sum is made: only digests of one version can be compared
	Zxid    int64  // number of the last transaction
	Sum     uint64 // of the state
}

func (d Digest) String() string { return fmt.Sprintf("%x: %x", d.Zxid, d.Sum) } // as the word hash tells it

// mark is what the machine is like when all entries up to index are applied, and none behind it.
type mark struct {
	index  uint64
	digest Digest
}

const markSize = 25

func (m mark) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, m.index)
	b = append(b, m.digest.Version)
	b = binary.LittleEndian.AppendUint64(b, uint64(m.digest.Zxid))
	return binary.LittleEndian.AppendUint64(b, m.digest.Sum)
}

func parseMark(b []byte) (m mark, ok bool) {
	if len(b) < markSize { // a later version may add something
		return m, false
	}
	le := binary.LittleEndian
	return mark{le.Uint64(b), Digest{b[8], int64(le.Uint64(b[9:])), le.Uint64(b[17:])}}, true
}

// maxMarks is more entries than are applied while a question about one of them is on its way.
const maxMarks = 2048

// marks are those behind each of the last entries.
type marks struct {
	mu   sync.Mutex // guards ring and next
	ring []mark
	next int // where the next one goes once the ring is full
}

func (ms *marks) note(m mark) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if len(ms.ring) < maxMarks {
		ms.ring = append(ms.ring, m)
		return
	}
	ms.ring[ms.next] = m
	ms.next = (ms.next + 1) % maxMarks
}

// reset forgets all: what comes next is not what they lead to.
func (ms *marks) reset() {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.ring, ms.next = nil, 0
}

// newest returns the last one.
func (ms *marks) newest() (mark, bool) { return ms.at(^uint64(0)) }

// at returns what holds at index, which must be applied: the mark of the last entry up to it, for raft's own entries change
// nothing. ok is false if that is too long ago.
func (ms *marks) at(index uint64) (m mark, ok bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for i := range ms.ring {
		m = ms.ring[(ms.next+len(ms.ring)-1-i)%len(ms.ring)]
		if m.index <= index {
			return m, true
		}
	}
	return mark{}, false
}

// markAt waits until the entry of that index is applied here, and returns the mark there. What is applied already is told
// even when ctx has ended.
func (r *Replica) markAt(ctx context.Context, index uint64) (mark, bool) {
	applied := r.fsm.at(index)
	select {
	case <-applied:
	default:
		select {
		case <-applied:
		case <-ctx.Done():
			return mark{}, false
		}
	}
	m, ok := r.fsm.marks.at(index)
	m.index = index
	return m, ok
}
