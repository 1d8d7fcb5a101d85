package history

import (
	"cmp"
	"slices"

	"github.com/docent-io/docent/internal/wire"
)

// Write is a write that was acknowledged with its zxid, as Stats tell it.
type Write struct {
	Zxid         int64
	Session      int64
	Changes      []Change // that it asked for
	Call, Return int64
}

// Writes tells whether each write is in the log, whole and made by its session, and whether the order of the log is one
// that real time allows: a write that was called when another had returned comes behind it.
func Writes(writes []Write, t *Timeline) error {
	var f faults
	for _, w := range writes {
		x := t.log.get(w.Zxid)
		switch {
		case x == nil:
			f.add("zxid %#x was acknowledged, and no server has it", w.Zxid)
			continue
		case x.Err != 0 || x.Session != w.Session:
			f.add("zxid %#x was acknowledged to session %#x, and is %+v", w.Zxid, uint64(w.Session), *x)
		}
		for _, c := range w.Changes {
			if !slices.Contains(x.Changes, c) {
				f.add("zxid %#x was acknowledged with %v %s, and is %+v", w.Zxid, c.Type, c.Path, *x)
			}
		}
	}
	ordered(&f, writes, func(w Write) (call, ret, place int64) { return w.Call, w.Return, w.Zxid })
	return f.err()
}

// ordered tells whether places grow from each to those called after it had returned.
func ordered[T any](f *faults, all []T, of func(T) (call, ret, place int64)) {
	byCall, byReturn := slices.Clone(all), slices.Clone(all)
	slices.SortFunc(byCall, func(a, b T) int {
		x, _, _ := of(a)
		y, _, _ := of(b)
		return cmp.Compare(x, y)
	})
	slices.SortFunc(byReturn, func(a, b T) int {
		_, x, _ := of(a)
		_, y, _ := of(b)
		return cmp.Compare(x, y)
	})
	highest, next := int64(-1), 0
	for _, x := range byCall {
		call, _, place := of(x)
		for ; next < len(byReturn); next++ {
			_, ret, p := of(byReturn[next])
			if ret >= call {
				break
			}
			highest = max(highest, p)
		}
		if place <= highest {
			f.add("%+v was called when %#x had returned", x, highest)
		}
	}
}

// Numbered is the create of a sequential node.
type Numbered struct {
	Tag          string // its data, which no other create has
	Path         string // that was told; empty if the outcome is unknown
	Number       int64
	Call, Return int64
}

// Sequences compares creates of sequential nodes in one directory with the nodes that are there in the end, path and data,
// if none was deleted: whatever was acknowledged is there under its name, whatever else is there was asked for, once; and
// numbers are unique and grow in real time.
func Sequences(creates []Numbered, there map[string]string) error {
	var f faults
	asked, acked := make(map[string]bool), make(map[string]string)
	var known []Numbered
	numbers := make(map[int64]string)
	for _, n := range creates {
		asked[n.Tag] = true
		if n.Path == "" {
			continue
		}
		acked[n.Tag] = n.Path
		known = append(known, n)
		if there[n.Path] != n.Tag {
			f.add("%s was created with %q, and has %q", n.Path, n.Tag, there[n.Path])
		}
		if other, twice := numbers[n.Number]; twice {
			f.add("%s and %s have the same number", n.Path, other)
		}
		numbers[n.Number] = n.Path
	}
	seen := make(map[string]string)
	for path, tag := range there {
		switch {
		case !asked[tag]:
			f.add("%s has %q, which nobody has created", path, tag)
		case seen[tag] != "":
			f.add("%q was created twice: %s and %s", tag, path, seen[tag])
		}
		seen[tag] = path
	}
	ordered(&f, known, func(n Numbered) (call, ret, place int64) { return n.Call, n.Return, n.Number })
	return f.err()
}

// Ephemeral is an ephemeral node that was acknowledged.
type Ephemeral struct {
	Session int64
	Path    string
	Czxid   int64
}

// Ended is what a client knows of the end of one of its sessions.
type Ended struct {
	Session int64
	// Expired: a server told so.
	Expired bool
	// Deadline is until when the client could rely on the session, 0 if it closed the session, or somebody ended it by force.
	Deadline int64
}

// Sessions tells whether ephemerals went together with their sessions and never otherwise, unless their owner deleted them;
// whether nothing was carried out for a session that had ended; and whether no session ended that its client could rely
// on, and none lives that its client was told had expired.
func Sessions(nodes []Ephemeral, ended []Ended, t *Timeline) error {
	var f faults
	closed := make(map[int64]*Txn)
	for z := int64(1); z <= t.log.Last(); z++ {
		x := t.log.get(z)
		if x == nil || x.Err != 0 || x.Session == 0 {
			continue
		}
		if end := closed[x.Session]; end != nil {
			f.add("session %#x ended at %#x, and carried out %s at %#x", uint64(x.Session), end.Zxid, x.Op, x.Zxid)
		}
		if x.Op == wire.OpCloseSession.String() {
			closed[x.Session] = x
		}
	}
	for _, n := range nodes {
		gone := t.deleted(n.Path, n.Czxid)
		end := closed[n.Session]
		switch {
		case gone == nil && end != nil:
			f.add("%s outlives session %#x, which ended at %#x", n.Path, uint64(n.Session), end.Zxid)
		case gone != nil && gone != end && gone.Session != n.Session:
			f.add("%s was deleted at %#x by %#x, and its session %#x lived", n.Path, gone.Zxid, uint64(gone.Session), uint64(n.Session))
		case gone != nil && end != nil && gone.Zxid > end.Zxid:
			f.add("%s went at %#x, and its session at %#x", n.Path, gone.Zxid, end.Zxid)
		}
	}
	for _, e := range ended {
		end := closed[e.Session]
		switch {
		case e.Expired && end == nil:
			f.add("session %#x was told that it had expired, and it lives", uint64(e.Session))
		case end != nil && end.At < e.Deadline:
			f.add("session %#x was ended at %d, and could rely on being alive until %d", uint64(e.Session), end.At, e.Deadline)
		}
	}
	return f.err()
}

// deleted returns the first transaction behind zxid that deleted path.
func (t *Timeline) deleted(path string, zxid int64) *Txn {
	for _, s := range t.byPath[path] {
		if s.zxid > zxid && s.Type == wire.EventDeleted {
			return t.log.get(s.zxid)
		}
	}
	return nil
}
