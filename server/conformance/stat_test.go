package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

func join(list []string) string {
	slices.Sort(list)
	return strings.Join(list, " ")
}

var stats = []scene{
	{"trap 49, Stat of a new node", func(s *stage) {
		r := s.connect()
		_, _, st := r.createBy(wire.OpCreate2, s.p("/a"), node{data: []byte("12345")})
		z := r.last.Zxid
		s.is("czxid, mzxid, pzxid", fmt.Sprint(st.Czxid, st.Mzxid, st.Pzxid), fmt.Sprint(z, z, z))
		s.is("versions, children, length", brief(st), "v0 c0 a0 n0 l5")
		s.is("ctime is mtime", st.Ctime, st.Mtime)
		age := time.Since(time.UnixMilli(st.Ctime))
		s.is("ctime is about now, in milliseconds", age > -time.Minute && age < time.Minute, true)
		s.is("the reply's Stat is the node's", st, r.statOf(s.p("/a")))
		far := s.connectTo(s.other)
		far.sync("/")
		s.is("times are the same on another server", far.statOf(s.p("/a")), st)
	}},
	{"trap 28, cversion", func(s *stage) {
		r := s.connect()
		r.make(s.p("/p"))
		for i, c := range []struct {
			do   func() wire.Code
			want string
		}{
			{func() wire.Code { return r.create(s.p("/p/a"), node{}) }, "v0 c1 a0 n1 l0"},
			{func() wire.Code { return r.create(s.p("/p/b"), node{}) }, "v0 c2 a0 n2 l0"},
			{func() wire.Code { return r.delete(s.p("/p/a"), -1) }, "v0 c3 a0 n1 l0"},
			{func() wire.Code { return r.create(s.p("/p/a"), node{}) }, "v0 c4 a0 n2 l0"},
			{func() wire.Code { return r.create(s.p("/p/a"), node{}) }, "v0 c4 a0 n2 l0"}, // exists
			{func() wire.Code { return r.setCode(s.p("/p/a"), "x", -1) }, "v0 c4 a0 n2 l0"},
			{func() wire.Code { return r.create(s.p("/p/a/deep"), node{}) }, "v0 c4 a0 n2 l0"},
			{func() wire.Code { return r.setCode(s.p("/p"), "xyz", -1) }, "v1 c4 a0 n2 l3"},
			{func() wire.Code { c, _ := r.setACL(s.p("/p"), openACL, -1); return c }, "v1 c4 a1 n2 l3"},
			{func() wire.Code { return r.create(s.p("/p/s-"), node{flags: 2}) }, "v1 c5 a1 n3 l3"},
		} {
			c.do()
			s.is(fmt.Sprint("step ", i), brief(r.statOf(s.p("/p"))), c.want)
		}
	}},
	{"trap 29, zxids of parent and child", func(s *stage) {
		r := s.connect()
		r.make(s.p("/p"))
		p := r.statOf(s.p("/p"))
		r.make(s.p("/p/c"))
		made := r.last.Zxid
		q := r.statOf(s.p("/p"))
		s.is("create: pzxid of the parent", q.Pzxid, made)
		s.is("create: mzxid, mtime and czxid of the parent", fmt.Sprint(q.Mzxid, q.Mtime, q.Czxid), fmt.Sprint(p.Mzxid, p.Mtime, p.Czxid))
		_, c := r.set(s.p("/p/c"), "x", -1)
		s.is("setData: mzxid, czxid and pzxid", fmt.Sprint(c.Mzxid, c.Czxid, c.Pzxid), fmt.Sprint(r.last.Zxid, made, made))
		s.is("setData: the parent's Stat", r.statOf(s.p("/p")), q)
		r.make(s.p("/p/c/d"))
		s.is("a grandchild: the grandparent's Stat", r.statOf(s.p("/p")), q)
		r.delete(s.p("/p/c/d"), -1)
		r.delete(s.p("/p/c"), -1)
		gone := r.last.Zxid
		q = r.statOf(s.p("/p"))
		s.is("delete: pzxid of the parent", q.Pzxid, gone)
		s.is("delete: mzxid of the parent", q.Mzxid, p.Mzxid)
	}},
	{"trap 30, setACL", func(s *stage) {
		r := s.connect()
		r.make(s.p("/a"))
		was := r.statOf(s.p("/a"))
		code, st := r.setACL(s.p("/a"), []wire.ACL{{Perms: 1 | 16, Scheme: "world", ID: "anyone"}}, -1)
		s.is("code", code, wire.OK)
		want := was
		want.Aversion = 1
		s.is("only the ACL's version changes", st, want)
		_, acl, got := r.getACL(s.p("/a"))
		s.is("getACL", acl, "world:anyone:17")
		s.is("getACL returns the Stat", got, want)
	}},
	{"what leaves no trace", func(s *stage) {
		r := s.connect()
		r.make(s.p("/a"), s.p("/a/b"))
		was := r.statOf(s.p("/a"))
		r.setCode(s.p("/a"), "x", 5)
		r.delete(s.p("/a"), -1)
		r.create(s.p("/a/b"), node{})
		r.create(s.p("/a/x"), node{acl: []wire.ACL{}})
		r.sync(s.p("/a"))
		r.multi(wire.OpMulti, set(s.p("/a"), "x", -1), create(s.p("/a/b"), node{}))
		r.multi(wire.OpMulti, check(s.p("/a"), 0))
		s.is("failures, syncs and checks", r.statOf(s.p("/a")), was)
		r.setCode(s.p("/a"), "", -1)
		s.is("setting the same data counts", r.statOf(s.p("/a")).Version, 1)
	}},
}

var sequences = []scene{
	{"trap 27, sequence numbers", func(s *stage) {
		r := s.connect()
		r.make(s.p("/q"), s.p("/nameless"))
		next := func(name string, flags int32) string {
			code, path, _ := r.createBy(wire.OpCreate, s.p(name), node{flags: flags})
			return words(int32(code), path)
		}
		s.is("the first", next("/q/a-", 2), "0 /q/a-0000000000")
		s.is("the second, by another name", next("/q/b-", 2), "0 /q/b-0000000001")
		r.make(s.p("/q/plain"))
		s.is("a plain create counts", next("/q/a-", 2), "0 /q/a-0000000003")
		r.delete(s.p("/q/a-0000000003"), -1)
		s.is("a delete does not", next("/q/a-", 3), "0 /q/a-0000000004")
		r.create(s.p("/q/plain"), node{})
		s.is("a failed create does not", next("/q/a-", 2), "0 /q/a-0000000005")
		r.multi(wire.OpMulti, create(s.p("/q/m-"), node{flags: 2}), check(s.p("/none"), -1))
		s.is("a failed multi does not", next("/q/a-", 2), "0 /q/a-0000000006")
		r.setCode(s.p("/q"), "x", -1)
		s.is("setData of the parent does not", next("/q/a-", 2), "0 /q/a-0000000007")
		s.is("a name may be nothing but the number", next("/nameless/", 2), "0 /nameless/0000000000")
		_, results := r.multi(wire.OpMulti, create(s.p("/q/m-"), node{flags: 2}), create(s.p("/q/m-"), node{flags: 2}))
		s.is("each of a multi counts", results, "1 /q/m-0000000008, 1 /q/m-0000000009")
		_, path, _ := r.createBy(wire.OpCreateTTL, s.p("/q/t-"), node{flags: 6, ttl: 1 << 30})
		s.is("with a time to live", path, "/q/t-0000000010")
		r.make(s.p("/q/a-0000000012"))
		s.is("a name that is taken", next("/q/a-", 2), "-110 ")
		s.is("and on from there", next("/q/b-", 2), "0 /q/b-0000000012")
	}},
}
