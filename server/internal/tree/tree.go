package tree

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/internal/zpath"
)

// Tree is the replicated state.
type Tree struct {
	zxid     int64
	index    map[string]uint32 // from path to number
	nodes    []*Node           // by number; nil where free says so; the root is 0
	links    []link            // by number
	free     []uint32
	gen      uint64 // nodes of an older generation may be part of a snapshot
	acls     aclTable
	sessions map[int64]*session
	reapers  map[uint32]struct{} // containers and TTL nodes
	quotas   map[string]struct{} // paths that have a quota
	counts   Counts              // Nodes and Sessions are counted elsewhere
	digest   uint64              // of all sessions and nodes, see Digest
	staged   staging             // of a backup being restored
	undo     undoLog
}

// link chains the children of a node. 0 is the end: the root is nobody's child.
type link struct{ first, next, prev uint32 }

// Counts are the sizes of a tree.
type Counts struct {
	Nodes, Ephemerals, Containers, TTLs, Sessions int
	DataSize                                      int64 // bytes of paths and data
}

// New returns the tree of a fresh ensemble: /, /zookeeper, /zookeeper/quota and /zookeeper/config.
func New() *Tree {
	t := empty()
	readable := []wire.ACL{{Perms: wire.PermRead, Scheme: "world", ID: "anyone"}}
	for _, n := range []*Node{
		{path: "/", acl: t.acls.retain(openACL), children: 1},
		{path: "/zookeeper", acl: t.acls.retain(openACL), children: 2},
		{path: "/zookeeper/quota", acl: t.acls.retain(openACL)},
		{path: "/zookeeper/config", acl: t.acls.retain(readable), aversion: -1},
	} {
		n.setData([]byte{}) // not null
		t.attach(n, t.parent(n))
	}
	return t
}

func empty() *Tree {
	return &Tree{
		index:    make(map[string]uint32),
		acls:     aclTable{lists: make(map[string]*aclList)},
		sessions: make(map[int64]*session),
		reapers:  make(map[uint32]struct{}),
		quotas:   make(map[string]struct{}),
	}
}

// reserved holds for the nodes that cannot be deleted.
func reserved(path string) bool {
	return path == "/" || path == "/zookeeper" || path == "/zookeeper/quota" || path == "/zookeeper/config"
}

// Zxid returns the number of the last transaction applied.
func (t *Tree) Zxid() int64 { return t.zxid }

// Node returns the node at path, nil if there is none. "" is the root, as for ZooKeeper's reads.
func (t *Tree) Node(path string) *Node {
	if path == "" {
		return t.nodes[0]
	}
	if i, ok := t.index[path]; ok {
		return t.nodes[i]
	}
	return nil
}

// AppendChildren appends the names of n's children, in no order.
func (t *Tree) AppendChildren(names []string, n *Node) []string {
	names = slices.Grow(names, n.NumChildren())
	for i := t.links[n.number].first; i != 0; i = t.links[i].next {
		_, name := zpath.Split(t.nodes[i].path)
		names = append(names, name)
	}
	return names
}

// Descendants returns the number of nodes below n.
func (t *Tree) Descendants(n *Node) int {
	if n.number == 0 {
		return len(t.index) - 1
	}
	total, todo := 0, []uint32{n.number}
	for len(todo) > 0 {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		total += t.nodes[i].NumChildren()
		for c := t.links[i].first; c != 0; c = t.links[c].next {
			if t.nodes[c].children > 0 {
				todo = append(todo, c)
			}
		}
	}
	return total
}

// Session returns a session.
func (t *Tree) Session(id int64) (Session, bool) {
	if s := t.sessions[id]; s != nil {
		return s.Session, true
	}
	return Session{}, false
}

// Sessions ranges over all sessions, in no order.
func (t *Tree) Sessions() iter.Seq[Session] {
	return func(yield func(Session) bool) {
		for _, s := range t.sessions {
			if !yield(s.Session) {
				return
			}
		}
	}
}

// Ephemerals returns the paths of a session's ephemeral nodes, sorted.
func (t *Tree) Ephemerals(id int64) []string {
	s := t.sessions[id]
	if s == nil || len(s.ephemerals) == 0 {
		return nil
	}
	paths := make([]string, 0, len(s.ephemerals))
	for i := range s.ephemerals {
		paths = append(paths, t.nodes[i].path)
	}
	slices.Sort(paths)
	return paths
}

// Counts returns the sizes of the tree, in constant time.
func (t *Tree) Counts() Counts {
	c := t.counts
	c.Nodes, c.Sessions = len(t.index), len(t.sessions)
	return c
}

// Reapable returns at most max paths, sorted, of nodes that nobody needs any more at time now: containers that ran
// empty, containers never used for the given time (0: they stay), and TTL nodes without children whose time is over.
// The leader proposes an OpDeleteContainer for each, whose apply checks again. It looks at every container and TTL node.
func (t *Tree) Reapable(now int64, neverUsed time.Duration, max int) []string {
	var paths []string
	for i := range t.reapers {
		if n := t.nodes[i]; n.reapable(now, neverUsed.Milliseconds()) {
			paths = append(paths, n.path)
		}
	}
	slices.Sort(paths)
	return paths[:min(max, len(paths))]
}

// Containers returns the paths of all containers and of all TTL nodes, in no particular order.
func (t *Tree) Containers() (containers, ttls []string) {
	containers, ttls = []string{}, []string{}
	for i := range t.reapers {
		if n := t.nodes[i]; n.owner == ownerContainer {
			containers = append(containers, n.path)
		} else {
			ttls = append(ttls, n.path)
		}
	}
	return containers, ttls
}

// number returns a free number.
func (t *Tree) number() uint32 {
	if last := len(t.free) - 1; last >= 0 {
		i := t.free[last]
		t.free = t.free[:last]
		return i
	}
	t.nodes = append(t.nodes, nil)
	t.links = append(t.links, link{})
	return uint32(len(t.nodes) - 1)
}

// attach gives the new node n a number and enters it. The record of its parent is the caller's business.
func (t *Tree) attach(n *Node, parent uint32) {
	n.number, n.gen = t.number(), t.gen
	t.enter(n, parent)
}

// enter puts n, whose number is free, into all the sets it belongs to. It does not write to n.
func (t *Tree) enter(n *Node, parent uint32) {
	i := n.number
	t.nodes[i], t.index[n.path] = n, i
	t.counts.DataSize += n.size()
	t.digest += n.digest()
	if i == 0 {
		return
	}
	first := t.links[parent].first
	t.links[i] = link{next: first}
	if first != 0 {
		t.links[first].prev = i
	}
	t.links[parent].first = i
	if quota, ok := quotaTarget(n.path, quotaLimits); ok {
		t.quotas[quota] = struct{}{}
	}
	switch {
	case n.owner == ownerContainer:
		t.counts.Containers++
		t.reapers[i] = struct{}{}
	case isTTL(n.owner):
		t.counts.TTLs++
		t.reapers[i] = struct{}{}
	case n.owner != 0:
		t.counts.Ephemerals++
		t.sessions[n.owner].add(i)
	}
}

// leave takes n out of all the sets it belongs to, and frees its number.
func (t *Tree) leave(n *Node, parent uint32) {
	i := n.number
	l := t.links[i]
	if l.prev != 0 {
		t.links[l.prev].next = l.next
	} else {
		t.links[parent].first = l.next
	}
	if l.next != 0 {
		t.links[l.next].prev = l.prev
	}
	if quota, ok := quotaTarget(n.path, quotaLimits); ok {
		delete(t.quotas, quota)
	}
	switch {
	case n.owner == ownerContainer:
		t.counts.Containers--
		delete(t.reapers, i)
	case isTTL(n.owner):
		t.counts.TTLs--
		delete(t.reapers, i)
	case n.owner != 0:
		t.counts.Ephemerals--
		t.sessions[n.owner].remove(i)
	}
	t.counts.DataSize -= n.size()
	t.digest -= n.digest()
	delete(t.index, n.path)
	t.nodes[i] = nil
	t.free = append(t.free, i)
}

// parent returns the number of n's parent, which exists.
func (t *Tree) parent(n *Node) uint32 {
	path, _ := zpath.Split(n.path)
	return t.index[path]
}

// own returns the node with that number for changing: a copy takes its place if a snapshot or the undo log may hold it.
// Its part is out of the digest until changed is called.
func (t *Tree) own(number uint32) *Node {
	n := t.nodes[number]
	t.digest -= n.digest()
	if n.gen == t.gen {
		return n
	}
	c := *n
	c.gen = t.gen
	t.nodes[number] = &c
	t.undo.replaced(n)
	return &c
}

// changed ends what own began.
func (t *Tree) changed(n *Node) { t.digest += n.digest() }

// byPath orders nodes by their paths.
func byPath(a, b *Node) int { return cmp.Compare(a.path, b.path) }

// depth is the number of a node's ancestors.
func depth(path string) int {
	if path == "/" {
		return 0
	}
	return strings.Count(path, "/")
}
