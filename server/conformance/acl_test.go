package conformance

import (
	"fmt"
	"strings"

	"github.com/docent-io/docent/internal/wire"
)

// The digests are test vectors of the protocol reference.
const (
	digestBob   = "bob:ikIaKsbtGweaHnb/jKn7OHqbunM="   // bob:pw
	digestU     = "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ="     // u:p
	superDigest = "super:0bX78nEegDzJM3ju0iLBEJdWzjg=" // super:pw
)

func acl(perms int32, scheme, id string) []wire.ACL {
	return []wire.ACL{{Perms: perms, Scheme: scheme, ID: id}}
}

// setACLCode is setACL for those who need the code alone.
func (r *raw) setACLCode(path string, list []wire.ACL) wire.Code {
	r.t.Helper()
	code, _ := r.setACL(path, list, -1)
	return code
}

var acls = []scene{
	{"ACLs taken and refused", func(s *stage) {
		r := s.connect()
		r.make(s.p("/a"))
		for _, c := range []struct {
			perms      int32
			scheme, id string
			want       wire.Code
		}{
			{31, "world", "anyone", 0}, {0, "world", "anyone", 0}, {255, "world", "anyone", 0}, {16 | 1, "digest", digestBob, 0},
			{31, "world", "everyone", wire.ErrInvalidACL}, {31, "world", "", wire.ErrInvalidACL}, {31, "", "anyone", wire.ErrInvalidACL},
			{31, "digest", "bob", wire.ErrInvalidACL}, {31, "digest", "bob:x:y", wire.ErrInvalidACL}, {31, "digest", "", wire.ErrInvalidACL},
			{31, "ip", "127.0.0.1", 0}, {31, "ip", "127.0.0.0/8", 0}, {31, "ip", "0.0.0.0/0", 0}, {31, "ip", "127.0.0.1/32", 0},
			{31, "ip", "127.0.0.1/33", wire.ErrInvalidACL}, {31, "ip", "127.0.0.1/-1", wire.ErrInvalidACL}, {31, "ip", "localhost", wire.ErrInvalidACL},
			{31, "ip", "127.0.0", wire.ErrInvalidACL}, {31, "ip", "::1", 0}, {31, "ip", "fe80::/10", 0},
			{31, "x509", "CN=someone", wire.ErrInvalidACL}, {31, "sasl", "someone", wire.ErrInvalidACL},
			{31, "super", "", wire.ErrInvalidACL}, {31, "super", "super", wire.ErrInvalidACL}, {31, "moon", "x", wire.ErrInvalidACL},
			{31, "auth", "", wire.ErrInvalidACL}, // nobody has authenticated
		} {
			path := s.p("/fresh")
			code := r.create(path, node{acl: acl(c.perms, c.scheme, c.id)})
			s.is(fmt.Sprintf("create with %s:%s:%d", c.scheme, c.id, c.perms), code, c.want)
			if code == wire.OK {
				r.delete(path, -1)
			}
		}
		for name, list := range map[string][]wire.ACL{"an empty list": {}, "one bad of two": {openACL[0], {Perms: 1, Scheme: "moon"}}} {
			s.is("create with "+name, r.create(s.p("/x"), node{acl: list}), wire.ErrInvalidACL)
			s.is("setACL with "+name, r.setACLCode(s.p("/a"), list), wire.ErrInvalidACL)
		}
		null := wire.AppendInt32(wire.AppendBuffer(wire.AppendString(nil, s.p("/x")), []byte{}), -1)
		s.is("create with a null list", r.code(wire.OpCreate, wire.AppendInt32(null, 0)), wire.ErrInvalidACL)
		r.setACL(s.p("/a"), []wire.ACL{openACL[0], {Perms: 1, Scheme: "ip", ID: "10.0.0.1"}, openACL[0]}, -1)
		_, got, _ := r.getACL(s.p("/a"))
		s.is("exact duplicates are removed", got, "world:anyone:31 ip:10.0.0.1:1")
	}},
	{"trap 32, permissions", func(s *stage) {
		r := s.connect()
		names := map[int32]string{1: "READ", 2: "WRITE", 4: "CREATE", 8: "DELETE", 16: "ADMIN"}
		for perm := int32(1); perm <= 16; perm *= 2 {
			may := func(op string, needs int32, code wire.Code) {
				want := wire.ErrNoAuth
				if perm&needs != 0 {
					want = wire.OK
				}
				s.is(fmt.Sprintf("with %s: %s", names[perm], op), code, want)
			}
			base := s.p("/" + names[perm])
			r.make(base, base+"/n", base+"/n/kid")
			r.setACL(base+"/n", acl(perm, "world", "anyone"), -1)
			n := base + "/n"
			may("getData", 1, r.getCode(n, false))
			code, _ := r.children(n, false)
			may("getChildren", 1, code)
			code, _, _ = r.children2(n, false)
			may("getChildren2", 1, code)
			may("exists", 1, r.has(n))
			_, got := r.multi(wire.OpMulti, check(n, -1))
			s.is("with "+names[perm]+": check", got, map[bool]string{true: "13", false: "error -102"}[perm == 1])
			may("getAllChildrenNumber", 1, r.code(wire.OpGetAllChildrenNumber, wire.AppendString(nil, n)))
			code, _, _ = r.getACL(n)
			may("getACL", 1|16, code)
			may("setData", 2, r.setCode(n, "x", -1))
			may("create below", 4, r.create(n+"/new", node{}))
			may("delete below", 8, r.delete(n+"/kid", -1))
			s.is("with "+names[perm]+": setData below, by its own ACL", r.setCode(n+"/kid", "x", -1), map[bool]wire.Code{true: wire.ErrNoNode, false: wire.OK}[perm == 8])
			may("setACL", 16, r.setACLCode(n, acl(perm, "world", "anyone")))
			r.make(base + "/leaf")
			r.setACL(base+"/leaf", acl(perm, "world", "anyone"), -1)
			s.is("with "+names[perm]+": its own ACL does not protect a node from deletion", r.delete(base+"/leaf", -1), wire.OK)
		}
		for name, got := range map[string]wire.Code{
			"sync":         r.code(wire.OpSync, wire.AppendString(nil, s.p("/WRITE/n"))),
			"addWatch":     r.addWatch(s.p("/WRITE/n"), wire.WatchPersistent),
			"checkWatches": r.checkWatches(s.p("/WRITE/n"), wire.WatcherAny),
		} {
			s.is(name+" needs no permission", got, wire.OK)
		}
		s.is("exists on a missing node below needs none", r.has(s.p("/WRITE/n/none")), wire.ErrNoNode)
	}},
	{"trap 33, auth is expanded", func(s *stage) {
		r, other := s.connect(), s.connect()
		s.is("auth", r.auth("digest", []byte("u:p")), wire.OK)
		s.is("create", r.create(s.p("/a"), node{acl: acl(31, "auth", "")}), wire.OK)
		_, got, _ := r.getACL(s.p("/a"))
		s.is("what is stored", got, "digest:"+digestU+":31")
		other.sync("/")
		s.is("a stranger reads", other.getCode(s.p("/a"), false), wire.ErrNoAuth)
		s.is("a stranger writes", other.setCode(s.p("/a"), "x", -1), wire.ErrNoAuth)
		code, _, _ := other.getACL(s.p("/a"))
		s.is("a stranger asks for the ACL", code, wire.ErrNoAuth)
		r.auth("digest", []byte("bob:pw"))
		r.create(s.p("/b"), node{acl: []wire.ACL{{Perms: 1, Scheme: "auth", ID: "ignored"}, {Perms: 16, Scheme: "world", ID: "anyone"}}})
		_, got, _ = r.getACL(s.p("/b"))
		s.is("all identities", join(strings.Fields(got)), "digest:"+digestBob+":1 digest:"+digestU+":1 world:anyone:16")
		r.create(s.p("/c"), node{acl: []wire.ACL{{Perms: 1, Scheme: "world", ID: "anyone"}, {Perms: 31, Scheme: "digest", ID: digestBob}}})
		_, got, _ = other.getACL(s.p("/c"))
		s.is("without ADMIN digests are masked", got, "world:anyone:1 digest:bob:x:31")
		_, got, _ = r.getACL(s.p("/c"))
		s.is("with ADMIN they are not", got, "world:anyone:1 digest:"+digestBob+":31")
		s.is("setACL with auth", r.setACLCode(s.p("/c"), acl(31, "auth", "")), wire.OK)
		_, got, _ = r.getACL(s.p("/c"))
		s.is("setACL with auth: what is stored", join(strings.Fields(got)), "digest:"+digestBob+":31 digest:"+digestU+":31")
		_, res := r.multi(wire.OpMulti, create(s.p("/m"), node{acl: acl(1, "auth", "")}))
		s.is("create with auth inside a multi", res, "1 /m")
		n := r.attach(s.addr)
		s.is("identities do not outlive the connection", n.getCode(s.p("/a"), false), wire.ErrNoAuth)
	}},
	{"trap 34, authentication", func(s *stage) {
		r := s.connect()
		for _, auth := range []string{"u:p", "", "no colon", ":", "a:b:c", "\xff\x00"} {
			s.is(fmt.Sprintf("digest takes %q", auth), r.auth("digest", []byte(auth)), wire.OK)
		}
		s.is("ip takes anything", r.auth("ip", []byte("x")), wire.OK)
		for _, c := range []struct {
			name, scheme string
			auth         []byte
		}{{"an unknown scheme", "moon", []byte("x")}, {"digest with null", "digest", nil}, {"world", "world", []byte("anyone")}} {
			n := s.connect()
			code := n.auth(c.scheme, c.auth)
			s.is(c.name, words(int32(code), n.last.Zxid, n.end()), "-115 0 closed")
		}
		n := s.connect()
		n.make(s.p("/mine"))
		n.setACL(s.p("/mine"), acl(31, "digest", digestU), -1)
		s.is("before", n.getCode(s.p("/mine"), false), wire.ErrNoAuth)
		n.auth("digest", []byte("u:wrong"))
		s.is("a wrong password authenticates somebody else", n.getCode(s.p("/mine"), false), wire.ErrNoAuth)
		n.auth("digest", []byte("u:p"))
		s.is("the right one", n.getCode(s.p("/mine"), false), wire.OK)
		n.auth("digest", []byte("x:y"))
		s.is("identities add up", n.getCode(s.p("/mine"), false), wire.OK)
	}},
	{"ip ACLs", func(s *stage) {
		r := s.connect()
		for _, c := range []struct {
			id   string
			want wire.Code
		}{
			{"127.0.0.1", 0}, {"127.0.0.0/8", 0}, {"127.9.9.9/8", 0}, {"0.0.0.0/0", 0}, {"10.0.0.1", wire.ErrNoAuth}, {"128.0.0.0/8", wire.ErrNoAuth},
			{"127.0.0.2/32", wire.ErrNoAuth}, {"126.0.0.0/7", 0},
		} {
			path := s.p("/" + strings.NewReplacer("/", "-").Replace(c.id))
			r.create(path, node{acl: acl(31, "ip", c.id)})
			s.is("from 127.0.0.1, for "+c.id, r.getCode(path, false), c.want)
		}
	}},
	{"the super user", func(s *stage) {
		r := s.connect()
		r.make(s.p("/a"))
		r.setACL(s.p("/a"), acl(1, "digest", digestBob), -1)
		s.is("somebody may not read", r.getCode(s.p("/a"), false), wire.ErrNoAuth)
		s.is("nor write /zookeeper/config", r.setCode("/zookeeper/config", "x", 77), wire.ErrNoAuth)
		s.is("auth", r.auth("digest", []byte("super:pw")), wire.OK)
		s.is("super may read", r.getCode(s.p("/a"), false), wire.OK)
		s.is("write", r.setCode(s.p("/a"), "x", -1), wire.OK)
		s.is("create below", r.create(s.p("/a/b"), node{}), wire.OK)
		s.is("set the ACL", r.setACLCode(s.p("/a"), acl(31, "digest", digestU)), wire.OK)
		_, got, _ := r.getACL(s.p("/a"))
		s.is("and see it unmasked", got, "digest:"+digestU+":31")
		s.is("a wrong version stays wrong", r.setCode("/zookeeper/config", "x", 77), wire.ErrBadVersion)
		s.is("who is super", whoAmI(r), "digest:super ip:127.0.0.1 super:")
	}},
	{"whoAmI", func(s *stage) {
		r := s.connect()
		s.is("at first", whoAmI(r), "ip:127.0.0.1")
		r.auth("digest", []byte("u:p"))
		s.is("digest: the user alone", whoAmI(r), "digest:u ip:127.0.0.1")
		r.auth("digest", []byte("u:p"))
		s.is("the same again is no news", whoAmI(r), "digest:u ip:127.0.0.1")
		r.auth("digest", []byte("bob:pw"))
		s.is("several", whoAmI(r), "digest:bob digest:u ip:127.0.0.1")
	}},
	{"trap 36, which error wins", func(s *stage) {
		r := s.connect()
		r.make(s.p("/a"), s.p("/a/b"), s.p("/closed"), s.p("/closed/x"))
		r.create(s.p("/eph"), node{flags: 1})
		r.create(s.p("/ephclosed"), node{flags: 1, acl: acl(16, "world", "anyone")})
		r.setACL(s.p("/closed"), acl(16, "world", "anyone"), -1)
		r.setACL(s.p("/closed/x"), acl(16, "world", "anyone"), -1)
		bad := []wire.ACL{}
		for _, c := range []struct {
			name string
			path string
			node node
			want wire.Code
		}{
			{"flags before path and ACL", "nothing", node{flags: 9, acl: bad}, wire.ErrBadArguments},
			{"a path without slash before the ACL", "nothing", node{acl: bad}, wire.ErrBadArguments},
			{"NUL before the ACL", s.p("/a\x00"), node{acl: bad}, wire.ErrBadArguments},
			{"the ACL before the parent", s.p("/none/x"), node{acl: bad}, wire.ErrInvalidACL},
			{"the ACL before the node being there", s.p("/a"), node{acl: bad}, wire.ErrInvalidACL},
			{"the parent before the path's rules", s.p("/none//x"), node{}, wire.ErrNoNode},
			{"the parent before the path's rules, 2", s.p("/a//x"), node{}, wire.ErrNoNode},
			{"the permission before the path's rules", s.p("/closed/."), node{}, wire.ErrNoAuth},
			{"the permission before being there", s.p("/closed/x"), node{}, wire.ErrNoAuth},
			{"the permission before an ephemeral parent", s.p("/ephclosed/x"), node{}, wire.ErrNoAuth},
			{"the path's rules before an ephemeral parent", s.p("/eph/."), node{}, wire.ErrBadArguments},
			{"the root is there", "/", node{}, wire.ErrNodeExists},
		} {
			s.is("create: "+c.name, r.create(c.path, c.node), c.want)
		}
		for _, c := range []struct {
			name    string
			path    string
			version int32
			want    wire.Code
		}{
			{"no slash", "nothing", -1, wire.ErrBadArguments}, {"NUL", s.p("/a\x00"), -1, wire.ErrBadArguments},
			{"the root", "/", -1, wire.ErrBadArguments}, {"/zookeeper", "/zookeeper", 7, wire.ErrBadArguments},
			{"no parent", s.p("/none/x"), 7, wire.ErrNoNode}, {"the permission before the node", s.p("/closed/none"), -1, wire.ErrNoAuth},
			{"the permission before the version", s.p("/closed/x"), 7, wire.ErrNoAuth}, {"the node before the version", s.p("/a/none"), 7, wire.ErrNoNode},
			{"the version before children", s.p("/a"), 7, wire.ErrBadVersion}, {"children", s.p("/a"), 0, wire.ErrNotEmpty},
		} {
			s.is("delete: "+c.name, r.delete(c.path, c.version), c.want)
		}
		for _, c := range []struct {
			name string
			path string
			want wire.Code
		}{
			{"the path's rules", s.p("/none/"), wire.ErrBadArguments}, {"the path's rules, 2", s.p("/closed/../x"), wire.ErrBadArguments},
			{"no node", s.p("/none"), wire.ErrNoNode}, {"the permission before the version", s.p("/closed/x"), wire.ErrNoAuth},
			{"the version", s.p("/a"), wire.ErrBadVersion},
		} {
			s.is("setData: "+c.name, r.setCode(c.path, "x", 7), c.want)
			_, got := r.multi(wire.OpMulti, check(c.path, 7))
			s.is("check: "+c.name, got, fmt.Sprintf("error %d", c.want))
		}
		for _, c := range []struct {
			name string
			path string
			list []wire.ACL
			want wire.Code
		}{
			{"the path's rules before the ACL", s.p("/a/"), bad, wire.ErrBadArguments}, {"the ACL before the node", s.p("/none"), bad, wire.ErrInvalidACL},
			{"the node", s.p("/none"), openACL, wire.ErrNoNode}, {"the version", s.p("/closed/x"), openACL, wire.ErrBadVersion},
		} {
			code, _ := r.setACL(c.path, c.list, 7)
			s.is("setACL: "+c.name, code, c.want)
		}
		r.create(s.p("/noadmin"), node{acl: acl(15, "world", "anyone")})
		code, _ := r.setACL(s.p("/noadmin"), openACL, 7)
		s.is("setACL: the permission before the version", code, wire.ErrNoAuth)
	}},
}

func whoAmI(r *raw) string {
	r.t.Helper()
	_, dec := r.do(wire.OpWhoAmI, nil)
	var list []string
	for _, id := range dec.IDs() {
		list = append(list, id.Scheme+":"+id.ID)
	}
	r.done(dec)
	return join(list)
}
