package tree_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

// parts cuts a backup into n parts of one attempt.
func parts(backup []byte, n int, change func(*tree.Part)) (list []*tree.Txn) {
	for i, data := range slices.Collect(slices.Chunk(backup, len(backup)/n+1)) {
		p := tree.Part{ID: 1, Number: int32(i), Last: i == n-1, Data: data}
		if change != nil {
			change(&p)
		}
		list = append(list, &tree.Txn{Op: tree.OpRestore, Part: p})
	}
	return list
}

func TestRestoreBackup(t *testing.T) {
	from := furnished(t)
	to := &world{Tree: tree.New(), t: t, now: 1000}
	backup := bytesOf(t, from.Snapshot())
	fresh := to.Digest()
	list := parts(backup, 5, func(p *tree.Part) { p.Floor = 12345 })
	for i, x := range list {
		if r := to.do(x); r.Err != wire.OK || len(to.events) > 0 {
			t.Fatalf("part %d: %v, events %v", i, r.Err, to.events)
		}
		if i < len(list)-1 && to.Digest() != fresh {
			t.Fatalf("part %d shows before the last has come", i)
		}
		to.Tree = restored(t, to.Tree) // a member that gets a snapshot in the middle goes on as well
	}
	if to.Digest() != from.Digest() || to.Counts() != from.Counts() {
		t.Errorf("restored: %+v, want %+v", to.Counts(), from.Counts())
	}
	if to.Zxid() != 12345 {
		t.Errorf("zxid %d, want the floor", to.Zxid())
	}
	to.open(99)
	if r := to.must(create("/after", 0)); r.Zxid <= 12345 {
		t.Errorf("zxid %d after the restore", r.Zxid)
	}
	// Whatever the floor, above the backup and above what was here.
	for x := range slices.Values(parts(backup, 2, func(p *tree.Part) { p.Force = true })) {
		to.do(x)
	}
	if to.Zxid() <= 12345 || to.Zxid() <= from.Zxid() {
		t.Errorf("the zxid ran backwards: %d", to.Zxid())
	}
	if to.Node("/after") != nil || to.Counts() != from.Counts() {
		t.Error("something is left of what was there before")
	}
}

func TestRestoreBackup_FencesSessionsOfNow(t *testing.T) {
	w := furnished(t)
	old, _ := w.Session(7)
	for _, x := range parts(bytesOf(t, w.Snapshot()), 1, func(p *tree.Part) { p.Force = true }) {
		w.do(x)
	}
	w.session, w.epoch = 7, old.Epoch
	if r := w.one(create("/late", 0)); r.Err != wire.ErrSessionMoved {
		t.Errorf("write of a connection from before: %v, want ErrSessionMoved", r.Err)
	}
}

func TestRestoreBackup_Refusals(t *testing.T) {
	backup := bytesOf(t, furnished(t).Snapshot())
	damaged := bytes.Clone(backup)
	damaged[len(damaged)/2]++
	longer := append(bytes.Clone(backup), 0)
	all := parts(backup, 3, nil)
	other := parts(backup, 3, func(p *tree.Part) { p.ID = 2 })
	for name, c := range map[string]struct {
		txns []*tree.Txn
		want wire.Code // of the last
	}{
		"cut":              {parts(backup[:len(backup)-1], 3, nil), wire.ErrMarshalling},
		"damaged":          {parts(damaged, 3, nil), wire.ErrMarshalling},
		"trailing":         {parts(longer, 3, nil), wire.ErrMarshalling},
		"a part missing":   {[]*tree.Txn{all[0], all[2]}, wire.ErrBadVersion},
		"a part twice":     {[]*tree.Txn{all[0], all[1], all[1]}, wire.ErrBadVersion},
		"two at once":      {[]*tree.Txn{all[0], other[0], all[1]}, wire.ErrBadVersion},
		"the later wins":   {[]*tree.Txn{all[0], other[0], all[1], other[1], other[2]}, wire.OK},
		"zxid at its end":  {parts(backup, 1, func(p *tree.Part) { p.Floor = 1 << 62 }), wire.ErrMarshalling},
		"nothing to begin": {[]*tree.Txn{all[1]}, wire.ErrBadVersion},
	} {
		w := &world{Tree: tree.New(), t: t}
		before := w.Digest()
		var r tree.Result
		for _, x := range c.txns {
			r = w.do(x)
		}
		if r.Err != c.want {
			t.Errorf("%s: %v, want %v", name, r.Err, c.want)
		}
		if c.want != wire.OK && w.Digest() != before {
			t.Errorf("%s: the tree changed", name)
		}
	}
	w := furnished(t)
	if r := w.do(all[0]); r.Err != wire.ErrNotEmpty {
		t.Errorf("over a tree with nodes: %v", r.Err)
	}
}
