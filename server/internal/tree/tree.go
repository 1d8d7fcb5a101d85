// Package tree is the state that docent's servers replicate: nodes, ACLs, sessions and their ephemerals.
//
// It is pure: no clock, network, disk, goroutine or randomness. The same transactions with the same times give the same
// tree everywhere. A Tree is not synchronized: its owner holds a lock for writing around Apply and Snapshot, for
// reading around everything else.
package tree

import (
	"io"
	"iter"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// Tree is the replicated state.
type Tree struct{}

// Node is one znode. It is valid while the tree's lock is held; the data and the ACL it returned stay valid, for they
// are replaced, never changed. They must not be changed by the caller either.
type Node struct{}

// Session is a client's session.
type Session struct {
	ID       int64
	Timeout  int32 // ms
	Epoch    int32 // counts the connections that held it, from 1
	Password []byte
}

// Counts are the sizes of a tree.
type Counts struct {
	Nodes, Ephemerals, Containers, TTLs, Sessions int
	DataSize                                      int64 // bytes of paths and data
}

// New returns the tree of a fresh ensemble: /, /zookeeper, /zookeeper/quota and /zookeeper/config.
func New() *Tree { return &Tree{} }

// Apply carries out x at time now, in milliseconds since 1970 by the leader's clock. Every transaction takes the next
// zxid, failed ones too. The events are appended to those given, in the order in which watchers must see them.
func (t *Tree) Apply(now int64, x *Txn, events []Event) (Result, []Event) { return Result{}, events }

// Zxid returns the number of the last transaction applied.
func (t *Tree) Zxid() int64 { return 0 }

// Node returns the node at path, nil if there is none. "" is the root, as for ZooKeeper's reads.
func (t *Tree) Node(path string) *Node { return nil }

// AppendChildren appends the names of n's children, in no order.
func (t *Tree) AppendChildren(names []string, n *Node) []string { return names }

// Descendants returns the number of nodes below n.
func (t *Tree) Descendants(n *Node) int { return 0 }

// Path returns the node's path.
func (n *Node) Path() string { return "" }

// Data returns the node's data; nil is null, which is not the same as empty.
func (n *Node) Data() []byte { return nil }

// ACL returns the node's ACL.
func (n *Node) ACL() []wire.ACL { return nil }

// Stat returns what the protocol tells of the node.
func (n *Node) Stat() wire.Stat { return wire.Stat{} }

// NumChildren returns the number of children.
func (n *Node) NumChildren() int { return 0 }

// Session returns a session.
func (t *Tree) Session(id int64) (Session, bool) { return Session{}, false }

// Sessions ranges over all sessions, in no order.
func (t *Tree) Sessions() iter.Seq[Session] { return func(func(Session) bool) {} }

// Ephemerals returns the paths of a session's ephemeral nodes, sorted.
func (t *Tree) Ephemerals(id int64) []string { return nil }

// Counts returns the sizes of the tree, in constant time.
func (t *Tree) Counts() Counts { return Counts{} }

// Reapable returns at most max paths of nodes that nobody needs any more at time now: containers that ran empty,
// containers never used for the given time (0: they stay), and TTL nodes without children whose time is over. The
// leader proposes an OpDeleteContainer for each, whose apply checks again.
func (t *Tree) Reapable(now int64, neverUsed time.Duration, max int) []string { return nil }

// Digest returns a hash over nodes and sessions, but not the zxid: equal trees have equal digests on every server.
// It takes time in proportion to the tree.
func (t *Tree) Digest() uint64 { return 0 }

// Snapshot returns the present state. It takes references only, some milliseconds for a million nodes; a node that
// changes later is copied first.
func (t *Tree) Snapshot() *Snapshot { return &Snapshot{} }

// Snapshot is the state of a tree at one moment. It may be used while the tree goes on, without the tree's lock.
type Snapshot struct{}

// Zxid returns the number of the last transaction in the snapshot.
func (s *Snapshot) Zxid() int64 { return 0 }

// Digest returns what the tree's Digest was.
func (s *Snapshot) Digest() uint64 { return 0 }

// WriteTo writes the snapshot in the format that Restore reads: versioned, and checksummed block by block.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) { return 0, nil }

// Restore reads a snapshot. Whatever is damaged or missing is an error that says where.
func Restore(r io.Reader) (*Tree, error) { return New(), nil }
