package conformance

import (
	"fmt"
	"strings"

	"github.com/docent-io/docent/internal/wire"
)

// next waits for one more event than have been heard.
func (r *raw) next() {
	r.t.Helper()
	if f := r.frame(); !r.event(f) {
		r.t.Fatalf("frame %x, want an event", f)
	}
}

var watches = []scene{
	{"watches and changes", func(s *stage) {
		w, r := s.connect(), s.connect()
		n := s.p("/n")
		kinds := []struct {
			name string
			arm  func(path string) wire.Code
		}{
			{"getData", func(p string) wire.Code { return w.getCode(p, true) }},
			{"exists", func(p string) wire.Code { c, _ := w.exists(p, true); return c }},
			{"getChildren", func(p string) wire.Code { c, _ := w.children(p, true); return c }},
			{"getChildren2", func(p string) wire.Code { c, _, _ := w.children2(p, true); return c }},
			{"persistent", func(p string) wire.Code { return w.addWatch(p, wire.WatchPersistent) }},
			{"recursive", func(p string) wire.Code { return w.addWatch(p, wire.WatchPersistentRecursive) }},
		}
		changes := []struct {
			name string
			do   func() wire.Code
			want [6]string // by kind
		}{
			{"create", func() wire.Code { return r.create(n, node{}) }, [6]string{"", "created /n", "", "", "created /n", "created /n"}},
			{"setData", func() wire.Code { return r.setCode(n, "1", -1) },
				[6]string{"data changed /n", "data changed /n", "", "", "data changed /n", "data changed /n"}},
			{"setACL", func() wire.Code { return r.setACLCode(n, openACL) }, [6]string{}},
			{"a failed setData", func() wire.Code { r.setCode(n, "1", 99); return 0 }, [6]string{}},
			{"create of a child", func() wire.Code { return r.create(n+"/c", node{}) },
				[6]string{"", "", "children changed /n", "children changed /n", "children changed /n", "created /n/c"}},
			{"setData of a child", func() wire.Code { return r.setCode(n+"/c", "1", -1) }, [6]string{5: "data changed /n/c"}},
			{"create of a grandchild", func() wire.Code { return r.create(n+"/c/d", node{}) }, [6]string{5: "created /n/c/d"}},
			{"delete of a grandchild", func() wire.Code { return r.delete(n+"/c/d", -1) }, [6]string{5: "deleted /n/c/d"}},
			{"delete of a child", func() wire.Code { return r.delete(n+"/c", -1) },
				[6]string{"", "", "children changed /n", "children changed /n", "children changed /n", "deleted /n/c"}},
			{"delete", func() wire.Code { return r.delete(n, -1) }, [6]string{"deleted /n", "deleted /n", "deleted /n", "deleted /n", "deleted /n", "deleted /n"}},
		}
		for i, k := range kinds {
			for _, c := range changes {
				w.sync("/")
				k.arm(n)
				if code := c.do(); code != wire.OK {
					s.Fatalf("%s: %v", c.name, code)
				}
				s.is(k.name+": "+c.name, w.now(), c.want[i])
			}
			w.removeWatches(n, wire.WatcherAny)
		}
	}},
	{"one-shot watches", func(s *stage) {
		w, r := s.connect(), s.connect()
		r.make(s.p("/a"))
		w.sync("/")
		w.get(s.p("/a"), true)
		w.get(s.p("/a"), true)
		w.exists(s.p("/a"), true)
		r.setCode(s.p("/a"), "1", -1)
		r.setCode(s.p("/a"), "2", -1)
		s.is("set three times, fired once", w.now(), "data changed /a")
		w.get(s.p("/a"), false)
		r.setCode(s.p("/a"), "3", -1)
		s.is("reading without one sets none", w.now(), "")
		w.get(s.p("/a"), true)
		r.delete(s.p("/a"), -1)
		r.create(s.p("/a"), node{})
		s.is("a deletion uses it up", w.now(), "deleted /a")
		w.exists("", true)
		w.get("/zookeeper", true)
		s.is("never fired", w.now(), "")
	}},
	{"trap 11, failed reads", func(s *stage) {
		w, r := s.connect(), s.connect()
		w.exists(s.p("/e"), true)
		w.get(s.p("/d"), true)
		w.children(s.p("/c"), true)
		w.children2(s.p("/c2"), true)
		for _, p := range []string{"/d", "/c", "/c2", "/e"} {
			r.make(s.p(p))
			want := ""
			if p == "/e" {
				want = "created /e"
			}
			s.is("create of "+p, w.now(), want)
		}
		r.setCode(s.p("/d"), "x", -1)
		r.make(s.p("/c/x"), s.p("/c2/x"))
		s.is("a failed read sets none", w.now(), "")
		r.create(s.p("/secret"), node{acl: acl(2, "world", "anyone")})
		w.sync("/")
		w.get(s.p("/secret"), true)
		w.exists(s.p("/bad\x00"), true)
		r.setCode(s.p("/secret"), "x", -1)
		s.is("a read without permission sets none", w.now(), "")
	}},
	{"trap 12, exists", func(s *stage) {
		w, r := s.connect(), s.connect()
		r.make(s.p("/a"))
		w.sync("/")
		w.exists(s.p("/a"), true)
		r.setCode(s.p("/a"), "x", -1)
		s.is("fires on setData", w.now(), "data changed /a")
		w.exists(s.p("/a"), true)
		r.make(s.p("/a/x"))
		r.delete(s.p("/a/x"), -1)
		s.is("not on children", w.now(), "")
		r.delete(s.p("/a"), -1)
		s.is("fires on delete", w.now(), "deleted /a")
		w.exists(s.p("/a"), true)
		r.make(s.p("/a"))
		s.is("fires on create", w.now(), "created /a")
	}},
	{"trap 13, own events come first", func(s *stage) {
		r := s.connect()
		r.make(s.p("/a"))
		r.get(s.p("/a"), true)
		r.setCode(s.p("/a"), "x", -1)
		s.is("setData", r.heard(), "data changed /a")
		r.children(s.p("/a"), true)
		r.create(s.p("/a/b"), node{})
		s.is("create", r.heard(), "children changed /a")
		r.get(s.p("/a/b"), true)
		r.delete(s.p("/a/b"), -1)
		s.is("delete", r.heard(), "deleted /a/b")
		r.exists(s.p("/c"), true)
		r.multi(wire.OpMulti, create(s.p("/c"), node{}))
		s.is("multi", r.heard(), "created /c")
		r.get(s.p("/c"), true)
		r.request(wire.OpSetData, setBody(s.p("/c"), nil, -1))
		r.request(wire.OpGetData, watchBody(s.p("/c"), false))
		r.reply(r.xid - 1)
		r.reply(r.xid)
		s.is("pipelined", r.heard(), "data changed /c")
	}},
	{"trap 14, one deletion", func(s *stage) {
		w, r := s.connect(), s.connect()
		r.make(s.p("/p"), s.p("/p/c"))
		w.sync("/")
		w.get(s.p("/p/c"), true)
		w.children(s.p("/p/c"), true)
		w.children(s.p("/p"), true)
		r.delete(s.p("/p/c"), -1)
		s.is("data and child watch, and the parent's", w.now(), "deleted /p/c, children changed /p")
		r.make(s.p("/p/c"))
		w.sync("/")
		w.get(s.p("/p/c"), true)
		w.addWatch(s.p("/p/c"), wire.WatchPersistent)
		w.addWatch(s.p("/p"), wire.WatchPersistentRecursive)
		r.delete(s.p("/p/c"), -1)
		s.is("whatever modes match", w.now(), "deleted /p/c")
	}},
	{"trap 15, persistent watches", func(s *stage) {
		w, r := s.connect(), s.connect()
		s.is("on a node that is not there", w.addWatch(s.p("/p"), wire.WatchPersistent), wire.OK)
		s.is("recursive, likewise", w.addWatch(s.p("/r"), wire.WatchPersistentRecursive), wire.OK)
		s.is("on what is no path", w.addWatch("no path", wire.WatchPersistent), wire.OK)
		s.is("again", w.addWatch(s.p("/p"), wire.WatchPersistent), wire.OK)
		s.is("with an unknown mode", w.addWatch(s.p("/p"), 2), wire.ErrMarshalling)
		for range 2 {
			r.make(s.p("/p"), s.p("/p/c"), s.p("/r"), s.p("/r/c"))
			r.setCode(s.p("/p"), "x", -1)
			r.setCode(s.p("/r/c"), "x", -1)
			for _, p := range []string{"/p/c", "/p", "/r/c", "/r"} {
				r.delete(s.p(p), -1)
			}
			s.once("they stay, whatever happens to the node", w.now(), "created /p, children changed /p, created /r, created /r/c, data changed /p, "+
				"data changed /r/c, children changed /p, deleted /p, deleted /r/c, deleted /r")
		}
		all := s.connect()
		all.addWatch("/", wire.WatchPersistentRecursive)
		r.make(s.p("/x"))
		s.is("recursive on / sees all", strings.Contains(", "+all.now()+", ", ", created /x, "), true)
	}},
	{"trap 16, modes stack", func(s *stage) {
		w, r := s.connect(), s.connect()
		r.make(s.p("/a"), s.p("/b"))
		w.sync("/")
		w.addWatch(s.p("/a"), wire.WatchPersistent)
		w.get(s.p("/a"), true)
		r.setCode(s.p("/a"), "1", -1)
		s.is("a one-shot and a persistent one: one event", w.now(), "data changed /a")
		r.setCode(s.p("/a"), "2", -1)
		s.is("the one-shot did not eat the persistent one", w.now(), "data changed /a")
		w.addWatch(s.p("/b"), wire.WatchPersistentRecursive)
		w.children(s.p("/b"), true)
		r.make(s.p("/b/c"))
		s.is("recursive and a one-shot for children", w.now(), "created /b/c, children changed /b")
		r.make(s.p("/b/d"))
		s.is("the recursive one is still there, alone", w.now(), "created /b/d")
		w.addWatch(s.p("/b"), wire.WatchPersistent)
		r.make(s.p("/b/e"))
		s.is("recursive and persistent", w.now(), "created /b/e, children changed /b")
		s.is("one of them removed", w.removeWatches(s.p("/b"), wire.WatcherPersistent), wire.OK)
		r.make(s.p("/b/f"))
		s.is("the other stays", w.now(), "created /b/f")
	}},
	{"multis and watches", func(s *stage) {
		w, r := s.connect(), s.connect()
		r.make(s.p("/a"))
		w.sync("/")
		w.get(s.p("/a"), true)
		w.children(s.p("/a"), true)
		w.exists(s.p("/b"), true)
		r.multi(wire.OpMulti, set(s.p("/a"), "1", -1), set(s.p("/a"), "2", -1), create(s.p("/a/x"), node{}), create(s.p("/a/y"), node{}),
			create(s.p("/b"), node{}), del(s.p("/b"), -1))
		s.is("in order, each once", w.now(), "data changed /a, children changed /a, created /b")
		w.get(s.p("/a"), true)
		r.multi(wire.OpMulti, set(s.p("/a"), "3", -1), del(s.p("/none"), -1))
		s.is("a failed one fires nothing", w.now(), "")
		w.addWatch(s.root, wire.WatchPersistentRecursive)
		r.multi(wire.OpMulti, create(s.p("/t"), node{}), set(s.p("/t"), "x", -1), del(s.p("/t"), -1))
		s.is("every change, to a recursive one", w.now(), "created /t, data changed /t, deleted /t")
	}},
	{"events of a session's end", func(s *stage) {
		w, r := s.connect(), s.connect()
		r.create(s.p("/e1"), node{flags: 1})
		r.create(s.p("/e2"), node{flags: 1})
		w.sync("/")
		w.exists(s.p("/e1"), true)
		w.exists(s.p("/e2"), true)
		w.children(s.root, true)
		r.code(wire.OpCloseSession, nil)
		w.sync("/")
		s.is("each ephemeral, and the parent once", join(w.events), "children changed  deleted /e1 deleted /e2")
		s.is("one zxid for all", same(zxids(w.headers)), true)
	}},
	{"zxid of notifications", func(s *stage) {
		w, r := s.connect(), s.connect()
		r.make(s.p("/a"))
		w.sync("/")
		w.get(s.p("/a"), true)
		r.setCode(s.p("/a"), "x", -1)
		w.sync("/")
		s.is("that of the change", fmt.Sprint(len(w.headers) == 1 && w.headers[0].Zxid == r.last.Zxid), true)
		w.heard()
		w.setWatches(wire.OpSetWatches, wire.SetWatchesRequest{RelativeZxid: 1, Data: []string{s.p("/a")}})
		s.is("-1 when setWatches makes it", fmt.Sprint(zxids(w.headers)), "[-1]")
	}},
	{"events and permissions", func(s *stage) {
		w, r := s.connect(), s.connect()
		r.auth("digest", []byte("u:p"))
		r.make(s.p("/a"))
		w.sync("/")
		w.addWatch(s.p("/a"), wire.WatchPersistent)
		w.addWatch(s.p("/made"), wire.WatchPersistent)
		r.setACL(s.p("/a"), acl(31, "digest", digestU), -1)
		r.setCode(s.p("/a"), "x", -1)
		s.is("setData, without READ", w.now(), "")
		r.make(s.p("/a/b"))
		s.is("a child, without READ of the parent", w.now(), "")
		r.create(s.p("/made"), node{acl: acl(31, "digest", digestU)})
		s.is("create, without READ", w.now(), "")
		r.delete(s.p("/made"), -1)
		s.is("delete, without READ", w.now(), "")
		w.auth("digest", []byte("u:p"))
		r.setCode(s.p("/a"), "x", -1)
		s.is("setData, with READ", w.now(), "data changed /a")
	}},
	{"trap 19, checks and removals", func(s *stage) {
		w, r := s.connect(), s.connect()
		n := s.p("/n")
		r.make(n)
		w.sync("/")
		arm := map[string]func(){
			"none":       func() {},
			"data":       func() { w.get(n, true) },
			"children":   func() { w.children(n, true) },
			"persistent": func() { w.addWatch(n, wire.WatchPersistent) },
			"recursive":  func() { w.addWatch(n, wire.WatchPersistentRecursive) },
		}
		for _, kind := range []string{"none", "data", "children", "persistent", "recursive"} {
			for _, t := range []struct {
				typ  wire.WatcherType
				name string
			}{{wire.WatcherChildren, "children"}, {wire.WatcherData, "data"}, {wire.WatcherAny, "any"}, {wire.WatcherPersistent, "persistent"}, {wire.WatcherRecursive, "recursive"}} {
				want := wire.ErrNoWatcher
				if kind == t.name || t.name == "any" && kind != "none" {
					want = wire.OK
				}
				w.removeWatches(n, wire.WatcherAny)
				arm[kind]()
				name := fmt.Sprintf("a watch of kind %s, asked for %s: ", kind, t.name)
				s.is(name+"check", w.checkWatches(n, t.typ), want)
				s.is(name+"remove", w.removeWatches(n, t.typ), want)
				if want == wire.OK {
					s.is(name+"remove again", w.removeWatches(n, t.typ), wire.ErrNoWatcher)
				}
			}
		}
		w.get(n, true)
		w.checkWatches(n, wire.WatcherData)
		r.setCode(n, "x", -1)
		s.is("a check removes nothing", w.now(), "data changed /n")
		w.get(n, true)
		w.removeWatches(n, wire.WatcherData)
		r.setCode(n, "y", -1)
		s.is("a removed watch is silent", w.now(), "")
		s.is("check with a bad type", w.checkWatches(n, 6), wire.ErrMarshalling)
		s.is("remove with a bad type", w.removeWatches(n, 0), wire.ErrMarshalling)
		w.get(n, true)
		s.is("the path must be the same", w.removeWatches(s.root, wire.WatcherAny), wire.ErrNoWatcher)
		other := s.connect()
		s.is("so must the connection", other.removeWatches(n, wire.WatcherAny), wire.ErrNoWatcher)
	}},
	{"trap 20, watches end with the connection", func(s *stage) {
		w, r := s.connect(), s.connect()
		r.make(s.p("/a"))
		w.sync("/")
		w.get(s.p("/a"), true)
		w.addWatch(s.p("/a"), wire.WatchPersistent)
		n := w.attach(s.addr)
		r.setCode(s.p("/a"), "x", -1)
		s.is("the new connection has none", n.now(), "")
		s.is("nor are they there to be removed", n.checkWatches(s.p("/a"), wire.WatcherAny), wire.ErrNoWatcher)
	}},
}

func zxids(headers []wire.ReplyHeader) []int64 {
	var list []int64
	for _, h := range headers {
		list = append(list, h.Zxid)
	}
	return list
}

func same(list []int64) bool {
	for _, v := range list {
		if v != list[0] {
			return false
		}
	}
	return len(list) > 0
}

var setWatches = []scene{
	{"trap 17, setWatches", func(s *stage) {
		for _, op := range []wire.Op{wire.OpSetWatches, wire.OpSetWatches2} {
			base := s.p(fmt.Sprintf("/%v", op))
			w, r := s.connect(), s.connect()
			w.root = base
			r.make(base)
			r.make(base+"/same", base+"/changed", base+"/deleted", base+"/parent", base+"/parentgone", base+"/acl")
			w.sync("/")
			w.get(base+"/same", false)
			seen := r.zxid
			w.nc.Close()
			r.setCode(base+"/changed", "1", -1)
			r.delete(base+"/deleted", -1)
			r.delete(base+"/parentgone", -1)
			r.make(base+"/parent/c", base+"/made")
			r.setACL(base+"/acl", openACL, -1)

			for _, c := range []struct {
				name string
				req  wire.SetWatchesRequest
				want string
			}{
				{"data, the same", wire.SetWatchesRequest{Data: []string{base + "/same"}}, ""},
				{"data, changed", wire.SetWatchesRequest{Data: []string{base + "/changed"}}, "data changed /changed"},
				{"data, deleted", wire.SetWatchesRequest{Data: []string{base + "/deleted"}}, "deleted /deleted"},
				{"data, only children changed", wire.SetWatchesRequest{Data: []string{base + "/parent"}}, ""},
				{"data, only the ACL changed", wire.SetWatchesRequest{Data: []string{base + "/acl"}}, ""},
				{"exist, made", wire.SetWatchesRequest{Exist: []string{base + "/made"}}, "created /made"},
				{"exist, there as before", wire.SetWatchesRequest{Exist: []string{base + "/same"}}, "created /same"},
				{"exist, still missing", wire.SetWatchesRequest{Exist: []string{base + "/never"}}, ""},
				{"child, the same", wire.SetWatchesRequest{Child: []string{base + "/same"}}, ""},
				{"child, changed", wire.SetWatchesRequest{Child: []string{base + "/parent"}}, "children changed /parent"},
				{"child, only data changed", wire.SetWatchesRequest{Child: []string{base + "/changed"}}, ""},
				{"child, deleted", wire.SetWatchesRequest{Child: []string{base + "/parentgone"}}, "deleted /parentgone"},
				{"in the order of the lists", wire.SetWatchesRequest{Data: []string{base + "/deleted", base + "/changed"}, Exist: []string{base + "/made"},
					Child: []string{base + "/parent"}}, "deleted /deleted, data changed /changed, created /made, children changed /parent"},
				{"nothing", wire.SetWatchesRequest{}, ""},
			} {
				n := w.attach(s.addr)
				c.req.RelativeZxid = seen
				code := n.setWatches(op, c.req)
				s.is(fmt.Sprintf("%v: %s", op, c.name), words(int32(code), n.rest, n.heard()), words(0, 0, c.want))
				n.nc.Close()
			}

			n := w.attach(s.addr)
			n.setWatches(op, wire.SetWatchesRequest{RelativeZxid: seen, Data: []string{base + "/same", base + "/changed"}, Exist: []string{base + "/never"}, Child: []string{base + "/same"}})
			n.heard()
			r.setCode(base+"/same", "x", -1)
			r.setCode(base+"/changed", "x", -1)
			r.make(base+"/never", base+"/same/c")
			s.is(fmt.Sprintf("%v: what did not fire is armed, what fired is not", op), n.now(), "data changed /same, created /never, children changed /same")
		}
	}},
	{"setWatches2, lasting watches", func(s *stage) {
		w, r := s.connect(), s.connect()
		r.make(s.p("/p"), s.p("/r"))
		req := wire.SetWatchesRequest{RelativeZxid: 1, Persistent: []string{s.p("/p"), s.p("/never")}, Recursive: []string{s.p("/r")}}
		w.sync("/")
		s.is("no event for what had changed", words(int32(w.setWatches(wire.OpSetWatches2, req)), w.heard()), "0 ")
		for range 2 {
			r.setCode(s.p("/p"), "x", -1)
			r.setCode(s.p("/r"), "x", -1)
		}
		s.is("they last", w.now(), "data changed /p, data changed /r, data changed /p, data changed /r")
		s.is("they are what addWatch makes", words(int32(w.checkWatches(s.p("/p"), wire.WatcherAny)), int32(w.checkWatches(s.p("/r"), wire.WatcherAny))), "0 0")
	}},
	{"trap 18, setWatches and changes at once", func(s *stage) {
		w, r := s.connect(), s.connect()
		r.make(s.p("/a"))
		w.sync("/")
		missed := 0
		for i := range 100 {
			_, _, st := w.get(s.p("/a"), false)
			seen := w.zxid
			w.nc.Close()
			r.request(wire.OpSetData, setBody(s.p("/a"), fmt.Append(nil, i), -1)) // at the same time as the attach
			w = w.attach(s.addr)
			w.setWatches(wire.OpSetWatches, wire.SetWatchesRequest{RelativeZxid: seen, Data: []string{s.p("/a")}})
			r.reply(r.xid)
			if w.now() != "data changed /a" {
				missed++
			}
			_ = st
		}
		s.is("no change slips through", missed, 0)
	}},
	{"setWatches with nulls", func(s *stage) {
		r := s.connect()
		zero := wire.AppendInt64(nil, 0)
		s.is("a null list", r.code(wire.OpSetWatches, wire.AppendInt32(wire.AppendInt32(wire.AppendInt32(zero, -1), 0), 0)), wire.ErrMarshalling)
		s.is("the connection stays open", r.has("/"), wire.OK)
	}},
	{"large setWatches", func(s *stage) {
		r := s.connect()
		var list []string
		for i := range 2000 {
			list = append(list, s.p(fmt.Sprintf("/%s-%d", strings.Repeat("long", 20), i)))
		}
		s.is("batches of 128 KiB and more are taken", r.setWatches(wire.OpSetWatches, wire.SetWatchesRequest{RelativeZxid: r.zxid, Exist: list}), wire.OK)
		s.connect().make(list[1999])
		s.is("and watched", len(r.now()) > 0, true)
	}},
}
