package tree_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

var (
	open     = wire.ACL{Perms: wire.PermAll, Scheme: "world", ID: "anyone"}
	readOnly = wire.ACL{Perms: wire.PermRead, Scheme: "world", ID: "anyone"}
	nonsense = wire.ACL{Perms: wire.PermAll, Scheme: "nonsense", ID: "x"}
)

// Trap 36: which error wins. Each case breaks the named rule and all the later ones that it can break with it.
func TestErrors_Trap36_Precedence(t *testing.T) {
	const ok, unimplemented, bad = wire.OK, wire.ErrUnimplemented, wire.ErrBadArguments
	gone, moved := wire.ErrSessionExpired, wire.ErrSessionMoved
	noNode, noAuth, exists := wire.ErrNoNode, wire.ErrNoAuth, wire.ErrNodeExists
	c := func(path string, flags int32, acl ...wire.ACL) wire.MultiOp {
		return createWith(wire.OpCreate, path, flags, 0, acl...)
	}
	for _, tc := range []struct {
		name    string
		session int64 // 1 is fine, 2 has moved, 3 does not exist
		op      wire.MultiOp
		want    wire.Code
	}{
		{"create: flags", 3, c("x", 7), bad},
		{"create: negative flags", 3, c("x", -1), bad},
		{"create: TTL disabled", 3, createWith(wire.OpCreateTTL, "x", wire.FlagTTL, -1), unimplemented},
		{"create: session gone", 3, c("x", 0), gone},
		{"create: session moved", 2, c("x", 0), moved},
		{"create: no slash", 1, c("x", 0), bad},
		{"create: NUL", 1, c("/none/\x00", 0), bad},
		{"create: no ACL", 1, c("/none/x", 0), wire.ErrInvalidACL},
		{"create: bad ACL", 1, c("/none/x", 0, open, nonsense), wire.ErrInvalidACL},
		{"create: no parent", 1, c("/none//", 0, open), noNode},
		{"create: empty name in the middle", 1, c("/a//b", 0, open), noNode},
		{"create: relative", 1, c("none/x", 0, open), noNode},
		{"create: no CREATE on the parent", 1, c("/readonly/.", 0, open), noAuth},
		{"create: path", 1, c("/a/..", 0, open), bad},
		{"create: path ends in /", 1, c("/a/", 0, open), bad},
		{"create: exists", 1, c("/eph", 0, open), exists},
		{"create: root", 1, c("/", 0, open), exists},
		{"create: parent ephemeral", 1, c("/eph/x", 0, open), wire.ErrNoChildrenEphemeral},
		{"create: empty path", 1, c("", 0, open), bad},

		{"delete: session", 3, del("/", 9), gone},
		{"delete: no slash", 1, del("x", 9), bad},
		{"delete: NUL", 1, del("/none/\x00", 9), bad},
		{"delete: root", 1, del("/", 9), bad},
		{"delete: /zookeeper", 1, del("/zookeeper", 9), bad},
		{"delete: /zookeeper/quota", 1, del("/zookeeper/quota", 9), bad},
		{"delete: /zookeeper/config", 1, del("/zookeeper/config", 9), bad},
		{"delete: no parent", 1, del("/none/x", 9), noNode},
		{"delete: no DELETE on the parent", 1, del("/readonly/x", 9), noAuth},
		{"delete: no node", 1, del("/a/none", 9), noNode},
		{"delete: odd path", 1, del("/a/", 9), noNode},
		{"delete: version", 1, del("/a", 9), wire.ErrBadVersion},
		{"delete: version -2", 1, del("/a/b", -2), wire.ErrBadVersion}, // trap 35
		{"delete: children", 1, del("/a", -1), wire.ErrNotEmpty},

		{"setData: session", 2, set("", "", 9), moved},
		{"setData: path", 1, set("", "", 9), bad},
		{"setData: path ends in /", 1, set("/a/", "", 9), bad},
		{"setData: no node", 1, set("/none", "", 9), noNode},
		{"setData: no WRITE", 1, set("/readonly", "", 9), noAuth},
		{"setData: version", 1, set("/a", "", 9), wire.ErrBadVersion},
		{"setData: version -2", 1, set("/a", "", -2), wire.ErrBadVersion},
		{"setData: config needs super", 1, set("/zookeeper/config", "", -1), noAuth},
		{"setData: root", 1, set("/", "", -1), ok},

		{"check alone", 1, check("/a", -1), unimplemented},
	} {
		w := errorsWorld(t)
		before := w.Digest()
		w.session = tc.session
		if tc.op.Op == wire.OpCheck { // never in a log: Decode refuses it
			r, _ := w.Apply(1, &tree.Txn{Session: 1, Epoch: 1, Op: wire.OpCheck, One: tc.op}, nil)
			if r.Err != tc.want {
				t.Errorf("%s: %v, want %v", tc.name, r.Err, tc.want)
			}
			continue
		}
		zxid := w.Zxid()
		r := w.one(tc.op)
		if r.Err != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, r.Err, tc.want)
		}
		if r.Zxid != zxid+1 || w.Zxid() != zxid+1 {
			t.Errorf("%s: zxid went from %d to %d", tc.name, zxid, r.Zxid)
		}
		if r.Err != wire.OK && (w.Digest() != before || len(w.events) > 0) {
			t.Errorf("%s: failed and changed something", tc.name)
		}
	}
}

// errorsWorld has /a/b, /readonly/x, /eph, and a session 2 that this connection has lost.
func errorsWorld(t *testing.T) *world {
	w := newWorld(t)
	w.open(2)
	w.do(&tree.Txn{Session: 2, Op: tree.OpAttach, Timeout: 1, Password: []byte("0123456789abcdef")})
	w.session, w.epoch = 1, 1
	w.must(create("/a", 0))
	w.must(create("/a/b", 0))
	w.must(create("/eph", wire.FlagEphemeral))
	w.must(create("/readonly", 0))
	w.must(create("/readonly/x", 0))
	if r := w.setACL("/readonly", -1, readOnly); r.Err != wire.OK {
		t.Fatal(r.Err)
	}
	return w
}

func TestSetACL_Precedence(t *testing.T) {
	for _, tc := range []struct {
		name, path string
		session    int64
		version    int32
		acl        []wire.ACL
		want       wire.Code
	}{
		{"session", "", 3, 9, nil, wire.ErrSessionExpired},
		{"path", "x", 1, 9, nil, wire.ErrBadArguments},
		{"ACL", "/none", 1, 9, nil, wire.ErrInvalidACL},
		{"node", "/none", 1, 9, []wire.ACL{open}, wire.ErrNoNode},
		{"ADMIN", "/readonly", 1, 9, []wire.ACL{open}, wire.ErrNoAuth},
		{"version", "/a", 1, 9, []wire.ACL{open}, wire.ErrBadVersion},
		{"the ACL's version counts", "/a", 1, 0, []wire.ACL{open}, wire.OK}, // trap 35: the data's is 1
	} {
		w := errorsWorld(t)
		w.must(set("/a", "", -1))
		w.session = tc.session
		if r := w.setACL(tc.path, tc.version, tc.acl...); r.Err != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, r.Err, tc.want)
		}
	}
}

func TestCheck_Precedence(t *testing.T) {
	w := errorsWorld(t)
	w.must(createWith(wire.OpCreate, "/secret", 0, 0, wire.ACL{Perms: wire.PermWrite, Scheme: "world", ID: "anyone"}))
	for _, tc := range []struct {
		path    string
		version int32
		want    wire.Code
	}{
		{"a", 9, wire.ErrBadArguments}, {"/none", 9, wire.ErrNoNode}, {"/secret", 9, wire.ErrNoAuth},
		{"/a", 9, wire.ErrBadVersion}, {"/a", -2, wire.ErrBadVersion}, {"/a", 0, wire.OK}, {"/a", -1, wire.OK},
	} {
		r := w.multi(check(tc.path, tc.version))
		if len(r.Multi) != 1 || r.Multi[0].Err != tc.want {
			t.Errorf("check(%q, %d) = %v, want %v", tc.path, tc.version, r.Multi, tc.want)
		}
	}
}

// Trap 48: flags that do not belong to the operation never hurt. Trap 47: TTL disabled is -6.
func TestCreate_Trap48_FlagsAndOperations(t *testing.T) {
	for _, tc := range []struct {
		op      wire.Op
		flags   int32
		ttl     int64
		enabled bool
		want    wire.Code
		kind    string
	}{
		{wire.OpCreate, wire.FlagContainer, 0, false, wire.OK, "persistent"},
		{wire.OpCreate2, wire.FlagContainer, 0, false, wire.OK, "persistent"},
		{wire.OpCreateContainer, wire.FlagPersistent, 0, false, wire.OK, "container"},
		{wire.OpCreateContainer, wire.FlagEphemeral, 0, false, wire.OK, "container"},
		{wire.OpCreateContainer, wire.FlagContainer, 0, false, wire.OK, "container"},
		{wire.OpCreateContainer, wire.FlagTTL, 0, true, wire.ErrBadArguments, ""},
		{wire.OpCreate, wire.FlagTTL, 0, true, wire.ErrBadArguments, ""},
		{wire.OpCreate2, wire.FlagPersistentSequentialTTL, 0, true, wire.ErrBadArguments, ""},
		{wire.OpCreate, wire.FlagTTL, 0, false, wire.ErrUnimplemented, ""},
		{wire.OpCreateTTL, wire.FlagTTL, 1, false, wire.ErrUnimplemented, ""},
		{wire.OpCreateTTL, wire.FlagTTL, 0, false, wire.ErrUnimplemented, ""},
		{wire.OpCreateTTL, wire.FlagTTL, 0, true, wire.ErrBadArguments, ""},
		{wire.OpCreateTTL, wire.FlagTTL, -1, true, wire.ErrBadArguments, ""},
		{wire.OpCreateTTL, wire.FlagTTL, wire.MaxTTL + 1, true, wire.ErrBadArguments, ""},
		{wire.OpCreateTTL, wire.FlagTTL, wire.MaxTTL, true, wire.OK, "ttl"},
		{wire.OpCreateTTL, wire.FlagPersistentSequentialTTL, 1, true, wire.OK, "ttl"},
		{wire.OpCreateTTL, wire.FlagPersistent, -1, true, wire.ErrBadArguments, ""},
		{wire.OpCreateTTL, wire.FlagPersistent, -1, false, wire.ErrBadArguments, ""},
		{wire.OpCreateTTL, wire.FlagEphemeral, 5, true, wire.ErrBadArguments, ""},
		{wire.OpCreate, 7, 0, false, wire.ErrBadArguments, ""},
	} {
		w := newWorld(t)
		if tc.enabled {
			w.feature = tree.FeatureTTL
		}
		r := w.one(createWith(tc.op, "/x", tc.flags, tc.ttl, open))
		if r.Err != tc.want {
			t.Errorf("%v with flags %d and TTL %d: %v, want %v", tc.op, tc.flags, tc.ttl, r.Err, tc.want)
			continue
		}
		kind := "persistent"
		switch c := w.Counts(); {
		case tc.want != wire.OK:
			kind = ""
		case c.Containers > 0:
			kind = "container"
		case c.TTLs > 0:
			kind = "ttl"
		case c.Ephemerals > 0:
			kind = "ephemeral"
		}
		if kind != tc.kind {
			t.Errorf("%v with flags %d made a %s node, want %s", tc.op, tc.flags, kind, tc.kind)
		}
	}
}

func TestVersion_Overflow(t *testing.T) {
	w := newWorld(t)
	w.must(create("/a", 0))
	for _, c := range []struct{ from, want int32 }{{math.MaxInt32, math.MinInt32}, {-2, 0}} {
		tree.SetVersion(w.Tree, "/a", c.from)
		if got := w.must(set("/a", "", c.from)).Stat.Version; got != c.want {
			t.Errorf("the version behind %d is %d, want %d", c.from, got, c.want)
		}
	}
}

// Trap 14: a deletion is an event of the node and one of its parent. Events come in the order of §6.2, with the ACL
// that a watcher must be able to read by.
func TestEvents_Order(t *testing.T) {
	w := newWorld(t)
	w.must(createWith(wire.OpCreate, "/p", 0, 0, open, readOnly))
	const cr, de, ch, kids = wire.EventCreated, wire.EventDeleted, wire.EventDataChanged, wire.EventChildrenChanged
	for _, step := range []struct {
		do   func() tree.Result
		want string
	}{
		{func() tree.Result { return w.must(createWith(wire.OpCreate, "/p/a", 0, 0, readOnly)) }, eventText(cr, "/p/a", 1, kids, "/p", 2)},
		{func() tree.Result { return w.must(create("/b", wire.FlagEphemeral)) }, eventText(cr, "/b", 1, kids, "/", 1)},
		{func() tree.Result { return w.must(set("/p", "", -1)) }, eventText(ch, "/p", 2)},
		{func() tree.Result { return w.must(del("/p/a", -1)) }, eventText(de, "/p/a", 1, kids, "/p", 2)},
		{func() tree.Result { return w.multi(create("/m", 0), set("/m", "", 0), del("/m", 1)) },
			eventText(cr, "/m", 1, kids, "/", 1, ch, "/m", 1, de, "/m", 1, kids, "/", 1)},
		{func() tree.Result { return w.multi(create("/m", 0), check("/m", 5)) }, ""},
		{func() tree.Result { return w.multi() }, ""},
		{func() tree.Result { return w.do(&tree.Txn{Session: 1, Epoch: 1, Op: wire.OpSync}) }, ""},
		{func() tree.Result { return w.must(create("/a", wire.FlagEphemeral)) }, eventText(cr, "/a", 1, kids, "/", 1)},
		{func() tree.Result { return w.close(1) }, eventText(de, "/a", 1, kids, "/", 1, de, "/b", 1, kids, "/", 1)},
	} {
		r := step.do()
		got := ""
		for _, e := range w.events {
			got += fmt.Sprintln(e.Type, e.Path, len(e.ACL))
			if e.Zxid != r.Zxid {
				t.Errorf("event %v has zxid %d, want %d", e, e.Zxid, r.Zxid)
			}
		}
		if got != step.want {
			t.Errorf("events:\n%swant:\n%s", got, step.want)
		}
	}
}

func eventText(args ...any) string {
	text := ""
	for e := range slices.Chunk(args, 3) {
		text += fmt.Sprintln(e...)
	}
	return text
}

func TestMulti_Results(t *testing.T) {
	w := newWorld(t)
	w.feature = tree.FeatureTTL
	w.now = 7
	r := w.multi(
		create("/m", 0),
		createWith(wire.OpCreate2, "/m/s-", wire.FlagSequential, 0, open),
		createWith(wire.OpCreateContainer, "/m/c", wire.FlagContainer, 0, open),
		createWith(wire.OpCreateTTL, "/m/t", wire.FlagTTL, 5, open),
		set("/m", "hello", 0),
		check("/m", 1),
		del("/m/c", 0),
	)
	z := r.Zxid
	fresh := wire.Stat{Czxid: z, Mzxid: z, Pzxid: z, Ctime: 7, Mtime: 7}
	parent := fresh
	parent.Version, parent.DataLength, parent.Cversion, parent.NumChildren = 1, 5, 3, 3
	want := []wire.MultiResult{
		{Op: wire.OpCreate, Path: "/m"}, {Op: wire.OpCreate2, Path: "/m/s-0000000000", Stat: fresh},
		{Op: wire.OpCreate2, Path: "/m/c", Stat: fresh}, {Op: wire.OpCreate2, Path: "/m/t", Stat: fresh},
		{Op: wire.OpSetData, Stat: parent}, {Op: wire.OpCheck}, {Op: wire.OpDelete},
	}
	if r.Err != wire.OK || len(r.Multi) != len(want) {
		t.Fatalf("%v", r)
	}
	for i, got := range r.Multi {
		if i == 0 {
			got.Stat = wire.Stat{} // not on the wire
		}
		if fmt.Sprint(got) != fmt.Sprint(want[i]) {
			t.Errorf("result %d:\n%+v, want\n%+v", i, got, want[i])
		}
	}
	if r := w.multi(); r.Err != wire.OK || r.Multi == nil || len(r.Multi) != 0 {
		t.Errorf("empty multi: %+v", r)
	}
}

// Trap 8: a failed multi answers without an error in the header, and tells what became of each operation.
func TestMulti_Trap08_Failure(t *testing.T) {
	w := newWorld(t)
	before := w.Digest()
	r := w.multi(create("/x", 0), check("/none", -1), create("/y", 0))
	codes := []wire.Code{wire.OK, wire.ErrNoNode, wire.ErrRuntimeInconsistency}
	if r.Err != wire.OK || len(r.Multi) != 3 {
		t.Fatalf("%+v", r)
	}
	for i, m := range r.Multi {
		if m.Op != wire.OpError || m.Err != codes[i] || m.Path != "" {
			t.Errorf("result %d: %+v, want %v", i, m, codes[i])
		}
	}
	if w.Digest() != before || w.Node("/x") != nil {
		t.Error("the failed multi left something behind")
	}
	if r := w.multi(create("/x", 0), create("/y", 9)); r.Err != wire.ErrMarshalling || r.Multi != nil {
		t.Errorf("unknown flags: %+v, want -5 for the whole", r)
	}
	if r := w.multi(ttl("/x", 5)); r.Multi[0].Err != wire.ErrUnimplemented {
		t.Errorf("TTL disabled: %+v", r)
	}
	w.epoch++
	if r := w.multi(create("/x", 0)); r.Err != wire.ErrSessionMoved || r.Multi != nil {
		t.Errorf("moved: %+v", r)
	}
}
