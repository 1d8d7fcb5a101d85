package tree_test

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

func txns() []tree.Txn {
	ids := []wire.ID{{Scheme: "ip", ID: "::1"}, {Scheme: "digest", ID: "u:h"}}
	acl := []wire.ACL{{Perms: 1, Scheme: "world", ID: "anyone"}, {Perms: 31, Scheme: "auth"}}
	head := tree.Txn{Session: -5, Epoch: 3, IDs: ids, Features: tree.FeatureTTL}
	of := func(op wire.Op, change func(*tree.Txn)) tree.Txn {
		x := head
		x.Op, x.One.Op = op, op
		change(&x)
		return x
	}
	one := func(m wire.MultiOp) tree.Txn { return of(m.Op, func(x *tree.Txn) { x.One = m }) }
	null := create("/null", 0)
	null.Create.Data = nil
	return []tree.Txn{
		one(create("/a", wire.FlagSequential)), one(null), one(createWith(wire.OpCreate2, "", 99, 0, acl...)),
		one(createWith(wire.OpCreate, "/x", 0, 0, []wire.ACL{}...)), one(container("/c")), one(ttl("/t", 1<<40)),
		one(del("/a", -2)), one(set("/a", "data", 7)),
		of(wire.OpMulti, func(x *tree.Txn) {
			x.One = wire.MultiOp{}
			x.Multi = []wire.MultiOp{create("/m", 0), ttl("/t", 5), del("/m", 1), set("/m", "", -1), check("/m", 0)}
		}),
		of(wire.OpMulti, func(x *tree.Txn) { x.One = wire.MultiOp{} }),
		of(wire.OpSetACL, func(x *tree.Txn) {
			x.One, x.ACL = wire.MultiOp{}, wire.SetACLRequest{Path: "/a", ACL: acl, Version: 4}
		}),
		of(wire.OpSync, func(x *tree.Txn) { x.One = wire.MultiOp{} }),
		of(wire.OpCloseSession, func(x *tree.Txn) { x.One, x.Seen = wire.MultiOp{}, 77 }),
		of(wire.OpCreateSession, func(x *tree.Txn) { x.One, x.Timeout, x.Password = wire.MultiOp{}, 9, password }),
		of(tree.OpAttach, func(x *tree.Txn) { x.One, x.Timeout = wire.MultiOp{}, 9 }),
		of(tree.OpRestore, func(x *tree.Txn) {
			x.One.Op = 0
			x.Part = tree.Part{ID: -3, Number: 2, Last: true, Force: true, Floor: 1 << 50, Data: []byte("data")}
		}),
		of(wire.OpDeleteContainer, func(x *tree.Txn) { x.One.Check.Path, x.Timeout = "/c", 60000 }),
	}
}

func TestTxn_RoundTrip(t *testing.T) {
	var used tree.Txn // again and again, as a server does
	for _, x := range txns() {
		b := x.Append(nil)
		var got tree.Txn
		for _, into := range []*tree.Txn{&got, &used} {
			if err := into.Decode(b); err != nil {
				t.Errorf("%v: %v", x.Op, err)
				continue
			}
			if again := into.Append(nil); !bytes.Equal(again, b) {
				t.Errorf("%v: encoded again:\n%x, was\n%x", x.Op, again, b)
			}
		}
		got.Multi = append([]wire.MultiOp(nil), got.Multi...) // nil and empty are the same here
		x.Multi = append([]wire.MultiOp(nil), x.Multi...)
		if !reflect.DeepEqual(got, x) {
			t.Errorf("%v: got\n%+v, want\n%+v", x.Op, got, x)
		}
		for i := range b {
			if err := got.Decode(b[:i]); err == nil {
				t.Errorf("%v cut at %d was decoded", x.Op, i)
			}
		}
		if err := got.Decode(append(b, 0)); err == nil {
			t.Errorf("%v with a byte behind it was decoded", x.Op)
		}
	}
}

func TestTxn_Refused(t *testing.T) {
	for name, x := range map[string]tree.Txn{
		"unknown op":                 {Op: 77},
		"check alone":                {Op: wire.OpCheck},
		"a read":                     {Op: wire.OpGetData},
		"a multi in a multi":         {Op: wire.OpMulti, Multi: []wire.MultiOp{{Op: wire.OpMulti}}},
		"setACL in a multi":          {Op: wire.OpMulti, Multi: []wire.MultiOp{{Op: wire.OpSetACL}}},
		"a session's end in a multi": {Op: wire.OpMulti, Multi: []wire.MultiOp{{Op: wire.OpCloseSession}}},
	} {
		var got tree.Txn
		if err := got.Decode(x.Append(nil)); err == nil {
			t.Errorf("%s was decoded", name)
		}
	}
	b := (&tree.Txn{Op: wire.OpSync}).Append(nil)
	b[0]++
	if err := new(tree.Txn).Decode(b); err == nil {
		t.Error("another version was decoded")
	}
}

// Decoding the transactions of one connection, one behind the other, allocates the path and little else.
func TestTxn_DecodeAllocates(t *testing.T) {
	m := create("/some/path", 0)
	x := tree.Txn{Session: 1, Epoch: 1, Op: wire.OpCreate, One: m, IDs: []wire.ID{{Scheme: "ip", ID: "127.0.0.1"}, {Scheme: "digest", ID: "u:h"}}}
	b := x.Append(nil)
	var got tree.Txn
	n := testing.AllocsPerRun(100, func() {
		if err := got.Decode(b); err != nil {
			t.Error(err)
		}
	})
	if n > 1 {
		t.Errorf("%v allocations, want the path's", n)
	}
}

// FuzzTxn decodes anything. What is accepted survives the round trip and can be applied, to the same effect everywhere.
func FuzzTxn(f *testing.F) {
	for _, x := range txns() {
		f.Add(x.Append(nil))
		x.Session, x.Epoch = 1, 1
		f.Add(x.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var x, y tree.Txn
		if x.Decode(b) != nil {
			return
		}
		if err := y.Decode(x.Append(nil)); err != nil {
			t.Fatalf("encoded again: %v", err)
		}
		v, w := newWorld(t), newWorld(t)
		before := v.Digest()
		r1, e1 := v.Apply(5, &x, nil)
		r2, e2 := w.Apply(5, &y, nil)
		if fmt.Sprint(r1, e1) != fmt.Sprint(r2, e2) || v.Digest() != w.Digest() {
			t.Errorf("%v is not applied alike: %v %v, %v %v", x.Op, r1, e1, r2, e2)
		}
		if r1.Err != wire.OK && v.Digest() != before {
			t.Errorf("%v failed and changed something", x.Op)
		}
		if restored(t, v.Tree).Digest() != v.Digest() {
			t.Error("the tree cannot be restored")
		}
	})
}
