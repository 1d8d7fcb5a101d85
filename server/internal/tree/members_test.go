package tree_test

import (
	"bytes"
	"testing"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

func TestMembers(t *testing.T) {
	w := newWorld(t)
	if list, at := w.Members(); list != "" || at != 0 {
		t.Errorf("members at first: %q, %d", list, at)
	}
	w.now = 5000
	r := w.do(&tree.Txn{Op: tree.OpMembers, Members: "server.1=a:1:1:participant\nserver.2=b:1:1:observer"})
	if r.Err != wire.OK || r.Stat.Version != -1 || r.Stat.Mzxid != r.Zxid || r.Stat.Mtime != 5000 || r.Stat.Czxid != 0 {
		t.Errorf("result %+v", r)
	}
	const want = "server.1=a:1:1:participant\nserver.2=b:1:1:observer\nversion=2"
	if got := string(w.Node(tree.ConfigPath).Data()); got != want || int(r.Stat.DataLength) != len(want) {
		t.Errorf("data %q, want %q", got, want)
	}
	if len(w.events) != 1 || w.events[0].Type != wire.EventDataChanged || w.events[0].Path != tree.ConfigPath {
		t.Errorf("events %+v", w.events)
	}
	// Whoever saw another list than there is now is late.
	if r := w.do(&tree.Txn{Op: tree.OpMembers, Members: "server.1=a:1:1:participant"}); r.Err != wire.ErrBadVersion || len(w.events) > 0 {
		t.Errorf("a late list: %+v, events %v", r, w.events)
	}
	list, at := w.Members()
	if list+"\nversion=2" != want || at != 2 {
		t.Errorf("members %q of %d", list, at)
	}
	if r := w.do(&tree.Txn{Op: tree.OpMembers, Members: "server.1=a:1:1:participant", Seen: at}); r.Err != wire.OK {
		t.Errorf("the next list: %+v", r)
	}
	var image bytes.Buffer
	if _, err := w.Snapshot().WriteTo(&image); err != nil {
		t.Fatal(err)
	}
	again, err := tree.Restore(&image)
	if err != nil {
		t.Fatal(err)
	}
	if s, want := again.Node(tree.ConfigPath).Stat(), w.Node(tree.ConfigPath).Stat(); s != want {
		t.Errorf("out of a snapshot %+v, was %+v", s, want)
	}
}
