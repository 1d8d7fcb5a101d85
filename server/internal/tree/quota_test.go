package tree_test

import (
	"bytes"
	"testing"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

// quota puts a quota on path, and returns what its totals are as of when it is asked.
func (w *world) quota(path, limits string) func() string {
	w.t.Helper()
	for _, p := range []string{"/zookeeper/quota" + path, "/zookeeper/quota" + path + "/zookeeper_limits"} {
		w.must(createData(p, limits))
	}
	stats := "/zookeeper/quota" + path + "/zookeeper_stats"
	w.must(createData(stats, "whatever"))
	return func() string {
		w.t.Helper()
		n := w.Node(stats)
		if s := n.Stat(); s.Version != 0 || int(s.DataLength) != len(n.Data()) {
			w.t.Errorf("Stat of the totals: %+v", s)
		}
		return string(n.Data())
	}
}

func createData(path, data string) wire.MultiOp {
	return wire.MultiOp{Op: wire.OpCreate, Create: wire.CreateRequest{Path: path, Data: []byte(data), ACL: tree.OpenACL()}}
}

func TestQuota_Totals(t *testing.T) {
	w := newWorld(t)
	w.must(createData("/a", "12345"))
	w.must(createData("/a/b", "123"))
	totals := w.quota("/a", "count=-1,bytes=-1")
	expect := func(want string) {
		t.Helper()
		if got := totals(); got != want {
			t.Errorf("totals %q, want %q", got, want)
		}
	}
	expect("count=2,bytes=8")
	w.must(createData("/a/b/c", "1"))
	expect("count=3,bytes=9")
	if len(w.events) != 2 {
		t.Errorf("events %v: totals are none", w.events)
	}
	w.must(set("/a/b/c", "12", -1))
	expect("count=3,bytes=10")
	w.must(createData("/ab", "not below /a"))
	expect("count=3,bytes=10")
	if r := w.multi(createData("/a/x", "1"), set("/a", "", -1), del("/none", -1)); r.Multi[2].Err != wire.ErrNoNode {
		t.Fatalf("multi: %+v", r)
	}
	expect("count=3,bytes=10") // a failed multi changed nothing
	w.must(create("/a/e", wire.FlagEphemeral))
	expect("count=4,bytes=11")

	var snapshot bytes.Buffer
	if _, err := w.Snapshot().WriteTo(&snapshot); err != nil {
		t.Fatal(err)
	}
	if r := w.close(1); r.Err != wire.OK {
		t.Fatal(r.Err)
	}
	expect("count=3,bytes=10")

	restored, err := tree.Restore(&snapshot)
	if err != nil {
		t.Fatal(err)
	}
	w.Tree = restored
	w.must(del("/a/b/c", -1)) // its quota is known after a restore
	expect("count=3,bytes=9")
	w.must(del("/zookeeper/quota/a/zookeeper_limits", -1))
	w.must(del("/a/b", -1))
	expect("count=3,bytes=9") // without limits there is no quota
	checkCounts(t, w.Tree)
}

// checkCounts compares the counted size with that of all nodes.
func checkCounts(t *testing.T, tr *tree.Tree) {
	t.Helper()
	var size int64
	var walk func(path string)
	walk = func(path string) {
		n := tr.Node(path)
		size += int64(len(path) + len(n.Data()))
		for _, name := range tr.AppendChildren(nil, n) {
			if path == "/" {
				walk("/" + name)
			} else {
				walk(path + "/" + name)
			}
		}
	}
	walk("/")
	if got := tr.Counts().DataSize; got != size {
		t.Errorf("DataSize %d, want %d", got, size)
	}
}

func TestQuota_Limits(t *testing.T) {
	w := newWorld(t)
	w.must(createData("/a", ""))
	w.quota("/a", "count=2,bytes=-1=;byteHardLimit=12;countHardLimit=3")
	w.must(createData("/a/1", "1"))
	if r := w.must(createData("/a/2", "1")); r.OverQuota != "/a" {
		t.Errorf("soft limit passed, noted %q", r.OverQuota)
	}
	fail := func(want wire.Code, m wire.MultiOp) {
		t.Helper()
		if r := w.one(m); r.Err != want || r.OverQuota != "" {
			t.Errorf("%v: %v, noted %q; want %v", m.Op, r.Err, r.OverQuota, want)
		}
	}
	fail(wire.OK, createData("/a/3", "1")) // not enforced; noted before
	w.must(del("/a/3", -1))
	w.feature = tree.FeatureQuota
	fail(wire.ErrQuotaExceeded, createData("/a/3", "1"))
	fail(wire.ErrNodeExists, createData("/a/2", "1"))
	fail(wire.OK, set("/a/2", "12345678901", -1))
	fail(wire.ErrQuotaExceeded, set("/a/2", "123456789012", 7)) // before the version is looked at
	fail(wire.ErrBadVersion, set("/a/2", "12345678901", 7))
	fail(wire.OK, set("/a/2", "1", -1))
	r := w.multi(del("/a/1", -1), createData("/a/1", "1"), createData("/a/3", ""))
	if r.Multi[2].Err != wire.ErrQuotaExceeded {
		t.Errorf("multi: %+v", r.Multi)
	}
	w.must(createData("/b", ""))
	w.quota("/b", "no quota at all,count=x")
	fail(wire.OK, createData("/b/1", "1"))
}
