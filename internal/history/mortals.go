package history

import (
	"path"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// Mortal is a container, or a node with a time to live, whose create was acknowledged.
type Mortal struct {
	Path  string
	Czxid int64
	// TTL is its time to live; 0 for a container.
	TTL time.Duration
	// Born is a time before which it was not created, nor its data changed for the last time.
	Born int64
}

// Mortals tells whether the servers removed each node only when they might: it had no child; a container had had one
// before, or was older than neverUsed; and the others' time to live had passed since they were born. Times count where the
// servers' time of day does not jump. Those that are still there in the end, without a child, are found as well: whoever
// asks has waited for long enough.
func Mortals(nodes []Mortal, neverUsed time.Duration, jumps bool, t *Timeline) error {
	var f faults
	children := t.children()
	for _, n := range nodes {
		gone := t.deleted(n.Path, n.Czxid)
		kids := children[n.Path]
		if gone == nil {
			timed := n.TTL > 0 || !kids.any(n.Czxid, t.log.Last()+1)
			if kids.at(t.log.Last()) == 0 && !(timed && jumps) {
				f.add("%s of %#x has no children, and is still there", n.Path, n.Czxid)
			}
			continue
		}
		if gone.Op != wire.OpDeleteContainer.String() {
			continue // by its maker
		}
		if left := kids.at(gone.Zxid); left != 0 {
			f.add("%s was removed at %#x with %d children", n.Path, gone.Zxid, left)
		}
		used := kids.any(n.Czxid, gone.Zxid)
		age := gone.At - n.Born + int64(time.Millisecond)
		switch {
		case jumps:
		case n.TTL > 0 && age < int64(n.TTL):
			f.add("%s was removed at %#x, %v after its last change, and has %v to live", n.Path, gone.Zxid, time.Duration(age), n.TTL)
		case n.TTL == 0 && !used && age < int64(neverUsed):
			f.add("%s was removed at %#x, %v old and never used", n.Path, gone.Zxid, time.Duration(age))
		}
	}
	return f.err()
}

// family is how many children a node has, from each change on.
type family []struct {
	zxid int64
	n    int
}

// at returns how many there were behind the transaction zxid.
func (f family) at(zxid int64) (n int) {
	for _, x := range f {
		if x.zxid > zxid {
			break
		}
		n = x.n
	}
	return n
}

// any tells whether there was one in between.
func (f family) any(from, to int64) bool {
	for _, x := range f {
		if x.zxid > from && x.zxid < to && x.n > 0 {
			return true
		}
	}
	return false
}

// Children returns how many a node has in the end, and whether it ever had one.
func (t *Timeline) Children(path string) (now int, ever bool) {
	f := t.children()[path]
	return f.at(t.log.Last()), f.any(0, t.log.Last()+1)
}

// children counts those of each node.
func (t *Timeline) children() map[string]family {
	all := make(map[string]family)
	for _, s := range t.steps {
		d := 0
		switch s.Type {
		case wire.EventCreated:
			d = 1
		case wire.EventDeleted:
			d = -1
		default:
			continue
		}
		dir := path.Dir(s.Path)
		f := all[dir]
		n := d
		if len(f) > 0 {
			n += f[len(f)-1].n
		}
		all[dir] = append(f, struct {
			zxid int64
			n    int
		}{s.zxid, n})
	}
	return all
}
