package tree

import (
	"bytes"
	"io"

	"github.com/docent-io/docent/internal/wire"
)

// OpRestore is the transaction by which a backup takes the place of the tree, in parts: all but the last are only put
// aside, the last one replaces everything at once. It never comes from a client.
//
// A backup is restored through the log, not beside it, so it is there when a majority has it and not before, and a new
// leader in the middle changes nothing. What is put aside is replicated state, and part of snapshots.
const OpRestore wire.Op = -101

// Part is a piece of a backup.
type Part struct {
	ID     int64 // of the attempt; the first part of another one drops what was put aside
	Number int32 // from 0
	Last   bool
	Force  bool  // replace a tree that has nodes of its own, too
	Floor  int64 // Last: the zxid goes at least up to here
	Data   []byte
}

// append appends the part's encoding.
func (p *Part) append(b []byte) []byte {
	b = wire.AppendInt32(wire.AppendInt64(b, p.ID), p.Number)
	b = wire.AppendBool(wire.AppendBool(b, p.Last), p.Force)
	return wire.AppendBuffer(wire.AppendInt64(b, p.Floor), p.Data)
}

func (p *Part) decode(r *wire.Reader) {
	*p = Part{ID: r.Int64(), Number: r.Int32(), Last: r.Bool(), Force: r.Bool(), Floor: r.Int64(), Data: r.Buffer()}
}

// staging is what has come of a backup.
type staging struct {
	id    int64
	parts [][]byte // only ever appended to, so that a snapshot may hold it
}

// Empty tells whether there is nothing but the nodes that every tree has.
func (t *Tree) Empty() bool {
	for _, n := range t.nodes {
		if n != nil && !reserved(n.path) {
			return false
		}
	}
	return true
}

// maxFloor keeps the zxid far from its end, where it could not grow any more.
const maxFloor = 1 << 62

// restore puts a part aside, or with the last one replaces the tree. It fails with ErrNotEmpty if the tree has nodes and
// that is not to be forced, with ErrBadVersion if a part is missing or another attempt has begun, with ErrMarshalling if
// the backup is damaged. The tree is as it was then.
func (a *application) restore() Result {
	t, p := a.t, &a.x.Part
	switch {
	case !p.Force && !t.Empty():
		t.staged = staging{}
		return Result{Err: wire.ErrNotEmpty}
	case p.Number == 0:
		t.staged = staging{id: p.ID}
	case t.staged.id != p.ID || int(p.Number) != len(t.staged.parts):
		return Result{Err: wire.ErrBadVersion}
	}
	t.staged.parts = append(t.staged.parts, bytes.Clone(p.Data))
	if !p.Last {
		return Result{}
	}
	backup, err := t.staged.tree()
	t.staged = staging{}
	if err != nil || backup.zxid >= maxFloor || p.Floor >= maxFloor {
		return Result{Err: wire.ErrMarshalling}
	}
	t.replace(backup, p.Floor)
	return Result{}
}

// tree reads the backup put together.
func (s *staging) tree() (*Tree, error) {
	parts := make([]io.Reader, len(s.parts))
	for i, p := range s.parts {
		parts[i] = bytes.NewReader(p)
	}
	return Restore(io.MultiReader(parts...))
}

// replace makes the tree what the backup was. The zxid goes above both, and to the floor at least: what was numbered
// before the backup was restored, though it is not in it, is never numbered so again. The members of the ensemble are
// who they are now.
func (t *Tree) replace(backup *Tree, floor int64) {
	zxid := max(t.zxid, backup.zxid+1, floor)
	for id, s := range backup.sessions {
		if now := t.sessions[id]; now != nil {
			backup.digest -= s.digest()
			s.Epoch = max(s.Epoch, now.Epoch) + 1 // fences what is still on its way over the connection of now
			backup.digest += s.digest()
		}
	}
	members, of := t.Node("/zookeeper/config"), backup.Node("/zookeeper/config")
	backup.counts.DataSize += int64(len(members.data) - len(of.data))
	of.setData(members.data)
	of.version, of.mzxid, of.mtime = members.version, members.mzxid, members.mtime
	*t = *backup
	t.zxid, t.staged = zxid, staging{}
}
