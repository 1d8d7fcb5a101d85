package storage

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/hashicorp/raft"
)

// A batch is what one write puts into a segment: a header, a table with a row per entry, and the entries' bytes. Its
// start is a multiple of 8.
//
//	header  0 crc of the rest of header and table · 4 size of all · 8 key of the segment · 16 first · 24 last index
//	        32 kind · 36 crc of the batch before
//	row     0 crc of data and extensions · 4 len(data) · 8 len(extensions) · 12 type · 16 term · 24 appended at, ns
//
// The crcs chain the batches, and the key, drawn anew each time a segment is put to use, keeps what an earlier use left
// in the file (or a client put into an entry) from passing for a batch.
const (
	batchHeader = 40
	rowSize     = 32
	align       = 8
)

type kind uint8

const (
	kindEntries kind = 1 // entries first..last
	kindDelete  kind = 2 // entries first..last are no longer in the log
	kindClose   kind = 3 // the log was closed; whatever lies before was synced
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record says where an entry lies and what raft wants to know about it besides its bytes.
type record struct {
	seg        *segment
	off        int64
	crc        uint32
	data, ext  uint32
	kind       raft.LogType
	term       uint64
	appendedAt int64
}

func (r record) size() int64 { return rowSize + int64(r.data) + int64(r.ext) }

// header is a decoded batch header.
type header struct {
	crc, size, prev  uint32
	key, first, last uint64
	kind             kind
}

func (h header) rows() uint64 {
	if h.kind != kindEntries {
		return 0
	}
	return h.last - h.first + 1
}

func (h header) put(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[4:], h.size)
	le.PutUint64(b[8:], h.key)
	le.PutUint64(b[16:], h.first)
	le.PutUint64(b[24:], h.last)
	le.PutUint32(b[32:], uint32(h.kind))
	le.PutUint32(b[36:], h.prev)
}

func getHeader(b []byte) header {
	le := binary.LittleEndian
	return header{
		crc: le.Uint32(b), size: le.Uint32(b[4:]), key: le.Uint64(b[8:]), first: le.Uint64(b[16:]),
		last: le.Uint64(b[24:]), kind: kind(le.Uint32(b[32:])), prev: le.Uint32(b[36:]),
	}
}

// appendBatch encodes a batch behind b, which is empty or ends at a multiple of 8. off is where the batch will lie in the
// segment. It returns the records of the entries, without their segment, and the batch's crc.
func appendBatch(b []byte, off int64, h header, logs []*raft.Log) ([]byte, []record, uint32, error) {
	start := len(b)
	b = append(b, make([]byte, batchHeader+rowSize*len(logs))...)
	recs := make([]record, len(logs))
	for i, l := range logs {
		if l.Index != h.first+uint64(i) {
			return nil, nil, 0, fmt.Errorf("entry %d comes where %d was expected", l.Index, h.first+uint64(i))
		}
		r := record{
			off: off + int64(len(b)-start), data: uint32(len(l.Data)), ext: uint32(len(l.Extensions)),
			kind: l.Type, term: l.Term, appendedAt: nanos(l.AppendedAt),
		}
		r.crc = crc32.Update(crc32.Checksum(l.Data, castagnoli), castagnoli, l.Extensions)
		r.put(b[start+batchHeader+i*rowSize:])
		recs[i] = r
		b = append(append(b, l.Data...), l.Extensions...)
	}
	b = append(b, make([]byte, -len(b)&(align-1))...)
	size := len(b) - start
	if int64(size) > maxBatch {
		return nil, nil, 0, fmt.Errorf("batch of %d bytes is too large", size)
	}
	h.size = uint32(size)
	h.put(b[start:])
	crc := crc32.Checksum(b[start+4:start+batchHeader+rowSize*len(logs)], castagnoli)
	binary.LittleEndian.PutUint32(b[start:], crc)
	return b, recs, crc, nil
}

func (r record) put(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b, r.crc)
	le.PutUint32(b[4:], r.data)
	le.PutUint32(b[8:], r.ext)
	le.PutUint32(b[12:], uint32(r.kind))
	le.PutUint64(b[16:], r.term)
	le.PutUint64(b[24:], uint64(r.appendedAt))
}

// parseBatch decodes and checks the batch at the start of b, which lies at off. ok is false if it is not whole.
func parseBatch(b []byte, off int64, key uint64) (h header, recs []record, ok bool) {
	if len(b) < batchHeader {
		return h, nil, false
	}
	h = getHeader(b)
	table := int64(batchHeader)
	if h.kind == kindEntries {
		if h.last < h.first || h.last-h.first >= uint64(len(b))/rowSize {
			return h, nil, false
		}
		table += int64(h.rows()) * rowSize
	}
	if h.key != key || h.size%align != 0 || int64(h.size) < table || int64(h.size) > int64(len(b)) ||
		crc32.Checksum(b[4:table], castagnoli) != h.crc {
		return h, nil, false
	}
	at := table
	for i := range int64(h.rows()) {
		r := getRecord(b[batchHeader+i*rowSize:])
		r.off = off + at
		n := int64(r.data) + int64(r.ext)
		if n > int64(h.size)-at || crc32.Checksum(b[at:at+n], castagnoli) != r.crc {
			return h, nil, false
		}
		at += n
		recs = append(recs, r)
	}
	return h, recs, true
}

func getRecord(b []byte) record {
	le := binary.LittleEndian
	return record{
		crc: le.Uint32(b), data: le.Uint32(b[4:]), ext: le.Uint32(b[8:]), kind: raft.LogType(le.Uint32(b[12:])),
		term: le.Uint64(b[16:]), appendedAt: int64(le.Uint64(b[24:])),
	}
}

// nanos keeps the zero time apart, whose UnixNano is not defined.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}
