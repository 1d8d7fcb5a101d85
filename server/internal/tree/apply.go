package tree

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/internal/zpath"
)

// Apply carries out x at time now, in milliseconds since 1970 by the leader's clock. Every transaction takes the next
// zxid, failed ones too. The events are appended to those given, in the order in which watchers must see them. x and
// what it points to may be used again afterwards.
func (t *Tree) Apply(now int64, x *Txn, events []Event) (Result, []Event) {
	t.zxid++
	a := application{t: t, x: x, now: now, zxid: t.zxid, events: events}
	r := a.run()
	r.Zxid, r.OverQuota = t.zxid, a.overQuota
	return r, a.events
}

// application is one transaction being applied.
type application struct {
	t       *Tree
	x       *Txn
	now     int64
	zxid    int64
	session *session
	fence   wire.Code // why x's connection may not write: its session is gone or has moved
	events  []Event

	overQuota string // see Result.OverQuota
}

func (a *application) run() Result {
	switch a.x.Op {
	case wire.OpCreateSession:
		return a.createSession()
	case OpAttach:
		return a.attachSession()
	case wire.OpDeleteContainer:
		return Result{Err: a.reap(a.x.One.Check.Path)}
	case OpRestore:
		return a.restore()
	case OpMembers:
		return a.members()
	}
	if a.session = a.t.sessions[a.x.Session]; a.session == nil {
		a.fence = wire.ErrSessionExpired
	} else if a.session.Epoch != a.x.Epoch {
		a.fence = wire.ErrSessionMoved
	} else if a.x.Op != wire.OpCloseSession {
		a.session.Used = a.zxid
	}
	switch a.x.Op {
	case wire.OpCloseSession:
		return a.closeSession()
	case wire.OpMulti:
		return a.multi()
	case wire.OpSetACL:
		return a.setACL(&a.x.ACL)
	case wire.OpSync:
		return Result{Err: a.fence}
	case wire.OpCheck: // only in a multi
		return Result{Err: wire.ErrUnimplemented}
	}
	r := a.one(a.x.Op, &a.x.One)
	return Result{Err: r.Err, Path: r.Path, Stat: r.Stat}
}

// one carries out what may stand alone or in a multi (check: in a multi only). The result's Op is the one that a multi
// answers with.
func (a *application) one(op wire.Op, m *wire.MultiOp) wire.MultiResult {
	var n *Node
	r := wire.MultiResult{Op: op}
	switch op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		if n, r.Err = a.create(op, &m.Create); n != nil {
			r.Path = n.path
		}
		if op != wire.OpCreate {
			r.Op = wire.OpCreate2
		}
	case wire.OpDelete:
		r.Err = a.delete(&m.Check)
	case wire.OpSetData:
		n, r.Err = a.setData(&m.Set)
	case wire.OpCheck:
		r.Err = a.check(&m.Check)
	default:
		r.Err = wire.ErrUnimplemented
	}
	if n != nil {
		r.Stat = n.Stat()
	}
	return r
}

// The checks of each operation stand in the order of §3.2 of the protocol reference, which clients rely on.

func (a *application) create(op wire.Op, m *wire.CreateRequest) (*Node, wire.Code) {
	owner, code := a.owner(op, m)
	if code == wire.OK {
		code = a.fence
	}
	if code != wire.OK {
		return nil, code
	}
	if !strings.Contains(m.Path, "/") || strings.Contains(m.Path, "\x00") {
		return nil, wire.ErrBadArguments
	}
	acl, code := normalize(m.ACL, a.x.IDs, a.x.Features)
	if code != wire.OK {
		return nil, code
	}
	parentPath, _ := zpath.Split(m.Path)
	number, ok := a.t.index[parentPath]
	if !ok {
		return nil, wire.ErrNoNode
	}
	parent := a.t.nodes[number]
	if !Allowed(parent.acl.list, wire.PermCreate, a.x.IDs) {
		return nil, wire.ErrNoAuth
	}
	path := m.Path
	if sequential(m.Flags) {
		path = appendSequence(path, parent.creates)
	}
	if zpath.Validate(path) != nil {
		return nil, wire.ErrBadArguments
	}
	if a.t.Node(path) != nil || sequential(m.Flags) && parent.creates == exhausted {
		return nil, wire.ErrNodeExists
	}
	if isEphemeral(parent.owner) {
		return nil, wire.ErrNoChildrenEphemeral
	}
	if code := a.mayGrow(path, amounts{1, int64(len(m.Data))}); code != wire.OK {
		return nil, code
	}
	n := &Node{
		path: path, acl: a.t.acls.retain(acl), owner: owner,
		czxid: a.zxid, mzxid: a.zxid, pzxid: a.zxid, ctime: a.now, mtime: a.now,
	}
	n.setData(bytes.Clone(m.Data))
	a.t.attach(n, number)
	a.t.undo.created(n)
	parent = a.t.own(number)
	parent.children++
	parent.creates = min(parent.creates+1, exhausted)
	parent.pzxid = a.zxid
	a.t.changed(parent)
	a.t.beginStats(path)
	a.t.count(path, amounts{1, int64(len(m.Data))})
	a.emit(wire.EventCreated, n)
	a.emit(wire.EventChildrenChanged, parent)
	return n, wire.OK
}

// owner checks the flags of a create and returns the owner of the node to be. As in ZooKeeper flags that belong to
// another create are let pass where they make sense: only createContainer makes containers, and it makes nothing else.
func (a *application) owner(op wire.Op, m *wire.CreateRequest) (int64, wire.Code) {
	ttl := m.Flags == wire.FlagTTL || m.Flags == wire.FlagPersistentSequentialTTL
	switch {
	case !knownFlags(m.Flags):
		return 0, wire.ErrBadArguments
	case ttl && a.x.Features&FeatureTTL == 0:
		return 0, wire.ErrUnimplemented
	case ttl != (op == wire.OpCreateTTL):
		return 0, wire.ErrBadArguments
	case ttl && (m.TTL < 1 || m.TTL > wire.MaxTTL):
		return 0, wire.ErrBadArguments
	case ttl:
		return ownerTTL | m.TTL, wire.OK
	case op == wire.OpCreateContainer:
		return ownerContainer, wire.OK
	case m.Flags == wire.FlagEphemeral || m.Flags == wire.FlagEphemeralSequential:
		return a.x.Session, wire.OK
	}
	return 0, wire.OK
}

func knownFlags(f int32) bool {
	return f >= wire.FlagPersistent && f <= wire.FlagPersistentSequentialTTL
}

func sequential(f int32) bool {
	return f == wire.FlagSequential || f == wire.FlagEphemeralSequential || f == wire.FlagPersistentSequentialTTL
}

// appendSequence appends a sequence number, ten digits.
func appendSequence(path string, n uint32) string {
	b := make([]byte, len(path), len(path)+10)
	copy(b, path)
	var digits [10]byte
	d := strconv.AppendUint(digits[:0], uint64(n), 10)
	for range 10 - len(d) {
		b = append(b, '0')
	}
	return string(append(b, d...))
}

func (a *application) delete(m *wire.PathVersionRequest) wire.Code {
	if a.fence != wire.OK {
		return a.fence
	}
	if !strings.Contains(m.Path, "/") || strings.Contains(m.Path, "\x00") || reserved(m.Path) {
		return wire.ErrBadArguments
	}
	parentPath, _ := zpath.Split(m.Path)
	parent := a.t.Node(parentPath)
	if parent == nil {
		return wire.ErrNoNode
	}
	if !Allowed(parent.acl.list, wire.PermDelete, a.x.IDs) {
		return wire.ErrNoAuth
	}
	n := a.t.Node(m.Path)
	switch {
	case n == nil:
		return wire.ErrNoNode
	case m.Version != -1 && m.Version != n.version:
		return wire.ErrBadVersion
	case n.children > 0:
		return wire.ErrNotEmpty
	}
	a.remove(n)
	return wire.OK
}

// reap deletes a container or TTL node that nobody needs any more; what has changed since the leader looked counts.
func (a *application) reap(path string) wire.Code {
	n := a.t.Node(path)
	switch {
	case n == nil:
		return wire.ErrNoNode
	case n.children > 0:
		return wire.ErrNotEmpty
	case !n.reapable(a.now, int64(a.x.Timeout)):
		return wire.ErrBadVersion
	}
	a.remove(n)
	return wire.OK
}

// remove deletes n, which has no children and is not the root.
func (a *application) remove(n *Node) {
	number := a.t.parent(n)
	a.t.leave(n, number)
	a.t.acls.release(n.acl)
	a.t.undo.deleted(n)
	parent := a.t.own(number)
	parent.children--
	parent.pzxid = a.zxid
	a.t.changed(parent)
	a.t.count(n.path, amounts{-1, -int64(len(n.data))})
	a.emit(wire.EventDeleted, n)
	a.emit(wire.EventChildrenChanged, parent)
}

// find returns the node at path if it may be used in that way, else the reason why not.
func (a *application) find(path string, perm int32) (*Node, wire.Code) {
	n := a.t.Node(path)
	switch {
	case n == nil:
		return nil, wire.ErrNoNode
	case !Allowed(n.acl.list, perm, a.x.IDs):
		return nil, wire.ErrNoAuth
	}
	return n, wire.OK
}

// entry makes the checks that setData, setACL and check have in common before they look for the node.
func (a *application) entry(path string) wire.Code {
	if a.fence == wire.OK && zpath.Validate(path) != nil {
		return wire.ErrBadArguments
	}
	return a.fence
}

func (a *application) setData(m *wire.SetDataRequest) (*Node, wire.Code) {
	if code := a.entry(m.Path); code != wire.OK {
		return nil, code
	}
	n, code := a.find(m.Path, wire.PermWrite)
	if code != wire.OK {
		return nil, code
	}
	grows := amounts{bytes: int64(len(m.Data) - len(n.data))}
	if code := a.mayGrow(m.Path, grows); code != wire.OK {
		return nil, code
	}
	if m.Version != -1 && m.Version != n.version {
		return nil, wire.ErrBadVersion
	}
	a.t.count(m.Path, grows)
	n = a.t.own(n.number)
	a.t.counts.DataSize += int64(len(m.Data) - len(n.data)) // not grows: n may hold the totals just counted
	n.setData(bytes.Clone(m.Data))
	n.version = next(n.version)
	n.mzxid, n.mtime = a.zxid, a.now
	a.t.changed(n)
	a.emit(wire.EventDataChanged, n)
	return n, wire.OK
}

func (a *application) check(m *wire.PathVersionRequest) wire.Code {
	if code := a.entry(m.Path); code != wire.OK {
		return code
	}
	n, code := a.find(m.Path, wire.PermRead)
	if code == wire.OK && m.Version != -1 && m.Version != n.version {
		return wire.ErrBadVersion
	}
	return code
}

func (a *application) setACL(m *wire.SetACLRequest) Result {
	if code := a.entry(m.Path); code != wire.OK {
		return Result{Err: code}
	}
	acl, code := normalize(m.ACL, a.x.IDs, a.x.Features)
	if code != wire.OK {
		return Result{Err: code}
	}
	n, code := a.find(m.Path, wire.PermAdmin)
	if code != wire.OK {
		return Result{Err: code}
	}
	if m.Version != -1 && m.Version != n.aversion {
		return Result{Err: wire.ErrBadVersion}
	}
	n = a.t.own(n.number)
	old := n.acl
	n.acl = a.t.acls.retain(acl)
	a.t.acls.release(old)
	n.aversion = next(n.aversion)
	a.t.changed(n)
	return Result{Stat: n.Stat()}
}

func (a *application) emit(typ wire.EventType, n *Node) {
	a.events = append(a.events, Event{Type: typ, Path: n.path, Zxid: a.zxid, ACL: n.acl.list})
}
