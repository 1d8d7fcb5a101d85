package conformance

import (
	"fmt"

	"github.com/docent-io/docent/internal/wire"
)

func create(path string, n node) wire.MultiOp { return createBy(wire.OpCreate, path, n) }

func createBy(op wire.Op, path string, n node) wire.MultiOp {
	if n.acl == nil {
		n.acl = openACL
	}
	return wire.MultiOp{Op: op, Create: wire.CreateRequest{Path: path, Data: n.data, ACL: n.acl, Flags: n.flags, TTL: n.ttl}}
}

func del(path string, version int32) wire.MultiOp {
	return wire.MultiOp{Op: wire.OpDelete, Check: wire.PathVersionRequest{Path: path, Version: version}}
}

func set(path, data string, version int32) wire.MultiOp {
	return wire.MultiOp{Op: wire.OpSetData, Set: wire.SetDataRequest{Path: path, Data: []byte(data), Version: version}}
}

func check(path string, version int32) wire.MultiOp {
	return wire.MultiOp{Op: wire.OpCheck, Check: wire.PathVersionRequest{Path: path, Version: version}}
}

func read(op wire.Op, path string) wire.MultiOp {
	return wire.MultiOp{Op: op, Read: wire.PathWatchRequest{Path: path, Watch: true}}
}

var multis = []scene{
	{"multi that succeeds", func(s *stage) {
		r := s.connect()
		r.make(s.p("/a"))
		_, got := r.multi(wire.OpMulti)
		s.is("without operations", got, "")
		_, got = r.multi(wire.OpMulti, create(s.p("/b"), node{}), set(s.p("/a"), "x", 0), check(s.p("/a"), 1), del(s.p("/a"), 1))
		s.is("types and bodies of results", got, "1 /b, 5 v1, 13, 2")
		s.is("what was deleted is gone", r.has(s.p("/a")), wire.ErrNoNode)
		_, got = r.multi(wire.OpMulti, create(s.p("/c"), node{}), create(s.p("/c/d"), node{}), del(s.p("/c/d"), -1), del(s.p("/c"), -1))
		s.is("each sees what came before it", got, "1 /c, 1 /c/d, 2, 2")
		_, got = r.multi(wire.OpMulti, createBy(wire.OpCreateContainer, s.p("/box"), node{flags: 4}), createBy(wire.OpCreateTTL, s.p("/ttl"), node{flags: 5, ttl: 1 << 30}))
		s.is("createContainer and createTTL", got, "15 /box, 15 /ttl")
		_, got = r.multi(wire.OpMulti, createBy(wire.OpCreate2, s.p("/two"), node{}))
		s.is("create2", got, "15 /two")
		_, got = r.multi(wire.OpMulti, create(s.p("/e"), node{flags: 1}), create(s.p("/s"), node{flags: 3}))
		z := r.last.Zxid
		s.is("ephemerals and numbers", len(got), len("1 /e, 1 /s0000000000"))
		s.is("one zxid for all", fmt.Sprint(r.statOf(s.p("/e")).Czxid, r.statOf(s.root).Pzxid), fmt.Sprint(z, z))
		s.is("the owner", r.statOf(s.p("/e")).EphemeralOwner, r.session)
		_, got = r.multi(wire.OpMulti, set(s.p("/b"), "1", 0), set(s.p("/b"), "2", 1), set(s.p("/b"), "3", 2))
		s.is("versions go on inside", got, "5 v1, 5 v2, 5 v3")
	}},
	{"multi that fails", func(s *stage) {
		r := s.connect()
		r.make(s.p("/a"), s.p("/a/x"))
		for _, c := range []struct {
			name string
			ops  []wire.MultiOp
			want string
		}{
			{"the first", []wire.MultiOp{del(s.p("/none"), -1), create(s.p("/b"), node{}), set(s.p("/a"), "x", -1)}, "error -101, error -2, error -2"},
			{"one in the middle", []wire.MultiOp{create(s.p("/b"), node{}), check(s.p("/a"), 7), set(s.p("/a"), "x", -1)}, "error 0, error -103, error -2"},
			{"the last", []wire.MultiOp{create(s.p("/b"), node{}), set(s.p("/a"), "x", -1), del(s.p("/a"), -1)}, "error 0, error 0, error -111"},
			{"create of what is there", []wire.MultiOp{create(s.p("/a"), node{})}, "error -110"},
			{"create of what was made", []wire.MultiOp{create(s.p("/b"), node{}), create(s.p("/b"), node{})}, "error 0, error -110"},
			{"create without parent", []wire.MultiOp{create(s.p("/b/c"), node{})}, "error -101"},
			{"create with a bad ACL", []wire.MultiOp{create(s.p("/b"), node{acl: []wire.ACL{}})}, "error -114"},
			{"create with a bad path", []wire.MultiOp{create(s.p("/b//c"), node{})}, "error -101"},
			{"delete of the root", []wire.MultiOp{del("/", -1)}, "error -8"},
			{"check of no node", []wire.MultiOp{check(s.p("/none"), -1)}, "error -101"},
			{"check of a bad path", []wire.MultiOp{check("a", -1)}, "error -8"},
			{"set below an ephemeral's name", []wire.MultiOp{create(s.p("/b"), node{flags: 1}), create(s.p("/b/c"), node{})}, "error 0, error -108"},
		} {
			code, got := r.multi(wire.OpMulti, c.ops...)
			s.is(c.name, got, c.want)
			s.is(c.name+": the header", code, wire.OK)
		}
		s.is("nothing was made", r.has(s.p("/b")), wire.ErrNoNode)
		s.is("nothing was changed", brief(r.statOf(s.p("/a"))), "v0 c1 a0 n1 l0")
		s.is("no session owns anything", ephemerals(r, wire.AppendString(nil, "/")), "")
	}},
	{"multi that makes no sense", func(s *stage) {
		r := s.connect()
		for _, op := range []wire.Op{wire.OpGetData, wire.OpExists, wire.OpGetChildren, wire.OpSetACL, wire.OpSync, wire.OpMulti, 99} {
			b := wire.MultiHeader{Op: op, Err: -1}.Append(nil)
			b = append(b, watchBody("/", false)...)
			b = wire.MultiHeader{Op: -1, Done: true, Err: -1}.Append(b)
			s.is(fmt.Sprintf("with %v inside", op), r.code(wire.OpMulti, b), wire.ErrMarshalling)
		}
		code, got := r.multi(wire.OpMulti, create(s.p("/b"), node{flags: 9}))
		s.is("with unknown flags inside", words(int32(code), got), "-5 ")
		b := wire.MultiHeader{Op: wire.OpDelete, Err: 42}.Append(nil)
		b = append(b, (&wire.PathVersionRequest{Path: s.p("/none"), Version: -1}).Append(nil)...)
		b = wire.MultiHeader{Op: -1, Done: true, Err: -1}.Append(b)
		_, dec := r.do(wire.OpMulti, b)
		s.is("the error in a request's header is ignored", r.results(dec), "error -101")
		s.is("without an end", r.code(wire.OpMulti, wire.MultiHeader{Op: wire.OpDelete, Err: -1}.Append(nil)), wire.ErrMarshalling)
		s.is("the connection stays open", r.has("/"), wire.OK)
	}},
	{"multiRead", func(s *stage) {
		r, w := s.connect(), s.connect()
		r.make(s.p("/a"), s.p("/a/x"), s.p("/a/y"))
		r.setCode(s.p("/a"), "data", -1)
		r.create(s.p("/secret"), node{acl: []wire.ACL{{Perms: 2, Scheme: "world", ID: "anyone"}}})
		w.sync("/")
		_, got := w.multi(wire.OpMultiRead, read(wire.OpGetData, s.p("/a")), read(wire.OpGetChildren, s.p("/a")))
		s.is("data and children", got, `4 "data", 8 x+y`)
		code, got := w.multi(wire.OpMultiRead, read(wire.OpGetData, s.p("/none")), read(wire.OpGetData, s.p("/a")), read(wire.OpGetChildren, s.p("/secret")))
		s.is("a failure is its own only", got, `error -101, 4 "data", error -102`)
		s.is("the header of one with failures", code, wire.OK)
		_, got = w.multi(wire.OpMultiRead)
		s.is("without reads", got, "")
		code, _ = w.multi(wire.OpMultiRead, create(s.p("/b"), node{}))
		s.is("with a write inside", code, wire.ErrMarshalling)
		b := wire.MultiHeader{Op: wire.OpExists, Err: -1}.Append(nil)
		b = append(b, watchBody("/", false)...)
		b = wire.MultiHeader{Op: -1, Done: true, Err: -1}.Append(b)
		s.is("with exists inside", w.code(wire.OpMultiRead, b), wire.ErrMarshalling)
		r.setCode(s.p("/a"), "more", -1)
		r.make(s.p("/a/z"))
		s.is("sets no watches", w.now(), "")
	}},
}
