package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A batch as it travels, and as it stands in an entry:
//
//	0 origin · 8 incarnation of the origin · 16 sequence number · 24 count · 28 length · 32 commands
//
// An entry is a version byte, the leader's clock in ms (8 bytes), and batches up to its end. The leader copies batches as
// they came, so nothing is encoded twice.
const (
	batchHeader = 32
	entryHeader = 9
	entryV1     = 1
	// batchBytes is where batches and entries are cut: a sync of this size costs little more than one of 4 KiB.
	batchBytes = 256 << 10
	// maxBatch bounds what may come from a peer: one command may be larger than batchBytes.
	maxBatch = MaxCommand + batchBytes
)

var errMalformed = errors.New("malformed")

// packet is a decoded batch.
type packet struct {
	origin, incarnation, seq uint64
	count                    int
	cmds                     []byte
}

// putBatch writes the header of a batch in its place before the commands.
func putBatch(b []byte, p packet) {
	le := binary.LittleEndian
	le.PutUint64(b, p.origin)
	le.PutUint64(b[8:], p.incarnation)
	le.PutUint64(b[16:], p.seq)
	le.PutUint32(b[24:], uint32(p.count))
	le.PutUint32(b[28:], uint32(len(b)-batchHeader))
}

// cutBatch splits off the first batch and checks it down to the commands' lengths.
func cutBatch(b []byte) (p packet, rest []byte, err error) {
	if len(b) < batchHeader {
		return p, nil, fmt.Errorf("batch header: %w", errMalformed)
	}
	le := binary.LittleEndian
	p = packet{origin: le.Uint64(b), incarnation: le.Uint64(b[8:]), seq: le.Uint64(b[16:]), count: int(le.Uint32(b[24:]))}
	n := uint64(le.Uint32(b[28:]))
	b = b[batchHeader:]
	if n > uint64(len(b)) {
		return p, nil, fmt.Errorf("batch length: %w", errMalformed)
	}
	p.cmds = b[:n]
	if !checkCommands(p.cmds, p.count) {
		return p, nil, fmt.Errorf("commands of a batch: %w", errMalformed)
	}
	return p, b[n:], nil
}

func appendEntryHeader(b []byte, now int64) []byte {
	b = append(b, entryV1)
	return binary.LittleEndian.AppendUint64(b, uint64(now))
}

// cutEntry splits an entry into the leader's clock and its batches.
func cutEntry(b []byte) (now int64, batches []byte, err error) {
	if len(b) < entryHeader {
		return 0, nil, fmt.Errorf("entry header: %w", errMalformed)
	}
	if b[0] != entryV1 {
		return 0, nil, fmt.Errorf("entry of version %d, which this server does not know", b[0])
	}
	return int64(binary.LittleEndian.Uint64(b[1:])), b[entryHeader:], nil
}
