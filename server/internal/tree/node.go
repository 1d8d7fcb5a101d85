package tree

import (
	"math"

	"github.com/docent-io/docent/internal/wire"
)

// Node is one znode. It is valid while the tree's lock is held; the data and the ACL it returned stay valid, for they
// are replaced, never changed. They must not be changed by the caller either.
type Node struct { // 128 bytes: there may be millions
	path    string
	data    []byte
	acl     *aclList
	czxid   int64
	mzxid   int64
	pzxid   int64
	ctime   int64
	mtime   int64
	owner   int64 // 0, a session, ownerContainer or ownerTTL|ttl
	gen     uint64
	version int32

	aversion int32
	creates  uint32 // children ever created; sticks at exhausted
	children int32
	number   uint32
	crc      uint32 // of data
}

// exhausted is the value of creates from which on the parent has no sequence number left to give.
const exhausted = 1 << 31

// Owners that are no sessions, as ZooKeeper encodes them.
const (
	ownerContainer int64 = math.MinInt64
	ownerTTL       int64 = -1 << 56 // the low 40 bits are the time to live in ms
)

func isTTL(owner int64) bool { return uint64(owner)>>56 == 0xff }

func isEphemeral(owner int64) bool { return owner != 0 && owner != ownerContainer && !isTTL(owner) }

// Path returns the node's path.
func (n *Node) Path() string { return n.path }

// Data returns the node's data; nil is null, which is not the same as empty.
func (n *Node) Data() []byte { return n.data }

// ACL returns the node's ACL.
func (n *Node) ACL() []wire.ACL { return n.acl.list }

// NumChildren returns the number of children.
func (n *Node) NumChildren() int { return int(n.children) }

// Stat returns what the protocol tells of the node. The version of the list of children is computed as ZooKeeper does,
// from creates alone: twice their number less the children there are (§5 of the protocol reference).
func (n *Node) Stat() wire.Stat {
	s := wire.Stat{
		Czxid: n.czxid, Mzxid: n.mzxid, Pzxid: n.pzxid, Ctime: n.ctime, Mtime: n.mtime,
		Version: n.version, Aversion: n.aversion, Cversion: int32(2*min(n.creates, exhausted-1)) - n.children,
		DataLength: int32(len(n.data)), NumChildren: n.children,
	}
	if isEphemeral(n.owner) {
		s.EphemeralOwner = n.owner
	}
	return s
}

// size is what the node adds to the approximate size of the data.
func (n *Node) size() int64 { return int64(len(n.path) + len(n.data)) }

// reapable holds for a container or TTL node that may be deleted at time now.
func (n *Node) reapable(now, neverUsed int64) bool {
	switch {
	case n.children > 0:
		return false
	case n.owner == ownerContainer:
		return n.creates > 0 || neverUsed > 0 && now-n.ctime >= neverUsed
	case isTTL(n.owner):
		return now-n.mtime > n.owner&wire.MaxTTL
	}
	return false
}

// next returns the version behind v; -1 is left out, for as an argument it means every version.
func next(v int32) int32 {
	if v++; v == -1 {
		return 0
	}
	return v
}
