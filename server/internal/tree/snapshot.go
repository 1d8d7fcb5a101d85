package tree

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/docent-io/docent/internal/wire"
)

// The format of a snapshot: magic, then blocks, each behind its length and its checksum (two u32). A checksum covers
// the one before and the block's content, so a block that was lost or moved shows. A block is a row of whole records,
// each a kind and its fields: head first, then sessions, then nodes, parents before their children, then the parts of a
// backup being restored, then end. Behind that stands the digest, in a block of its own: servers that do not know it stop
// reading at the end, and their snapshots stop there, so versions can be mixed.
const (
	magic     = "docent\x00\x01" // the last byte is the version
	blockSize = 64 << 10         // a block ends behind the record that reaches it

	recordHead    = 'h' // zxid
	recordSession = 's'
	recordNode    = 'n'
	recordPart    = 'p' // attempt, data
	recordEnd     = 'e' // numbers of sessions and nodes
	recordDigest  = 'd' // version of the digest, and the digest
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Snapshot is the state of a tree at one moment. It may be used while the tree goes on, without the tree's lock.
type Snapshot struct {
	zxid     int64
	digest   uint64
	nodes    []*Node // some are nil
	count    int     // of those that are not
	sessions []Session
	staged   staging
}

// Snapshot returns the present state. It takes references only, some milliseconds for a million nodes; a node that
// changes later is copied first.
func (t *Tree) Snapshot() *Snapshot {
	t.gen++
	s := &Snapshot{zxid: t.zxid, digest: t.digest, nodes: slices.Clone(t.nodes), count: len(t.index), staged: t.staged,
		sessions: make([]Session, 0, len(t.sessions))}
	for _, ses := range t.sessions {
		s.sessions = append(s.sessions, ses.Session)
	}
	return s
}

// Zxid returns the number of the last transaction in the snapshot.
func (s *Snapshot) Zxid() int64 { return s.zxid }

// WriteTo writes the snapshot in the format that Restore reads: versioned, and checksummed block by block. It fails with
// ErrDigest, before the end is written, if memory does not hold what the transactions made: a snapshot that Restore would
// refuse must not take the place of the log.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) {
	bw := newBlockWriter(w)
	bw.b = wire.AppendInt64(append(bw.b, recordHead), s.zxid)
	var sum uint64
	for i := range s.sessions {
		sum += s.sessions[i].digest()
		bw.b = wire.AppendInt64(s.sessions[i].append(append(bw.b, recordSession)), s.sessions[i].Used)
		bw.flush(blockSize)
	}
	acls := make(map[*aclList]int32)
	for _, n := range s.byDepth() {
		sum += n.recompute()
		bw.b = n.append(append(bw.b, recordNode))
		bw.b = n.acl.append(bw.b, acls)
		bw.flush(blockSize)
	}
	for _, p := range s.staged.parts {
		bw.b = wire.AppendBuffer(wire.AppendInt64(append(bw.b, recordPart), s.staged.id), p)
		bw.flush(blockSize)
	}
	if sum != s.digest && bw.err == nil {
		return bw.n, fmt.Errorf("write snapshot of zxid %#x: %w: %016x, not %016x", s.zxid, ErrDigest, sum, s.digest)
	}
	bw.b = wire.AppendInt64(wire.AppendInt64(append(bw.b, recordEnd), int64(len(s.sessions))), int64(s.count))
	bw.flush(0)
	bw.b = wire.AppendInt64(append(bw.b, recordDigest, DigestVersion), int64(s.digest))
	bw.flush(0)
	return bw.n, bw.err
}

// byDepth returns the nodes, parents before their children.
func (s *Snapshot) byDepth() []*Node {
	var starts []int // of the nodes of each depth; first their numbers
	for _, n := range s.nodes {
		if n != nil {
			d := depth(n.path)
			for len(starts) <= d {
				starts = append(starts, 0)
			}
			starts[d]++
		}
	}
	sum := 0
	for d, n := range starts {
		starts[d] = sum
		sum += n
	}
	sorted := make([]*Node, sum)
	for _, n := range s.nodes {
		if n != nil {
			d := depth(n.path)
			sorted[starts[d]] = n
			starts[d]++
		}
	}
	return sorted
}

// append appends all of the session but Used, which moves with the zxid.
func (s *Session) append(b []byte) []byte {
	b = wire.AppendInt64(b, s.ID)
	b = wire.AppendInt32(b, s.Timeout)
	b = wire.AppendInt32(b, s.Epoch)
	return wire.AppendBuffer(b, s.Password)
}

// append appends all of the node but its ACL.
func (n *Node) append(b []byte) []byte {
	b = wire.AppendString(b, n.path)
	b = wire.AppendBuffer(b, n.data)
	for _, v := range [...]int64{n.czxid, n.mzxid, n.pzxid, n.ctime, n.mtime, n.owner} {
		b = wire.AppendInt64(b, v)
	}
	for _, v := range [...]int32{n.version, n.aversion, int32(n.creates), n.children} {
		b = wire.AppendInt32(b, v)
	}
	return b
}

// append appends the number of the ACL among those known; a new one gets the next number and is spelled out.
func (l *aclList) append(b []byte, known map[*aclList]int32) []byte {
	if i, ok := known[l]; ok {
		return wire.AppendInt32(b, i)
	}
	i := int32(len(known))
	known[l] = i
	return append(wire.AppendInt32(b, i), l.key...)
}

// blockWriter writes blocks; its user appends records to b.
type blockWriter struct {
	w   io.Writer
	b   []byte
	crc uint32
	n   int64
	err error
}

const blockHead = 8

func newBlockWriter(w io.Writer) *blockWriter {
	bw := &blockWriter{w: w, crc: crc32.Checksum([]byte(magic), castagnoli)}
	bw.write([]byte(magic))
	bw.b = make([]byte, blockHead, blockSize+blockSize/8)
	return bw
}

// flush writes the block out if it has at least size bytes.
func (bw *blockWriter) flush(size int) {
	if len(bw.b) < size+blockHead {
		return
	}
	content := bw.b[blockHead:]
	bw.crc = crc32.Update(bw.crc, castagnoli, content)
	binary.BigEndian.PutUint32(bw.b, uint32(len(content)))
	binary.BigEndian.PutUint32(bw.b[4:], bw.crc)
	bw.write(bw.b)
	bw.b = bw.b[:blockHead]
}

func (bw *blockWriter) write(p []byte) {
	if bw.err == nil {
		var n int
		n, bw.err = bw.w.Write(p)
		bw.n += int64(n)
	}
}
