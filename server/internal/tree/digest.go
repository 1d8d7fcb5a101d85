package tree

import (
	"errors"
	"hash/crc32"
	"math/bits"
)

// DigestVersion numbers how digests are computed: only those of one version can be compared. It changes with any change
// below, and with any change of what a node or a session is made of.
const DigestVersion = 2

// ErrDigest says that a tree is not what its transactions made it: its records do not make the digest kept beside them.
var ErrDigest = errors.New("the digest is not that of the records")

// Digest returns a hash over nodes and sessions, but not the zxid nor when sessions were used: equal trees have equal
// digests on every server, and a failed transaction leaves it as it was. The list of members does not count either: a
// backup restored elsewhere is the same tree.
//
// It is the sum of a hash of each record, kept up by every transaction, and so costs nothing to ask for. A sum does not
// mind the order, which is not the same everywhere; it wants hashes that are mixed well, which fold does. The data's part
// is their CRC-32, which the processor computes and the node keeps: a node whose children or ACL change needs no look at
// its data. This finds what went wrong by itself. It is no defence against somebody who makes collisions on purpose.
func (t *Tree) Digest() uint64 { return t.digest }

// Digest returns what the tree's Digest was.
func (s *Snapshot) Digest() uint64 { return s.digest }

// setData replaces the node's data.
func (n *Node) setData(data []byte) { n.data, n.crc = data, crc32.ChecksumIEEE(data) }

// digest is the node's part of the tree's, recompute the same from all bytes it is made of.
func (n *Node) digest() uint64 { return n.hash(n.crc, n.acl.hash) }

func (n *Node) recompute() uint64 { return n.hash(crc32.ChecksumIEEE(n.data), hash(n.acl.key)) }

func (n *Node) hash(crc uint32, acl uint64) uint64 {
	if n.path == ConfigPath {
		return 0
	}
	length := uint64(len(n.data))
	if n.data == nil {
		length = 1<<32 - 1
	}
	h := hash(n.path) ^ acl // the folds below do not wait for one another
	a := fold(uint64(n.czxid)^key1, uint64(n.mzxid)^key2)
	b := fold(uint64(n.pzxid)^key3, uint64(n.ctime)^key4)
	c := fold(uint64(n.mtime)^key5, uint64(n.owner)^key6)
	d := fold(pair(uint32(n.version), uint32(n.aversion))^key1, pair(n.creates, uint32(n.children))^key3)
	e := fold(length^key2, uint64(crc)^key5)
	return fold(fold(h^a, b^key4)^c, fold(d^key6, e^key1)^key2)
}

// digest is the session's part of the tree's; Used, which moves with the zxid, is none.
func (s *Session) digest() uint64 {
	return fold(fold(uint64(s.ID)^key1, pair(uint32(s.Timeout), uint32(s.Epoch))^key2), hash(s.Password)^key3)
}

func pair(a, b uint32) uint64 { return uint64(a)<<32 | uint64(b) }

// The keys are digits of pi: odd enough for anything.
const (
	key1 = 0x243f6a8885a308d3
	key2 = 0x13198a2e03707344
	key3 = 0xa4093822299f31d0
	key4 = 0x082efa98ec4e6c89
	key5 = 0x452821e638d01377
	key6 = 0xbe5466cf34e90c6c
)

// fold mixes two words into one: the halves of their product, which each depend on all the bits of both.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// hash hashes bytes, eight at a time.
func hash[T string | []byte](s T) uint64 {
	h := uint64(len(s)) ^ key1
	for ; len(s) >= 8; s = s[8:] {
		v := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		h = fold(h^v, key2)
	}
	var v uint64
	for i := len(s) - 1; i >= 0; i-- {
		v = v<<8 | uint64(s[i])
	}
	return fold(h^v, key3)
}
