package conformance

import (
	"fmt"
	"strings"

	"github.com/docent-io/docent/internal/wire"
)

// fresh looks at a server to which nothing has been written yet.
func fresh(s *stage) {
	r := s.connect()
	_, root, st := r.children2("/", false)
	s.is("children of /", root, "zookeeper")
	s.is("Stat of /", brief(st), "v0 c-1 a0 n1 l0")
	s.is("zxids of /", fmt.Sprint(st.Czxid, st.Mzxid, st.Pzxid, st.Ctime, st.Mtime), "0 0 0 0 0")
	_, names, st := r.children2("/zookeeper", false)
	s.is("children of /zookeeper", names, "config quota")
	s.is("Stat of /zookeeper", brief(st), "v0 c-2 a0 n2 l0")
	s.is("Stat of /zookeeper/quota", brief(r.statOf("/zookeeper/quota")), "v0 c0 a0 n0 l0")
	code, acl, st := r.getACL("/zookeeper/config")
	s.is("ACL of /zookeeper/config", words(int32(code), acl), "0 world:anyone:1")
	s.is("ACL version of /zookeeper/config", st.Aversion, -1)
	_, acl, _ = r.getACL("/zookeeper/quota")
	s.is("ACL of /zookeeper/quota", acl, "world:anyone:31")
	s.is("getAllChildrenNumber of /", childrenNumber(r, "/"), "0 3")
	if strings.Contains(word(s.T, s.addr, "srvr"), "standalone") {
		_, data, _ := r.get("/zookeeper/config", false)
		s.is("/zookeeper/config of a server of its own is empty", data, []byte{})
	}
}

// brief is what a Stat says without zxids and times: versions of data, children and ACL, number of children, length.
func brief(st wire.Stat) string {
	return fmt.Sprintf("v%d c%d a%d n%d l%d", st.Version, st.Cversion, st.Aversion, st.NumChildren, st.DataLength)
}

func childrenNumber(r *raw, path string) string {
	r.t.Helper()
	code, dec := r.do(wire.OpGetAllChildrenNumber, wire.AppendString(nil, path))
	if code != wire.OK {
		return words(int32(code))
	}
	n := dec.Int32()
	r.done(dec)
	return words(int32(code), n)
}

var creates = []scene{
	{"trap 48, flags of creates", func(s *stage) {
		r := s.connect()
		for i, c := range []struct {
			op    wire.Op
			flags int32
			ttl   int64
			want  string // code, whether the session owns it, what is behind the name
		}{
			{wire.OpCreate, 0, 0, "0 nobody's"}, {wire.OpCreate2, 0, 0, "0 nobody's"},
			{wire.OpCreate, 1, 0, "0 its session's"}, {wire.OpCreate2, 1, 0, "0 its session's"},
			{wire.OpCreate, 2, 0, "0 nobody's, numbered"}, {wire.OpCreate2, 2, 0, "0 nobody's, numbered"},
			{wire.OpCreate, 3, 0, "0 its session's, numbered"}, {wire.OpCreate2, 3, 0, "0 its session's, numbered"},
			{wire.OpCreate, 4, 0, "0 nobody's"}, {wire.OpCreate2, 4, 0, "0 nobody's"},
			{wire.OpCreateContainer, 4, 0, "0 nobody's"}, {wire.OpCreateContainer, 0, 0, "0 nobody's"}, {wire.OpCreateContainer, 1, 0, "0 nobody's"},
			{wire.OpCreateTTL, 5, 100_000, "0 nobody's"}, {wire.OpCreateTTL, 6, 100_000, "0 nobody's, numbered"},
			{wire.OpCreateTTL, 5, wire.MaxTTL, "0 nobody's"}, {wire.OpCreateTTL, 5, 1 << 30, "0 nobody's"},
			{wire.OpCreateTTL, 5, 0, "-8"}, {wire.OpCreateTTL, 5, -1, "-8"}, {wire.OpCreateTTL, 6, wire.MaxTTL + 1, "-8"},
			{wire.OpCreateTTL, 0, 5, "-8"}, {wire.OpCreateTTL, 0, 0, "-8"}, {wire.OpCreateTTL, 1, 5, "-8"},
			{wire.OpCreateTTL, 0, -1, "-8"}, {wire.OpCreateTTL, 1, -1, "-8"},
			{wire.OpCreate, 5, 0, "-8"}, {wire.OpCreate2, 6, 0, "-8"}, {wire.OpCreateContainer, 5, 0, "-8"},
			{wire.OpCreate, 7, 0, "-8"}, {wire.OpCreate, -1, 0, "-8"}, {wire.OpCreate2, 100, 0, "-8"}, {wire.OpCreateContainer, 7, 0, "-8"},
			{wire.OpCreateTTL, 7, 5, "-8"},
		} {
			name := fmt.Sprintf("%v, flags %d, ttl %d", c.op, c.flags, c.ttl)
			if s.skips(name) {
				continue
			}
			path := fmt.Sprint("/n", i)
			code, made, _ := r.createBy(c.op, s.p(path), node{flags: c.flags, ttl: c.ttl})
			got := words(int32(code))
			if code == wire.OK {
				switch r.statOf(s.p(made)).EphemeralOwner {
				case 0:
					got += " nobody's"
				case r.session:
					got += " its session's"
				}
				if len(made) == len(path)+10 {
					got += ", numbered"
				}
			}
			s.is(name, got, c.want)
		}
		s.is("the connection stays open", r.has("/"), wire.OK)
	}},
	{"trap 47, TTL switched off", func(s *stage) {
		if s.off == "" {
			return
		}
		r := s.connectTo(s.off)
		r.make(s.root + "-off")
		for _, c := range []struct {
			name  string
			op    wire.Op
			flags int32
			ttl   int64
		}{
			{"createTTL", wire.OpCreateTTL, 5, 1000}, {"createTTL, sequential", wire.OpCreateTTL, 6, 1000}, {"createTTL, a bad ttl", wire.OpCreateTTL, 5, 0},
			{"create with the flag", wire.OpCreate, 5, 0}, {"create2 with the flag", wire.OpCreate2, 6, 0},
		} {
			code, _, _ := r.createBy(c.op, s.root+"-off/ttl", node{flags: c.flags, ttl: c.ttl})
			s.is(c.name, code, wire.ErrUnimplemented)
		}
		s.is("an unknown flag is another thing", r.create(s.root+"-off/x", node{flags: 7}), wire.ErrBadArguments)
		s.is("the connection stays open", r.has("/"), wire.OK)
	}},
	{"trap 31, owners on the wire", func(s *stage) {
		r := s.connect()
		for _, c := range []struct {
			name  string
			op    wire.Op
			node  node
			owner int64
		}{
			{"a container", wire.OpCreateContainer, node{flags: 4}, 0},
			{"a node with a time to live", wire.OpCreateTTL, node{flags: 5, ttl: 99_999}, 0},
			{"a persistent node", wire.OpCreate2, node{}, 0},
			{"an ephemeral", wire.OpCreate2, node{flags: 1}, r.session},
		} {
			code, path, st := r.createBy(c.op, s.p("/"+strings.ReplaceAll(c.name, " ", "-")), c.node)
			s.is(c.name+": code", code, wire.OK)
			s.is(c.name+": owner in the reply", st.EphemeralOwner, c.owner)
			s.is(c.name+": owner as read", r.statOf(s.p(path)).EphemeralOwner, c.owner)
		}
		s.is("a container may have children", r.create(s.p("/a-container/x"), node{}), wire.OK)
		s.is("so may a node with a time to live", r.create(s.p("/a-node-with-a-time-to-live/x"), node{}), wire.OK)
		s.is("an ephemeral may not", r.create(s.p("/an-ephemeral/x"), node{}), wire.ErrNoChildrenEphemeral)
		s.is("not even ephemeral ones", r.create(s.p("/an-ephemeral/x"), node{flags: 3}), wire.ErrNoChildrenEphemeral)
	}},
	{"containers and TTL nodes are reaped", func(s *stage) {
		r, w := s.connect(), s.connect()
		r.createBy(wire.OpCreateContainer, s.p("/box"), node{flags: 4})
		r.createBy(wire.OpCreateContainer, s.p("/unused"), node{flags: 4})
		r.make(s.p("/box/x"))
		w.addWatch(s.p("/short"), wire.WatchPersistent)
		r.createBy(wire.OpCreateTTL, s.p("/short"), node{flags: 5, ttl: 1})
		w.next()
		w.next()
		s.is("the event of a TTL node's end", w.heard(), "created /short, deleted /short")
		s.is("a container with a child stays", w.has(s.p("/box")), wire.OK)
		w.addWatch(s.p("/box"), wire.WatchPersistent)
		r.delete(s.p("/box/x"), -1)
		w.next()
		w.next()
		s.is("the events of a container's end", w.heard(), "children changed /box, deleted /box")
		s.is("a container never used stays for a while", w.has(s.p("/unused")), wire.OK)
	}},
}

var nodes = []scene{
	{"trap 5, null and empty data", func(s *stage) {
		r := s.connect()
		for _, c := range []struct {
			name string
			node node
			want string
		}{{"null", node{null: true}, "null"}, {"empty", node{}, `""`}, {"zeros", node{data: []byte{0, 0}}, `"\x00\x00"`}} {
			r.create(s.p("/"+c.name), c.node)
			_, data, st := r.get(s.p("/"+c.name), false)
			s.is("created with "+c.name, data, c.want)
			s.is("length of "+c.name, st.DataLength, len(c.node.data))
		}
		r.code(wire.OpSetData, setBody(s.p("/zeros"), nil, -1))
		_, data, _ := r.get(s.p("/zeros"), false)
		s.is("set to null", data, "null")
		r.code(wire.OpSetData, setBody(s.p("/null"), []byte{}, -1))
		_, data, _ = r.get(s.p("/null"), false)
		s.is("set to empty", data, `""`)
	}},
	{"trap 6, null strings", func(s *stage) {
		r := s.connect()
		null := []byte{0xff, 0xff, 0xff, 0xff}
		s.is("exists of null", r.code(wire.OpExists, append(null, 0)), wire.ErrMarshalling)
		s.is("getData of null", r.code(wire.OpGetData, append(null, 0)), wire.ErrMarshalling)
		s.is("getChildren of null", r.code(wire.OpGetChildren, append(null, 0)), wire.ErrMarshalling)
		s.is("delete of null", r.code(wire.OpDelete, append(null, 0, 0, 0, 0)), wire.ErrMarshalling)
		r.auth("digest", []byte("u:p"))
		s.is("the id of auth is null, as kazoo sends it", r.code(wire.OpCreate, aclBody(s.p("/kazoo"), 31, "auth", nil)), wire.OK)
		_, acl, _ := r.getACL(s.p("/kazoo"))
		s.is("the id of auth is null: what is stored", acl, "digest:u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=:31")
		s.is("the id of world is null", r.code(wire.OpCreate, aclBody(s.p("/x"), 31, "world", nil)), wire.ErrMarshalling)
		s.is("getEphemerals of null", ephemerals(r, null), "")
	}},
	{"reads", func(s *stage) {
		r := s.connect()
		r.make(s.p("/a"), s.p("/a/b"), s.p("/a/c"), s.p("/a/c/d"))
		r.setCode(s.p("/a"), "data", -1)
		_, data, st := r.get(s.p("/a"), false)
		s.is("getData", data, `"data"`)
		s.is("getData: Stat", brief(st), "v1 c2 a0 n2 l4")
		code, ex := r.exists(s.p("/a"), false)
		s.is("exists: the same Stat", words(int32(code), ex), words(0, st))
		_, names := r.children(s.p("/a"), false)
		s.is("getChildren", names, "b c")
		_, names, st2 := r.children2(s.p("/a"), false)
		s.is("getChildren2", names, "b c")
		s.is("getChildren2: the same Stat", st2, st)
		s.is("getAllChildrenNumber", childrenNumber(r, s.p("/a")), "0 3")
		s.is("getAllChildrenNumber of a leaf", childrenNumber(r, s.p("/a/b")), "0 0")
		s.is("getAllChildrenNumber, no node", childrenNumber(r, s.p("/none")), "-101")
		s.is("exists, no node", r.has(s.p("/none")), wire.ErrNoNode)
		s.is("getData, no node", r.getCode(s.p("/none"), false), wire.ErrNoNode)
		code, _ = r.children(s.p("/none"), false)
		s.is("getChildren, no node", code, wire.ErrNoNode)
		code, _, _ = r.children2(s.p("/none"), false)
		s.is("getChildren2, no node", code, wire.ErrNoNode)
		code, _, _ = r.getACL(s.p("/none"))
		s.is("getACL, no node", code, wire.ErrNoNode)
	}},
	{"trap 43, no children", func(s *stage) {
		r := s.connect()
		r.make(s.p("/leaf"))
		r.code(wire.OpGetChildren, watchBody(s.p("/leaf"), false))
		_, dec := r.do(wire.OpGetChildren, watchBody(s.p("/leaf"), false))
		s.is("an empty vector, not null", fmt.Sprintf("%x", dec.Rest()), "00000000")
		for i := range 50 {
			r.make(s.p(fmt.Sprintf("/leaf/%03d", i)))
		}
		_, names := r.children(s.p("/leaf"), false)
		s.is("names only, none twice", len(strings.Fields(names)), 50)
	}},
	{"trap 42, large answers", func(s *stage) {
		r := s.connect()
		long := strings.Repeat("n", 1500)
		const n = 800
		for i := range n {
			r.request(wire.OpCreate, node{}.body(wire.OpCreate, s.p(fmt.Sprintf("/%s%03d", long, i))))
		}
		for i := range n {
			r.reply(r.xid - n + int32(i) + 1)
		}
		code, dec := r.do(wire.OpGetChildren, watchBody(s.root, false))
		s.is("getChildren of more than a frame's limit", words(int32(code), r.rest > wire.MaxFrame, len(dec.Strings())), "0 true 800")
	}},
	{"trap 37, odd paths in reads", func(s *stage) {
		r := s.connect()
		r.make(s.p("/a"))
		for _, p := range []string{"abc", s.p("/a/"), strings.Replace(s.p("/a"), "/a", "//a", 1), s.p("/a/."), s.p("/a/.."), "//", s.p("/\u0001")} {
			shown := strings.TrimPrefix(p, s.root)
			s.is(fmt.Sprintf("getData %q", shown), r.getCode(p, false), wire.ErrNoNode)
			s.is(fmt.Sprintf("exists %q", shown), r.has(p), wire.ErrNoNode)
		}
		s.is("exists with NUL", r.has(s.p("/a\x00b")), wire.ErrBadArguments)
		code, _ := r.exists("", false)
		s.is(`exists ""`, code, wire.OK)
		_, names := r.children("", false)
		s.is(`getChildren "" is that of the root`, strings.Contains(" "+names+" ", " zookeeper "), true)
	}},
	{"trap 35, versions", func(s *stage) {
		r := s.connect()
		r.make(s.p("/a"), s.p("/b"), s.p("/c"), s.p("/d"))
		for i, c := range []struct {
			version int32
			want    wire.Code
		}{{0, 0}, {0, wire.ErrBadVersion}, {2, wire.ErrBadVersion}, {1, 0}, {-1, 0}, {-2, wire.ErrBadVersion}} {
			s.is(fmt.Sprintf("setData %d with version %d", i, c.version), r.setCode(s.p("/a"), "x", c.version), c.want)
		}
		s.is("the version counts what succeeded", r.statOf(s.p("/a")).Version, 3)
		s.is("delete with a wrong version", r.delete(s.p("/a"), 0), wire.ErrBadVersion)
		s.is("delete with version -2", r.delete(s.p("/a"), -2), wire.ErrBadVersion)
		s.is("delete with the right version", r.delete(s.p("/a"), 3), wire.OK)
		s.is("delete with version -1", r.delete(s.p("/b"), -1), wire.OK)
		code, st := r.setACL(s.p("/c"), openACL, 0)
		s.is("setACL with the right version", words(int32(code), st.Aversion, st.Version), "0 1 0")
		code, _ = r.setACL(s.p("/c"), openACL, 0)
		s.is("setACL with an old version", code, wire.ErrBadVersion)
		r.setCode(s.p("/d"), "x", -1)
		code, _ = r.setACL(s.p("/d"), openACL, 0)
		s.is("setACL looks at the ACL's version, not the data's", code, wire.OK)
	}},
	{"deletes", func(s *stage) {
		r := s.connect()
		r.make(s.p("/a"), s.p("/a/b"))
		s.is("with children", r.delete(s.p("/a"), -1), wire.ErrNotEmpty)
		s.is("a leaf", r.delete(s.p("/a/b"), -1), wire.OK)
		s.is("the parent, then", r.delete(s.p("/a"), -1), wire.OK)
		s.is("again", r.delete(s.p("/a"), -1), wire.ErrNoNode)
		s.is("below nothing", r.delete(s.p("/a/b"), -1), wire.ErrNoNode)
		s.is("gone", r.has(s.p("/a")), wire.ErrNoNode)
		s.is("made again", r.create(s.p("/a"), node{}), wire.OK)
		s.is("made again: versions begin anew", brief(r.statOf(s.p("/a"))), "v0 c0 a0 n0 l0")
	}},
	{"sync", func(s *stage) {
		r := s.connect()
		for _, p := range []string{"/", s.p("/a"), s.p("/none/x"), "no path", ""} {
			code, got := r.sync(p)
			s.is(fmt.Sprintf("of %q", strings.TrimPrefix(p, s.root)), words(int32(code), got), words(0, p))
		}
		w := s.connectTo(s.other)
		w.make(s.p("/there"))
		r.sync(s.p("/there"))
		s.is("then a read shows what another server had answered", r.has(s.p("/there")), wire.OK)
	}},
}

// aclBody is a create whose only ACL has an id that may be null.
func aclBody(path string, perms int32, scheme string, id []byte) []byte {
	b := wire.AppendBuffer(wire.AppendString(nil, path), []byte{})
	b = wire.AppendInt32(wire.AppendInt32(b, 1), perms)
	b = wire.AppendBuffer(wire.AppendString(b, scheme), id)
	return wire.AppendInt32(b, 0)
}

// ephemerals returns the paths that getEphemerals answers, sorted, or its code.
func ephemerals(r *raw, body []byte) string {
	r.t.Helper()
	code, dec := r.do(wire.OpGetEphemerals, body)
	if code != wire.OK {
		return words(int32(code))
	}
	list := dec.Strings()
	r.done(dec)
	for i := range list {
		list[i] = strings.TrimPrefix(list[i], r.root)
	}
	return join(list)
}
