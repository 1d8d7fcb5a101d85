package conformance

import (
	"fmt"
	"strings"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

var paths = []scene{
	{"trap 38, path rules", func(s *stage) {
		r := s.connect()
		r.make(s.p("/a"))
		for _, c := range []struct {
			name string
			good bool
		}{
			{"x", true}, {".x", true}, {"..x", true}, {"x..", true}, {"...", true}, {" ", true}, {"x y", true}, {"é", true}, {"日本", true},
			{"\u00a0", true}, {"\uf900", true}, {"\uffef", true}, {"\ud7ff", true}, {"%00", true}, {"~!@#$^&*()", true}, {strings.Repeat("x", 3000), true},
			{".", false}, {"..", false}, {"\u0001", false}, {"x\u001f", false}, {"\u007f", false}, {"\u009f", false}, {"\ue000", false}, {"\uf8ff", false},
			{"\ufff0", false}, {"\uffff", false}, {"\U0001f600", false}, {"\xff\xfe", false}, {"\ufffd", false}, {"\n", false}, {"\t", false},
		} {
			shown := c.name[:min(len(c.name), 20)]
			want := map[bool]wire.Code{true: wire.OK, false: wire.ErrBadArguments}[c.good]
			s.is(fmt.Sprintf("create %+q", shown), r.create(s.p("/a/"+c.name), node{}), want)
			if c.good {
				s.is(fmt.Sprintf("getData %+q", shown), r.getCode(s.p("/a/"+c.name), false), wire.OK)
			} else {
				s.is(fmt.Sprintf("setData %+q", shown), r.setCode(s.p("/a/"+c.name), "", -1), wire.ErrBadArguments)
			}
		}
		s.is("create without a slash", r.create("abc", node{}), wire.ErrBadArguments)
		s.is("create of nothing", r.create("", node{}), wire.ErrBadArguments)
		s.is("create ending in a slash", r.create(s.p("/a/"), node{}), wire.ErrBadArguments)
		s.is("create with NUL", r.create(s.p("/a/\x00"), node{}), wire.ErrBadArguments)
		s.is("setData without a slash", r.setCode("abc", "", -1), wire.ErrBadArguments)
		s.is("setData of nothing", r.setCode("", "", -1), wire.ErrBadArguments)
		s.is("setACL of nothing", r.setACLCode("", openACL), wire.ErrBadArguments)
		s.is("delete of a double slash", r.delete(s.p("//a"), -1), wire.ErrNoNode)
	}},
	{"trap 39, reserved nodes", func(s *stage) {
		r := s.connect()
		for _, p := range []string{"/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"} {
			s.is("delete of "+p, r.delete(p, -1), wire.ErrBadArguments)
			s.is("exists "+p, r.has(p), wire.OK)
		}
		_, names := r.children("/", false)
		s.is("/zookeeper is listed", strings.Contains(" "+names+" ", " zookeeper "), true)
		s.is("/zookeeper/config can be read", r.getCode("/zookeeper/config", true), wire.OK)
		s.is("and watched", r.checkWatches("/zookeeper/config", wire.WatcherData), wire.OK)
		s.is("but not written", r.setCode("/zookeeper/config", "x", -1), wire.ErrNoAuth)
		s.is("nor its ACL", r.setACLCode("/zookeeper/config", openACL), wire.ErrNoAuth)
		name := "/zookeeper" + strings.ReplaceAll(s.root, "/", "-")
		name = "/zookeeper/" + name[len("/zookeeper"):]
		s.is("children of /zookeeper may be made", r.create(name, node{}), wire.OK)
		s.is("and deleted", r.delete(name, -1), wire.OK)
		_, data, _ := r.get("/zookeeper/config", false)
		s.is("no address that cannot be reached is published", strings.Contains(string(data), "0.0.0.0"), false)
	}},
}

var sessions = []scene{
	{"trap 21, a session outlives its connection", func(s *stage) {
		r, other := s.connect(), s.connect()
		r.create(s.p("/e"), node{flags: 1})
		r.nc.Close()
		other.sync("/")
		s.is("its ephemeral stays", other.has(s.p("/e")), wire.OK)
		s.is("another session cannot make it", other.create(s.p("/e"), node{flags: 1}), wire.ErrNodeExists)
		n := r.attach(s.addr)
		s.is("it is the session's after the attach", n.statOf(s.p("/e")).EphemeralOwner, r.session)
		s.is("and may be deleted by anyone", other.delete(s.p("/e"), -1), wire.OK)
		for i := range 5 {
			n.create(s.p(fmt.Sprint("/many", i)), node{flags: 1})
		}
		n.code(wire.OpCloseSession, nil)
		closed := n.last.Zxid
		other.sync("/")
		_, names, st := other.children2(s.root, false)
		s.is("all are gone with the session", names, "")
		s.is("under one zxid", st.Pzxid, closed)
	}},
	{"trap 23, closeSession", func(s *stage) {
		r, other := s.connect(), s.connect()
		r.create(s.p("/e"), node{flags: 1})
		r.exists(s.p("/e"), true)
		r.request(wire.OpCreate, node{flags: 1}.body(wire.OpCreate, s.p("/pipelined")))
		xid := r.request(wire.OpCloseSession, nil)
		b := append(wire.RequestHeader{Xid: 999, Op: wire.OpCreate}.Append(nil), node{}.body(wire.OpCreate, s.p("/late"))...)
		r.nc.Write(wire.EndFrame(append(wire.BeginFrame(nil), b...), 0)) // the server may be gone already
		r.reply(xid - 1)
		code, _ := r.reply(xid)
		s.is("the reply", words(int32(code), r.rest), "0 0")
		s.is("own events come before it", r.heard(), "deleted /e")
		end := r.end()
		s.is("then the end", end == "closed" || strings.HasPrefix(end, "frame 000003e7"), true)
		other.sync("/")
		s.is("ephemerals made in the same pipeline are gone", other.has(s.p("/pipelined")), wire.ErrNoNode)
		s.is("what was pipelined behind is not carried out", other.has(s.p("/late")), wire.ErrNoNode)
		resp := dial(s.T, s.addr).handshake(wire.ConnectRequest{SessionID: r.session, Password: r.password, Timeout: 9000})
		s.is("the session is gone", fmt.Sprint(resp.SessionID, resp.Timeout), "0 0")
	}},
	{"expiry", func(s *stage) {
		other := s.connect()
		r := dial(s.T, s.addr)
		r.handshake(wire.ConnectRequest{Timeout: minTimeout, Password: noPassword})
		r.create(s.p("/e"), node{flags: 1})
		other.sync("/")
		other.exists(s.p("/e"), true)
		begin := time.Now()
		s.is("the connection ends without a word", r.end(), "closed")
		took := time.Since(begin)
		s.is("not before the timeout", took > minTimeout*9/10*time.Millisecond, true)
		s.is("and not long after it", took < 15*time.Second, true)
		s.is("its ephemeral is deleted", other.now(), "deleted /e")
		resp := dial(s.T, s.addr).handshake(wire.ConnectRequest{SessionID: r.session, Password: r.password, Timeout: 9000})
		s.is("the client learns it when it comes back", fmt.Sprint(resp.SessionID, resp.Timeout), "0 0")
		s.is("the name is free", other.create(s.p("/e"), node{flags: 1}), wire.OK)
	}},
	{"trap 24, a moved session", func(s *stage) {
		if s.other == s.addr {
			return // on one server the newer connection wins, as trap 25 says
		}
		r := s.connect()
		r.create(s.p("/e"), node{flags: 1})
		n := r.attach(s.other)
		s.is("it has its ephemeral", n.statOf(s.p("/e")).EphemeralOwner, r.session)
		s.is("reads of the old connection may go on", alive(r), "alive")
		r.request(wire.OpCreate, node{}.body(wire.OpCreate, s.p("/late")))
		s.is("a write of it closes it, without a word", r.end(), "closed")
		n.sync("/")
		s.is("the write was not carried out", n.has(s.p("/late")), wire.ErrNoNode)
		s.is("the new one writes", n.create(s.p("/new"), node{}), wire.OK)
		s.is("nothing expired", n.has(s.p("/e")), wire.OK)
		m := n.attach(s.addr)
		n.request(wire.OpMulti, wire.AppendMulti(nil, []wire.MultiOp{create(s.p("/late"), node{})}))
		s.is("a late multi closes it, too", n.end(), "closed")
		s.is("and is not carried out", m.has(s.p("/late")), wire.ErrNoNode)
	}},
	{"trap 50, an attach shows what the session wrote", func(s *stage) {
		r := s.connect()
		missing := 0
		for i := range 30 {
			addr := s.addr
			if i%2 == 0 {
				addr = s.other
			}
			path := s.p(fmt.Sprint("/", i))
			r.request(wire.OpCreate, node{flags: 1}.body(wire.OpCreate, path))
			r.reply(r.xid)
			r.zxid = 0 // so that the attach itself has to wait, not the check of the last zxid
			n := r.attach(addr)
			r.nc.Close()
			if n.has(path) != wire.OK {
				missing++
			}
			r = n
		}
		s.is("on whatever server", missing, 0)
	}},
	{"getEphemerals", func(s *stage) {
		r, other := s.connect(), s.connect()
		r.make(s.p("/d"))
		for _, p := range []string{"/e1", "/d/e2"} {
			r.create(s.p(p), node{flags: 1})
		}
		other.create(s.p("/foreign"), node{flags: 1})
		for prefix, want := range map[string]string{"/": "/d/e2 /e1", "": "/d/e2 /e1", "  ": "/d/e2 /e1", s.p("/d"): "/d/e2", s.p("/e"): "/e1", s.p("/none"): ""} {
			s.is(fmt.Sprintf("below %q", strings.TrimPrefix(prefix, s.root)), ephemerals(r, wire.AppendString(nil, prefix)), want)
		}
		r.delete(s.p("/e1"), -1)
		s.is("without a deleted one", ephemerals(r, wire.AppendString(nil, "/")), "/d/e2")
		s.is("of a new session", ephemerals(s.connect(), wire.AppendString(nil, "/")), "")
	}},
	{"trap 46, what keeps a session, and a connection", func(s *stage) {
		idle, waiting, p, q := s.connect(), dial(s.T, s.addr), dial(s.T, s.addr), dial(s.T, s.addr)
		p.handshake(wire.ConnectRequest{Timeout: minTimeout, Password: noPassword})
		q.handshake(wire.ConnectRequest{Timeout: minTimeout, Password: noPassword})
		for end := time.Now().Add(2 * minTimeout * time.Millisecond); time.Now().Before(end); time.Sleep(100 * time.Millisecond) { // the time that passes is the check
			p.ping()
			q.has("/")
		}
		s.is("pings keep a session", p.has("/"), wire.OK)
		s.is("so do reads", q.has("/"), wire.OK)
		s.is("an idle connection stays while its session lives", alive(idle), "alive")
		resp := waiting.handshake(wire.ConnectRequest{Timeout: 5000, Password: noPassword})
		s.is("a client may take its time with the handshake", resp.SessionID != 0, true)
	}},
}

var quotas = []scene{
	{"quota totals", func(s *stage) {
		r, w := s.connect(), s.connect()
		q := "/zookeeper/quota" + s.root
		r.make(s.p("/a"), s.p("/a/b"), q)
		r.setCode(s.p("/a"), "12345", -1)
		put := func(path, data string) wire.Code { return r.create(path, node{data: []byte(data)}) }
		r.make(q + "/a")
		s.is("limits", put(q+"/a/zookeeper_limits", "count=10,bytes=100"), wire.OK)
		s.is("stats", put(q+"/a/zookeeper_stats", "count=0,bytes=0"), wire.OK)
		totals := func() string {
			_, data, st := r.get(q+"/a/zookeeper_stats", false)
			return fmt.Sprintf("%s v%d", data, st.Version)
		}
		s.is("what is there is counted", totals(), "count=2,bytes=5 v0")
		w.sync("/")
		w.get(q+"/a/zookeeper_stats", true)
		put(s.p("/a/c"), "123")
		s.is("create", totals(), "count=3,bytes=8 v0")
		r.setCode(s.p("/a/c"), "1234567", -1)
		s.is("setData", totals(), "count=3,bytes=12 v0")
		r.delete(s.p("/a/c"), -1)
		s.is("delete", totals(), "count=2,bytes=5 v0")
		r.create(s.p("/a/e"), node{flags: 1, data: []byte("1")})
		r.multi(wire.OpMulti, create(s.p("/a/m"), node{data: []byte("22")}), create(s.p("/a/n"), node{}))
		s.is("multi", totals(), "count=5,bytes=8 v0")
		r.multi(wire.OpMulti, create(s.p("/a/o"), node{data: []byte("22")}), del(s.p("/none"), -1))
		s.is("a failed multi", totals(), "count=5,bytes=8 v0")
		r.make(s.p("/ab"))
		s.is("beside it", totals(), "count=5,bytes=8 v0")
		s.is("no watch fires", w.now(), "")
		r.make(s.p("/a/b/deep"), q+"/a/b")
		put(q+"/a/b/zookeeper_limits", "count=-1,bytes=-1")
		put(q+"/a/b/zookeeper_stats", "")
		r.make(s.p("/a/b/deeper"))
		s.is("the nearest quota counts", totals(), "count=6,bytes=8 v0")
		_, data, _ := r.get(q+"/a/b/zookeeper_stats", false)
		s.is("the nearest quota", string(data), "count=3,bytes=0")
		r.delete(q+"/a/zookeeper_limits", -1)
		r.make(s.p("/a/after"))
		s.is("without limits nothing is counted", totals(), "count=6,bytes=8 v0")
	}},
	{"hard quotas", func(s *stage) {
		r := s.connect()
		q := "/zookeeper/quota" + s.root
		r.make(s.p("/a"), q, q+"/a")
		r.create(q+"/a/zookeeper_limits", node{data: []byte("count=-1,bytes=-1=;byteHardLimit=12;countHardLimit=4")})
		r.create(q+"/a/zookeeper_stats", node{})
		put := func(path, data string) wire.Code { return r.create(path, node{data: []byte(data)}) }
		s.is("too many bytes at once", put(s.p("/a/x"), "1234567890123"), wire.ErrQuotaExceeded)
		s.is("as many as may be", put(s.p("/a/x"), "123456789012"), wire.OK)
		s.is("one more", put(s.p("/a/y"), "1"), wire.ErrQuotaExceeded)
		s.is("without data", put(s.p("/a/y"), ""), wire.OK)
		s.is("setData, longer", r.setCode(s.p("/a/x"), "1234567890123", -1), wire.ErrQuotaExceeded)
		s.is("setData, as long", r.setCode(s.p("/a/x"), "abcdefghijkl", -1), wire.OK)
		s.is("setData, shorter", r.setCode(s.p("/a/x"), "", -1), wire.OK)
		s.is("the last node", put(s.p("/a/z"), ""), wire.OK)
		s.is("a node too many", put(s.p("/a/zz"), ""), wire.ErrQuotaExceeded)
		_, got := r.multi(wire.OpMulti, create(s.p("/b"), node{}), create(s.p("/a/zz"), node{}))
		s.is("inside a multi", got, "error 0, error -125")
		s.is("being there comes before the quota", put(s.p("/a/z"), ""), wire.ErrNodeExists)
		s.is("the quota comes before the version", r.setCode(s.p("/a/x"), "1234567890123", 77), wire.ErrQuotaExceeded)
		s.is("beside it there is none", put(s.p("/ab"), "1234567890123"), wire.OK)
		r.delete(s.p("/a/z"), -1)
		s.is("after a delete there is room", put(s.p("/a/zz"), ""), wire.OK)
		s.is("an ephemeral counts, too", r.create(s.p("/a/e"), node{flags: 1}), wire.ErrQuotaExceeded)
		r.setCode(q+"/a/zookeeper_limits", "count=1,bytes=1", -1)
		s.is("soft limits only warn", put(s.p("/a/soft"), "12345678901234567890"), wire.OK)
	}},
	{"quotas not enforced", func(s *stage) {
		if s.off == "" {
			return
		}
		r := s.connectTo(s.off)
		base := s.root + "-off"
		q := "/zookeeper/quota" + base
		r.make(base, q)
		r.create(q+"/zookeeper_limits", node{data: []byte("count=-1,bytes=-1=;byteHardLimit=1;countHardLimit=1")})
		r.create(q+"/zookeeper_stats", node{})
		s.is("a hard limit is no limit", r.create(base+"/x", node{data: []byte("123")}), wire.OK)
		_, data, _ := r.get(q+"/zookeeper_stats", false)
		s.is("but it is counted", string(data), "count=2,bytes=3")
		s.is("and nobody is super", words(int32(r.auth("digest", []byte("super:pw"))), int32(r.setCode("/zookeeper/config", "x", 77))), "0 -102")
	}},
}

var others = []scene{
	{"reconfig switched off", func(s *stage) {
		r := s.connect()
		body := (&wire.ReconfigRequest{Joining: "server.9=127.0.0.1:1:2:participant;3", ConfigID: -1}).Append(nil)
		s.is("joining", r.code(wire.OpReconfig, body), wire.ErrReconfigDisabled)
		null := []byte{0xff, 0xff, 0xff, 0xff}
		kazoo := append(append(append([]byte{}, null...), null...), null...)
		s.is("with nulls, as kazoo sends them", r.code(wire.OpReconfig, wire.AppendInt64(kazoo, -1)), wire.ErrReconfigDisabled)
		s.is("the connection stays open", r.has("/"), wire.OK)
	}},
	{"sasl not configured", func(s *stage) {
		r := s.connect()
		code, dec := r.do(wire.OpSASL, wire.AppendBuffer(nil, []byte{}))
		s.is("a null token", fmt.Sprintf("%d %x", code, dec.Rest()), "0 ffffffff")
		s.is("the connection stays open", r.has("/"), wire.OK)
	}},
	{"golden frames", func(s *stage) {
		r := s.connect()
		for _, c := range []struct{ name, request, reply string }{
			{"exists of no node", "0000000800000003000000032f6a7801", "00000008zzzzzzzzzzzzzzzzffffff9b"},
			{"auth", "fffffffc00000064000000000000000664696765737400000003753a70", "fffffffc000000000000000000000000"},
			{"ping", "fffffffe0000000b", "fffffffezzzzzzzzzzzzzzzz00000000"},
			{"an empty multi", "0000000e0000000effffffff01ffffffff", "0000000ezzzzzzzzzzzzzzzz00000000ffffffff01ffffffff"},
			{"a failed multi", "0000000f0000000e0000000200ffffffff000000032f6a78ffffffff0000000d00ffffffff000000012fffffffffffffffff01ffffffff",
				"0000000fzzzzzzzzzzzzzzzz00000000ffffffff00ffffff9bffffff9bffffffff00fffffffefffffffeffffffff01ffffffff"},
			{"removeWatches of none", "000000100000001200000001" + "2f" + "00000003", "00000010zzzzzzzzzzzzzzzzffffff87"},
		} {
			r.send(unhex(s.T, c.request))
			got := fmt.Sprintf("%x", r.frame())
			if len(got) >= 24 && got[8:24] != "0000000000000000" {
				got = got[:8] + "zzzzzzzzzzzzzzzz" + got[24:]
			}
			s.is(c.name, got, c.reply)
		}
	}},
	{"other servers", func(s *stage) {
		a, b := s.connect(), s.connectTo(s.other)
		a.make(s.p("/a"))
		b.sync("/")
		s.is("what one made is read through another", b.has(s.p("/a")), wire.OK)
		s.is("and made there again it exists", b.create(s.p("/a"), node{}), wire.ErrNodeExists)
		b.get(s.p("/a"), true)
		a.setCode(s.p("/a"), "x", -1)
		s.is("an event crosses servers", b.now(), "data changed /a")
		won := 0
		for i := range 40 {
			body := node{}.body(wire.OpCreate, s.p(fmt.Sprint("/race", i)))
			x, y := a.request(wire.OpCreate, body), b.request(wire.OpCreate, body)
			c, _ := a.reply(x)
			d, _ := b.reply(y)
			if (c == wire.OK) != (d == wire.OK) {
				won++
			}
		}
		s.is("of two who make the same node one succeeds", won, 40)
	}},
}
