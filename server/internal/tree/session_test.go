package tree_test

import (
	"math"
	"slices"
	"testing"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

var password = []byte("0123456789abcdef")

func TestSession_Create(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		id      int64
		timeout int32
		want    wire.Code
	}{
		{1, 5, wire.ErrNodeExists}, // in use
		{0, 5, wire.ErrBadArguments}, {2, 0, wire.ErrBadArguments}, {2, -1, wire.ErrBadArguments},
		{math.MinInt64, 5, wire.ErrBadArguments},                           // would read as a container's owner
		{-1 << 56, 5, wire.ErrBadArguments}, {-1, 5, wire.ErrBadArguments}, // a TTL node's
		{-2 << 56, 5, wire.OK}, {2, 5, wire.OK},
	} {
		r := w.do(&tree.Txn{Session: c.id, Op: wire.OpCreateSession, Timeout: c.timeout, Password: password})
		if r.Err != c.want {
			t.Errorf("createSession(%#x, %d ms) = %v, want %v", c.id, c.timeout, r.Err, c.want)
		}
	}
	s, ok := w.Session(2)
	if !ok || s.ID != 2 || s.Timeout != 5 || s.Epoch != 1 || string(s.Password) != string(password) {
		t.Errorf("session 2 = %+v, %v", s, ok)
	}
	var ids []int64
	for s := range w.Sessions() {
		ids = append(ids, s.ID)
	}
	slices.Sort(ids)
	if !slices.Equal(ids, []int64{-2 << 56, 1, 2}) || w.Counts().Sessions != 3 {
		t.Errorf("sessions %v, counted %d", ids, w.Counts().Sessions)
	}
}

// Trap 24: a re-attached session's old connection cannot write any more. Trap 26: the timeout is the new one.
func TestSession_Trap24_AttachFencesTheOldConnection(t *testing.T) {
	w := newWorld(t)
	w.must(create("/mine", wire.FlagEphemeral))
	attach := func(id int64, password string, timeout int32) tree.Result {
		return w.do(&tree.Txn{Session: id, Op: tree.OpAttach, Password: []byte(password), Timeout: timeout})
	}
	for _, r := range []tree.Result{attach(1, "wrong", 5), attach(1, "", 5), attach(9, string(password), 5)} {
		if r.Err != wire.ErrSessionExpired {
			t.Errorf("attach = %v, want -112", r.Err)
		}
	}
	w.must(set("/mine", "still", -1)) // trap 25: who does not know the password disturbs nobody
	r := attach(1, string(password), 777)
	if r.Err != wire.OK || r.Epoch != 2 || r.Timeout != 777 || string(r.Password) != string(password) {
		t.Fatalf("attach = %+v", r)
	}
	before := w.Digest()
	for _, m := range []wire.MultiOp{set("/mine", "late", -1), create("/late", 0), del("/mine", -1)} {
		if r := w.one(m); r.Err != wire.ErrSessionMoved {
			t.Errorf("%v by the old connection = %v", m.Op, r.Err)
		}
	}
	for _, x := range []tree.Txn{
		{Session: 1, Epoch: 1, Op: wire.OpMulti}, {Session: 1, Epoch: 1, Op: wire.OpSync}, {Session: 1, Epoch: 1, Op: wire.OpCloseSession},
	} {
		if r := w.do(&x); r.Err != wire.ErrSessionMoved { // a stale expiry, too
			t.Errorf("%v with the old epoch = %v", x.Op, r.Err)
		}
	}
	if w.Digest() != before {
		t.Error("the old connection changed something")
	}
	w.epoch = r.Epoch
	if w.must(set("/mine", "new", -1)).Stat.EphemeralOwner != 1 {
		t.Error("the ephemeral is not the session's any more")
	}
}

// Trap 21: the end of a session deletes all its ephemerals under one zxid.
func TestSession_Trap21_CloseDeletesEphemerals(t *testing.T) {
	w := newWorld(t)
	w.must(create("/d", 0))
	for _, path := range []string{"/b", "/d/a", "/c"} {
		w.must(create(path, wire.FlagEphemeral))
	}
	w.open(2)
	if r := w.one(create("/b", wire.FlagEphemeral)); r.Err != wire.ErrNodeExists { // bound to the session, not free yet
		t.Errorf("create of the other's node = %v", r.Err)
	}
	w.must(create("/other", wire.FlagEphemeral))
	if got := w.Ephemerals(1); !slices.Equal(got, []string{"/b", "/c", "/d/a"}) {
		t.Errorf("Ephemerals(1) = %v", got)
	}
	r := w.close(1)
	if r.Err != wire.OK || len(w.events) != 6 {
		t.Errorf("close = %v, events %v", r.Err, w.events)
	}
	for _, path := range []string{"/", "/d"} {
		if got := w.Node(path).Stat().Pzxid; got != r.Zxid {
			t.Errorf("pzxid of %s = %d, want that of the close, %d", path, got, r.Zxid)
		}
	}
	if _, ok := w.Session(1); ok || w.Ephemerals(1) != nil || w.Node("/d/a") != nil || w.Node("/other") == nil {
		t.Error("the session is not gone, or too much is")
	}
	if c := w.Counts(); c.Ephemerals != 1 || c.Sessions != 1 {
		t.Errorf("Counts = %+v", c)
	}
	w.session, w.epoch = 1, 1
	if r := w.one(create("/late", wire.FlagEphemeral)); r.Err != wire.ErrSessionExpired {
		t.Errorf("create on the closed session = %v", r.Err)
	}
	if r := w.close(1); r.Err != wire.ErrSessionExpired {
		t.Errorf("second close = %v", r.Err)
	}
}

// The leader proposes the end of a session that it has not heard; what the session wrote meanwhile saves it.
func TestSession_WriteSavesFromExpiry(t *testing.T) {
	w := newWorld(t)
	seen := w.Zxid()
	expire := tree.Txn{Session: 1, Epoch: 1, Op: wire.OpCloseSession, Seen: seen}
	w.one(del("/none", -1)) // a failed write says as much
	if r := w.do(&expire); r.Err != wire.ErrBadVersion {
		t.Errorf("expiry of a session that has written since = %v", r.Err)
	}
	w.Tree = restored(t, w.Tree)
	if r := w.do(&expire); r.Err != wire.ErrBadVersion {
		t.Errorf("the same after a restore = %v", r.Err)
	}
	expire.Seen = w.Zxid()
	if r := w.do(&expire); r.Err != wire.OK {
		t.Errorf("expiry of a silent session = %v", r.Err)
	}
}
