package wire_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/docent-io/docent/internal/wire"
)

var stat = wire.Stat{
	Czxid: 1, Mzxid: 2, Ctime: 3, Mtime: 4, Version: -5, Cversion: 6, Aversion: 7, EphemeralOwner: -8, DataLength: 9, NumChildren: 10, Pzxid: 11,
}

// messages returns one of each, with every field set.
func messages() []message {
	create := wire.CreateRequest{Path: "/a", Data: []byte("data"), ACL: []wire.ACL{{Perms: 1, Scheme: "ip", ID: "::1"}, open[0]}, Flags: 3}
	timed := create
	timed.TTL = wire.MaxTTL
	watches := wire.SetWatchesRequest{RelativeZxid: 1 << 40, Data: []string{"/a", "/b"}, Exist: []string{}, Child: []string{"/ü"}}
	watches2 := watches
	watches2.Persistent, watches2.Recursive = []string{"/p"}, []string{"/", "/r"}
	op := func(op wire.Op, m wire.MultiOp) wire.MultiOp {
		m.Op = op
		return m
	}
	version := wire.PathVersionRequest{Path: "/v", Version: -1}
	return []message{
		&wire.RequestHeader{Xid: -5, Op: wire.OpMulti}, &wire.ReplyHeader{Xid: 7, Zxid: -1, Err: wire.ErrNoAuth},
		&wire.ConnectRequest{ProtocolVersion: 1, LastZxidSeen: 2, Timeout: 3, SessionID: 4, Password: []byte("x"), ReadOnly: true, HasReadOnly: true},
		&wire.ConnectRequest{Timeout: -3, Password: nil}, // 44 bytes, as go-zookeeper sends, and pre-3.4 clients
		&wire.ConnectResponse{ProtocolVersion: 1, Timeout: 2, SessionID: 3, Password: []byte{}, ReadOnly: true, HasReadOnly: true},
		&wire.ConnectResponse{Timeout: 2, SessionID: 3, Password: make([]byte, 16)}, // trap 3: no byte if none was asked for
		&wire.AuthRequest{Type: 1, Scheme: "digest", Auth: []byte("u:p")}, &wire.AuthRequest{Scheme: "ip"},
		&createOf{wire.OpCreate, create}, &createOf{wire.OpCreate2, create}, &createOf{wire.OpCreateContainer, create}, &createOf{wire.OpCreateTTL, timed},
		&wire.Create2Response{Path: "/a", Stat: stat}, &wire.PathRecord{Path: "/a"}, &wire.PathWatchRequest{Path: "/a", Watch: true},
		&version, &wire.SetDataRequest{Path: "/a", Data: []byte{}, Version: 3}, &wire.SetDataRequest{Path: "/a", Version: 3},
		&wire.GetDataResponse{Data: []byte("x"), Stat: stat}, &wire.GetDataResponse{Stat: stat},
		&wire.ChildrenResponse{Names: []string{"a", "b"}, Stat: stat}, &wire.ChildrenResponse{Names: []string{}, Stat: stat}, &stat,
		&wire.GetACLResponse{ACL: open, Stat: stat}, &wire.SetACLRequest{Path: "/a", ACL: open, Version: 5}, &open[0],
		&wire.GetEphemeralsRequest{Prefix: "/a"}, &wire.ReconfigRequest{Joining: "a", Leaving: "b", NewMembers: "c", ConfigID: 4},
		&wire.WatcherEvent{Type: wire.EventDeleted, State: 3, Path: "/a"}, &wire.AddWatchRequest{Path: "/a", Mode: wire.WatchPersistentRecursive},
		&wire.RemoveWatchesRequest{Path: "/a", Type: wire.WatcherAny}, &watchesOf{wire.OpSetWatches, watches}, &watchesOf{wire.OpSetWatches2, watches2},
		&identities{{Scheme: "ip", ID: "::1"}, {Scheme: "digest", ID: "u"}}, &wire.MultiHeader{Op: wire.OpCheck, Done: true, Err: 4},
		&multiOf{op: wire.OpMulti}, &multiOf{op: wire.OpMultiRead},
		&multiOf{wire.OpMulti, []wire.MultiOp{
			op(wire.OpCreate, wire.MultiOp{Create: create}), op(wire.OpCreate2, wire.MultiOp{Create: create}),
			op(wire.OpCreateContainer, wire.MultiOp{Create: create}), op(wire.OpCreateTTL, wire.MultiOp{Create: timed}),
			op(wire.OpDelete, wire.MultiOp{Check: version}), op(wire.OpCheck, wire.MultiOp{Check: version}),
			op(wire.OpSetData, wire.MultiOp{Set: wire.SetDataRequest{Path: "/s", Data: []byte{1}}}),
		}},
		&multiOf{wire.OpMultiRead, []wire.MultiOp{
			op(wire.OpGetData, wire.MultiOp{Read: wire.PathWatchRequest{Path: "/a", Watch: true}}),
			op(wire.OpGetChildren, wire.MultiOp{Read: wire.PathWatchRequest{Path: "/b"}}),
		}},
		&results{
			{Op: wire.OpCreate, Path: "/a"}, {Op: wire.OpCreate2, Path: "/b", Stat: stat}, {Op: wire.OpDelete}, {Op: wire.OpCheck},
			{Op: wire.OpSetData, Stat: stat}, {Op: wire.OpGetData, Data: []byte("x"), Stat: stat}, {Op: wire.OpGetData, Stat: stat},
			{Op: wire.OpGetChildren, Names: []string{"a"}}, {Op: wire.OpError, Err: wire.ErrNoNode},
		},
	}
}

// Every message comes back as it was, and every cut of it is an error, not a panic nor a wrong message.
func TestMessages_RoundTripAndCut(t *testing.T) {
	for _, m := range messages() {
		b := m.Append(nil)
		got := fresh(m)
		r := wire.NewReader(append(b[:len(b):len(b)], 0xee)) // trap 7: bytes behind are left alone
		if optional(m) {
			r = wire.NewReader(b)
		}
		got.Decode(r)
		if r.Err() != nil || !reflect.DeepEqual(got, m) || !optional(m) && r.Len() != 1 {
			t.Errorf("%T: %v, %d bytes left, got\n%+v, want\n%+v", m, r.Err(), r.Len(), got, m)
		}
		for i := range b {
			r := wire.NewReader(b[:i])
			fresh(m).Decode(r)
			if r.Err() == nil && !(optional(m) && i == len(b)-1) { // the last byte may be missing there
				t.Errorf("%T cut at %d of %d was decoded", m, i, len(b))
			}
		}
	}
}

// optional holds for messages whose last byte may be missing.
func optional(m message) bool {
	switch m.(type) {
	case *wire.ConnectRequest, *wire.ConnectResponse:
		return true
	}
	return false
}

// Trap 5 and 6: null is not empty, where it matters; a null text is an empty one, where clients send that.
func TestNull(t *testing.T) {
	null := []byte{0xff, 0xff, 0xff, 0xff}
	r := wire.NewReader(append(append([]byte{}, null...), 0, 0, 0, 0))
	if b := r.Buffer(); b != nil || r.Err() != nil {
		t.Errorf("null buffer: %v, %v", b, r.Err())
	}
	if b := r.Buffer(); b == nil || len(b) > 0 {
		t.Errorf("empty buffer: %v", b)
	}
	// kazoo's empty strings
	auth := append(append([]byte{0, 0, 0, 31, 0, 0, 0, 4}, "auth"...), null...)
	var acl wire.ACL
	r.Reset(auth)
	if acl.Decode(r); r.Err() != nil || acl != (wire.ACL{Perms: 31, Scheme: "auth"}) {
		t.Errorf("auth with null: %+v, %v", acl, r.Err())
	}
	world := append(append([]byte{0, 0, 0, 31, 0, 0, 0, 5}, "world"...), null...)
	r.Reset(world)
	if acl.Decode(r); !errors.Is(r.Err(), wire.ErrNull) {
		t.Errorf("world with null: %+v, %v", acl, r.Err())
	}
	var reconfig wire.ReconfigRequest
	r.Reset([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x07"))
	if reconfig.Decode(r); r.Err() != nil || reconfig != (wire.ReconfigRequest{ConfigID: 7}) {
		t.Errorf("reconfig with nulls: %+v, %v", reconfig, r.Err())
	}
	for _, m := range []message{
		&wire.PathRecord{}, &wire.PathWatchRequest{}, &wire.SetDataRequest{}, &wire.AddWatchRequest{}, &createOf{op: wire.OpCreate},
	} {
		r.Reset(append(append([]byte{}, null...), make([]byte, 50)...))
		if m.Decode(r); !errors.Is(r.Err(), wire.ErrNull) {
			t.Errorf("%T with a null path: %v", m, r.Err())
		}
	}
	r.Reset(append(make([]byte, 8), null...))
	if (&watchesOf{op: wire.OpSetWatches}).Decode(r); !errors.Is(r.Err(), wire.ErrNull) {
		t.Errorf("setWatches with a null list: %v", r.Err())
	}
}

func TestMulti_WhatDoesNotBelong(t *testing.T) {
	for _, c := range []struct{ in, op wire.Op }{
		{wire.OpMulti, wire.OpGetData}, {wire.OpMulti, wire.OpSetACL}, {wire.OpMulti, wire.OpMulti}, {wire.OpMulti, -1}, {wire.OpMulti, wire.OpSync},
		{wire.OpMultiRead, wire.OpCreate}, {wire.OpMultiRead, wire.OpExists}, {wire.OpMultiRead, wire.OpCheck},
	} {
		b := wire.MultiHeader{Op: c.op, Err: -1}.Append(nil)
		r := wire.NewReader(append(b, make([]byte, 100)...))
		var wrong *wire.MultiOpError
		if ops := r.MultiOps(c.in); ops != nil || !errors.As(r.Err(), &wrong) || wrong.Op != c.op {
			t.Errorf("%v in a %v: %v, %v", c.op, c.in, ops, r.Err())
		}
	}
	r := wire.NewReader(wire.MultiHeader{Op: wire.OpSetACL}.Append(nil))
	if got := r.MultiResults(); got != nil || r.Err() == nil {
		t.Errorf("result of a setACL: %v, %v", got, r.Err())
	}
}

// Text that is not UTF-8 is read as Java reads it; the path rules then refuse U+FFFD.
func TestString_NotUTF8(t *testing.T) {
	r := wire.NewReader(wire.AppendString(nil, "/a\xffb"))
	if got := r.String(); got != "/a\ufffdb" || r.Err() != nil {
		t.Errorf("%q, %v", got, r.Err())
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{wire.OpCreate2.String(), "create2"}, {wire.Op(77).String(), "op 77"}, {wire.ErrNoNode.Error(), "node does not exist"},
		{wire.Code(-999).Error(), "protocol error -999"}, {wire.EventDeleted.String(), "deleted"}, {wire.EventType(9).String(), "event 9"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
