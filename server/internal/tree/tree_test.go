package tree_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

// world is a tree with a clock and one open session.
type world struct {
	*tree.Tree
	t       testing.TB
	now     int64
	session int64
	epoch   int32
	ids     []wire.ID
	feature tree.Features
	events  []tree.Event // of the last transaction
}

func newWorld(t testing.TB) *world {
	w := &world{Tree: tree.New(), t: t, now: 1000, ids: []wire.ID{{Scheme: "ip", ID: "127.0.0.1"}}}
	w.open(1)
	return w
}

// open creates a session and goes on with it.
func (w *world) open(id int64) {
	w.t.Helper()
	r := w.do(&tree.Txn{Session: id, Op: wire.OpCreateSession, Timeout: 30000, Password: []byte("0123456789abcdef")})
	if r.Err != wire.OK {
		w.t.Fatalf("createSession(%d) = %v", id, r.Err)
	}
	w.session, w.epoch = id, r.Epoch
}

// do applies x as it comes out of the log.
func (w *world) do(x *tree.Txn) tree.Result {
	w.t.Helper()
	var decoded tree.Txn
	if err := decoded.Decode(x.Append(nil)); err != nil {
		w.t.Fatal(err)
	}
	var r tree.Result
	r, w.events = w.Apply(w.now, &decoded, nil)
	if _, measured := w.t.(*testing.B); !measured && (w.Counts().Nodes < 200 || r.Zxid%32 == 0) {
		w.checkDigest()
	}
	return r
}

// checkDigest compares the digest kept up with one made anew.
func (w *world) checkDigest() {
	w.t.Helper()
	if kept, anew := w.Digest(), tree.Recompute(w.Tree); kept != anew {
		w.t.Fatalf("digest %016x at zxid %d, but the records make %016x", kept, w.Zxid(), anew)
	}
}

func (w *world) one(m wire.MultiOp) tree.Result {
	w.t.Helper()
	return w.do(&tree.Txn{Session: w.session, Epoch: w.epoch, IDs: w.ids, Features: w.feature, Op: m.Op, One: m})
}

func (w *world) multi(ops ...wire.MultiOp) tree.Result {
	w.t.Helper()
	return w.do(&tree.Txn{Session: w.session, Epoch: w.epoch, IDs: w.ids, Features: w.feature, Op: wire.OpMulti, Multi: ops})
}

func (w *world) setACL(path string, version int32, acl ...wire.ACL) tree.Result {
	w.t.Helper()
	m := wire.SetACLRequest{Path: path, ACL: acl, Version: version}
	return w.do(&tree.Txn{Session: w.session, Epoch: w.epoch, IDs: w.ids, Features: w.feature, Op: wire.OpSetACL, ACL: m})
}

func (w *world) close(id int64) tree.Result {
	w.t.Helper()
	s, _ := w.Session(id)
	return w.do(&tree.Txn{Session: id, Epoch: s.Epoch, Op: wire.OpCloseSession})
}

func (w *world) reap(path string, neverUsed time.Duration) tree.Result {
	w.t.Helper()
	m := wire.MultiOp{Check: wire.PathVersionRequest{Path: path}}
	return w.do(&tree.Txn{Op: wire.OpDeleteContainer, One: m, Timeout: int32(neverUsed.Milliseconds())})
}

// must fails the test unless the operation succeeds.
func (w *world) must(m wire.MultiOp) tree.Result {
	w.t.Helper()
	r := w.one(m)
	if r.Err != wire.OK {
		w.t.Fatalf("%v = %v", m, r.Err)
	}
	return r
}

func (w *world) children(path string) []string {
	w.t.Helper()
	n := w.Node(path)
	if n == nil {
		w.t.Fatalf("no node %s", path)
	}
	names := w.AppendChildren(nil, n)
	slices.Sort(names)
	return names
}

func create(path string, flags int32) wire.MultiOp {
	return wire.MultiOp{Op: wire.OpCreate, Create: wire.CreateRequest{Path: path, Data: []byte("x"), ACL: tree.OpenACL(), Flags: flags}}
}

func createWith(op wire.Op, path string, flags int32, ttl int64, acl ...wire.ACL) wire.MultiOp {
	return wire.MultiOp{Op: op, Create: wire.CreateRequest{Path: path, ACL: acl, Flags: flags, TTL: ttl}}
}

func container(path string) wire.MultiOp {
	return createWith(wire.OpCreateContainer, path, wire.FlagContainer, 0, tree.OpenACL()...)
}

func ttl(path string, ms int64) wire.MultiOp {
	return createWith(wire.OpCreateTTL, path, wire.FlagTTL, ms, tree.OpenACL()...)
}

func del(path string, version int32) wire.MultiOp {
	return wire.MultiOp{Op: wire.OpDelete, Check: wire.PathVersionRequest{Path: path, Version: version}}
}

func check(path string, version int32) wire.MultiOp {
	return wire.MultiOp{Op: wire.OpCheck, Check: wire.PathVersionRequest{Path: path, Version: version}}
}

func set(path, data string, version int32) wire.MultiOp {
	return wire.MultiOp{Op: wire.OpSetData, Set: wire.SetDataRequest{Path: path, Data: []byte(data), Version: version}}
}

// Trap 39: /zookeeper exists, is listed and counts; /zookeeper/config can be read.
func TestNew_Trap39_BuiltInNodes(t *testing.T) {
	w := tree.New()
	for path, want := range map[string]wire.Stat{
		"/":                 {Cversion: -1, NumChildren: 1},
		"/zookeeper":        {Cversion: -2, NumChildren: 2},
		"/zookeeper/quota":  {},
		"/zookeeper/config": {Aversion: -1},
	} {
		if got := w.Node(path).Stat(); got != want {
			t.Errorf("Stat of %s = %+v, want %+v", path, got, want)
		}
		if data := w.Node(path).Data(); data == nil || len(data) > 0 {
			t.Errorf("data of %s = %v, want empty", path, data)
		}
	}
	if got := w.AppendChildren(nil, w.Node("")); !slices.Equal(got, []string{"zookeeper"}) {
		t.Errorf("children of / = %v", got)
	}
	config := w.Node("/zookeeper/config").ACL()
	if !tree.Allowed(config, wire.PermRead, nil) || tree.Allowed(config, wire.PermWrite, nil) {
		t.Errorf("ACL of /zookeeper/config = %v", config)
	}
	if c := w.Counts(); c.Nodes != 4 || c.DataSize != int64(len("//zookeeper/zookeeper/quota/zookeeper/config")) {
		t.Errorf("Counts = %+v", c)
	}
}

// Trap 49: times are those that came with the transaction.
func TestStat_Trap28to30_Trap49_Arithmetic(t *testing.T) {
	w := newWorld(t) // zxid 1
	w.now = 2000
	r := w.must(create("/a", 0))
	if want := (wire.Stat{Czxid: 2, Mzxid: 2, Pzxid: 2, Ctime: 2000, Mtime: 2000, DataLength: 1}); r.Stat != want || r.Zxid != 2 {
		t.Errorf("created: zxid %d, %+v, want %+v", r.Zxid, r.Stat, want)
	}
	w.now = 3000
	r = w.must(set("/a", "hello", 0))
	if want := (wire.Stat{Czxid: 2, Mzxid: 3, Pzxid: 2, Ctime: 2000, Mtime: 3000, Version: 1, DataLength: 5}); r.Stat != want {
		t.Errorf("set: %+v, want %+v", r.Stat, want)
	}
	w.now = 4000
	w.must(create("/a/b", 0))
	w.must(create("/a/c", 0))
	w.must(del("/a/b", -1))
	// Trap 29: pzxid changes with children coming and going, mzxid of the parent does not.
	// Trap 28: the version of the children list is 2*creates - children.
	want := wire.Stat{
		Czxid: 2, Mzxid: 3, Pzxid: 6, Ctime: 2000, Mtime: 3000, Version: 1, Cversion: 3, NumChildren: 1, DataLength: 5,
	}
	if got := w.Node("/a").Stat(); got != want {
		t.Errorf("after two creates and a delete: %+v, want %+v", got, want)
	}
	// Trap 30: setACL leaves mzxid alone.
	w.now = 5000
	r = w.setACL("/a", 0, wire.ACL{Perms: wire.PermAll, Scheme: "world", ID: "anyone"})
	if want.Aversion = 1; r.Stat != want || r.Err != wire.OK {
		t.Errorf("setACL: %v, %+v, want %+v", r.Err, r.Stat, want)
	}
	if len(w.events) != 0 {
		t.Errorf("setACL fired %v", w.events)
	}
	if got := w.Node("/").Stat(); got.Cversion != 0 || got.NumChildren != 2 || got.Pzxid != 2 {
		t.Errorf("root after one create: %+v", got) // trap 28: it started at -1
	}
}

// Trap 5: null and empty are not the same.
func TestData_Trap05_NullIsNotEmpty(t *testing.T) {
	w := newWorld(t)
	m := create("/n", 0)
	m.Create.Data = nil
	w.must(m)
	m = create("/e", 0)
	m.Create.Data = []byte{}
	w.must(m)
	if got := w.Node("/n").Data(); got != nil {
		t.Errorf("null reads back as %v", got)
	}
	if got := w.Node("/e").Data(); got == nil || len(got) != 0 {
		t.Errorf("empty reads back as %v", got)
	}
	copied := restored(t, w.Tree)
	if copied.Node("/n").Data() != nil || copied.Node("/e").Data() == nil {
		t.Error("a snapshot mixes them up")
	}
}

func TestApply_CopiesData(t *testing.T) {
	w := newWorld(t)
	m := create("/a", 0)
	m.Create.Data = []byte("before")
	raw := (&tree.Txn{Session: 1, Epoch: 1, Op: wire.OpCreate, One: m}).Append(nil)
	var x tree.Txn
	if err := x.Decode(raw); err != nil {
		t.Fatal(err)
	}
	w.Apply(1, &x, nil)
	clear(raw)
	if got := w.Node("/a"); string(got.Data()) != "before" || got.Path() != "/a" {
		t.Errorf("the node points into the log entry: %q %q", got.Path(), got.Data())
	}
}

// Trap 27: the number comes from the parent's counter of creates.
func TestSequence_Trap27(t *testing.T) {
	w := newWorld(t)
	w.must(create("/s", 0))
	for i, step := range []struct {
		op   wire.MultiOp
		want string
	}{
		{create("/s/n-", wire.FlagSequential), "/s/n-0000000000"},
		{create("/s/plain", 0), "/s/plain"}, // counts too
		{create("/s/", wire.FlagEphemeralSequential), "/s/0000000002"},
		{del("/s/n-0000000000", -1), ""}, // does not
		{create("/s/x", wire.FlagSequential), "/s/x0000000003"},
	} {
		if got := w.must(step.op).Path; got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
	if r := w.multi(create("/s/m", wire.FlagSequential), check("/none", -1)); r.Multi[1].Err != wire.ErrNoNode {
		t.Fatalf("multi = %v", r)
	}
	w.Tree = restored(t, w.Tree)
	if got := w.must(create("/s/y", wire.FlagSequential)).Path; got != "/s/y0000000004" {
		t.Errorf("after a failed multi and a restore: %q", got)
	}
	if got := w.must(create("/", wire.FlagSequential)).Path; got != "/0000000001" {
		t.Errorf("below the root: %q", got)
	}
}

func TestSequence_Exhausted(t *testing.T) {
	w := newWorld(t)
	w.must(create("/s", 0))
	tree.SetCreates(w.Tree, "/s", 1<<31-3)
	for _, want := range []string{"/s/a2147483645", "/s/b2147483646", "/s/c2147483647"} {
		if got := w.must(create(want[:4], wire.FlagSequential)).Path; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for range 2 {
		if r := w.one(create("/s/d", wire.FlagSequential)); r.Err != wire.ErrNodeExists {
			t.Errorf("the counter is exhausted: %v, want -110", r.Err)
		}
		w.must(del(w.must(create("/s/plain", 0)).Path, -1)) // those go on
		w.Tree = restored(t, w.Tree)
	}
}

func TestContainerAndTTL_Reaping(t *testing.T) {
	w := newWorld(t)
	w.feature = tree.FeatureTTL
	w.must(container("/c"))
	w.must(container("/never"))
	w.must(ttl("/t", 500))
	// Trap 31: no owner on the wire.
	for _, path := range []string{"/c", "/t"} {
		if owner := w.Node(path).Stat().EphemeralOwner; owner != 0 {
			t.Errorf("ephemeralOwner of %s = %#x", path, owner)
		}
	}
	if c := w.Counts(); c.Containers != 2 || c.TTLs != 1 || c.Ephemerals != 0 {
		t.Errorf("Counts = %+v", c)
	}
	reapable := func(neverUsed time.Duration, want ...string) {
		t.Helper()
		if got := w.Reapable(w.now, neverUsed, 10); !slices.Equal(got, want) {
			t.Errorf("at %d Reapable = %v, want %v", w.now, got, want)
		}
	}
	reapable(0)
	w.must(create("/c/x", 0))
	w.now += 500
	reapable(0) // the TTL is not over yet: exactly is not more
	w.now++
	reapable(0, "/t")
	w.must(set("/t", "again", -1))
	if r := w.reap("/t", 0); r.Err != wire.ErrBadVersion { // trap 47: checked again at apply
		t.Errorf("reap of a touched TTL node = %v", r.Err)
	}
	if r := w.reap("/c", 0); r.Err != wire.ErrNotEmpty {
		t.Errorf("reap of a container in use = %v", r.Err)
	}
	w.must(del("/c/x", -1))
	reapable(0, "/c")
	reapable(400*time.Millisecond, "/c", "/never")
	if got := w.Reapable(w.now, time.Second, 1); !slices.Equal(got, []string{"/c"}) {
		t.Errorf("at most one: %v", got)
	}
	if r := w.reap("/c", 0); r.Err != wire.OK || len(w.events) != 2 || w.events[0].Type != wire.EventDeleted {
		t.Errorf("reap = %v, events %v", r.Err, w.events)
	}
	w.must(container("/c"))
	if r := w.reap("/c", 0); r.Err != wire.ErrBadVersion { // proposed for the one before
		t.Errorf("reap of a new container = %v", r.Err)
	}
	if r := w.reap("/never", 400*time.Millisecond); r.Err != wire.OK {
		t.Errorf("reap of a never used one = %v", r.Err)
	}
	for path, want := range map[string]wire.Code{"/gone": wire.ErrNoNode, "/zookeeper/quota": wire.ErrBadVersion, "/": wire.ErrNotEmpty} {
		if r := w.reap(path, time.Hour); r.Err != want {
			t.Errorf("reap of %s = %v, want %v", path, r.Err, want)
		}
	}
	if c := w.Counts(); c.Containers != 1 || c.TTLs != 1 {
		t.Errorf("Counts = %+v", c)
	}
}

// Trap 37: reads take any path; "" is the root, and what is odd is just not there.
func TestNode_Trap37_OddPaths(t *testing.T) {
	w := newWorld(t)
	w.must(create("/a", 0))
	if w.Node("") != w.Node("/") || w.Node("/").Path() != "/" {
		t.Error(`"" is not the root`)
	}
	for _, path := range []string{"a", "/a/", "//a", "/a//b", "/a/.", "//", " "} {
		if w.Node(path) != nil {
			t.Errorf("there is a node at %q", path)
		}
	}
}

func TestDescendants(t *testing.T) {
	w := newWorld(t)
	for _, p := range []string{"/a", "/a/b", "/a/c", "/a/c/d", "/a/c/e", "/aa"} {
		w.must(create(p, 0))
	}
	for path, want := range map[string]int{"/": 9, "/a": 4, "/a/c": 2, "/aa": 0} { // 9: with the three below /zookeeper
		if got := w.Descendants(w.Node(path)); got != want {
			t.Errorf("Descendants(%s) = %d, want %d", path, got, want)
		}
	}
}

// restored returns the tree after a round trip through a snapshot.
func restored(t testing.TB, from *tree.Tree) *tree.Tree {
	t.Helper()
	var b bytes.Buffer
	if _, err := from.Snapshot().WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	to, err := tree.Restore(&b)
	if err != nil {
		t.Fatal(err)
	}
	if b.Len() > 0 {
		t.Errorf("%d bytes of the snapshot were not read", b.Len())
	}
	return to
}
