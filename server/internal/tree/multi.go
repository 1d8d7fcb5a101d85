package tree

import "github.com/docent-io/docent/internal/wire"

// multi carries out all operations or none, each seeing what the earlier ones did, all under one zxid.
func (a *application) multi() Result {
	for i := range a.x.Multi {
		if m := &a.x.Multi[i]; isCreate(m.Op) && !knownFlags(m.Create.Flags) {
			return Result{Err: wire.ErrMarshalling} // ZooKeeper 3.9 cannot even decode it
		}
	}
	if a.fence != wire.OK {
		return Result{Err: a.fence}
	}
	before := len(a.events)
	a.t.begin()
	results := make([]wire.MultiResult, len(a.x.Multi))
	for i := range a.x.Multi {
		m := &a.x.Multi[i]
		if results[i] = a.one(m.Op, m); results[i].Err != wire.OK {
			a.t.rollback()
			a.events, a.overQuota = a.events[:before], ""
			return Result{Multi: failed(results, i)}
		}
	}
	a.t.commit()
	return Result{Multi: results}
}

func isCreate(op wire.Op) bool {
	return op == wire.OpCreate || op == wire.OpCreate2 || op == wire.OpCreateContainer || op == wire.OpCreateTTL
}

// failed turns the results into those of a multi whose operation i failed.
func failed(results []wire.MultiResult, i int) []wire.MultiResult {
	code := results[i].Err
	for j := range results {
		results[j] = wire.MultiResult{Op: wire.OpError}
		switch {
		case j == i:
			results[j].Err = code
		case j > i:
			results[j].Err = wire.ErrRuntimeInconsistency
		}
	}
	return results
}

// undoLog remembers what a multi did, so that it can be undone. Outside of a multi it remembers nothing.
type undoLog struct {
	on      bool
	digest  uint64 // before
	changes []change
}

type change struct {
	kind changeKind
	node *Node // created: the new one; deleted, replaced: the old one
}

type changeKind uint8

const (
	created changeKind = iota
	deleted
	replaced
)

func (u *undoLog) created(n *Node)  { u.add(created, n) }
func (u *undoLog) deleted(n *Node)  { u.add(deleted, n) }
func (u *undoLog) replaced(n *Node) { u.add(replaced, n) }

func (u *undoLog) add(kind changeKind, n *Node) {
	if u.on {
		u.changes = append(u.changes, change{kind, n})
	}
}

func (u *undoLog) reset() {
	clear(u.changes)
	u.on, u.changes = false, u.changes[:0]
}

// begin starts a multi. A new generation makes own replace every node before its first change.
func (t *Tree) begin() {
	t.gen++
	t.undo.on, t.undo.digest = true, t.digest
}

func (t *Tree) commit() { t.undo.reset() }

// rollback undoes everything since begin, last things first, so that each step finds the tree as it was after the
// change it undoes. ACLs of nodes are not changed by a multi.
func (t *Tree) rollback() {
	t.undo.on = false
	for i := len(t.undo.changes) - 1; i >= 0; i-- {
		switch c := t.undo.changes[i]; c.kind {
		case created:
			t.leave(c.node, t.parent(c.node))
			t.acls.release(c.node.acl)
		case deleted:
			t.free = t.free[:len(t.free)-1] // its own number: whoever took it since has given it back
			t.acls.restore(c.node.acl)
			t.enter(c.node, t.parent(c.node))
		case replaced:
			t.counts.DataSize += c.node.size() - t.nodes[c.node.number].size()
			t.nodes[c.node.number] = c.node
		}
	}
	t.digest = t.undo.digest
	t.undo.reset()
}
