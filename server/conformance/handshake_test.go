package conformance

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/docent-io/docent/internal/wire"
)

// The limits that every target is configured with, in milliseconds.
const (
	minTimeout = 1000
	maxTimeout = 60_000
)

var noPassword = make([]byte, 16)

var handshakes = []scene{
	{"trap 3, handshake", func(s *stage) {
		for _, with := range []bool{true, false} {
			r := dial(s.T, s.addr)
			r.send((&wire.ConnectRequest{ProtocolVersion: 7, Timeout: 10_000, Password: noPassword, HasReadOnly: with}).Append(nil))
			f := r.frame()
			s.is(fmt.Sprintf("length of the response, read-only byte asked: %v", with), len(f), map[bool]int{true: 37, false: 36}[with])
			s.is(fmt.Sprintf("protocol version and timeout, read-only byte asked: %v", with), fmt.Sprintf("%x", f[:8]), "0000000000002710")
			s.is(fmt.Sprintf("password length, read-only byte asked: %v", with), fmt.Sprintf("%x", f[16:20]), "00000010")
		}
		a, b := s.connect(), s.connect()
		s.is("sessions differ", a.session != b.session, true)
		s.is("no session is zero or a TTL marker", a.session != 0 && byte(a.session>>56) != 0xff, true)
		s.is("passwords are no zeros", string(a.password) != string(noPassword), true)
		for name, req := range map[string]wire.ConnectRequest{
			"null password":              {Timeout: 5000, Password: nil},
			"empty password":             {Timeout: 5000, Password: []byte{}},
			"wants no more than reading": {Timeout: 5000, Password: noPassword, HasReadOnly: true, ReadOnly: true},
		} {
			resp := dial(s.T, s.addr).handshake(req)
			s.is("new session with "+name, resp.SessionID != 0 && resp.Timeout == 5000 && len(resp.Password) == 16 && !resp.ReadOnly, true)
		}
		more := dial(s.T, s.addr)
		more.send(append((&wire.ConnectRequest{Timeout: 5000, Password: noPassword, HasReadOnly: true}).Append(nil), 1, 2, 3))
		s.is("bytes behind the request are ignored", len(more.frame()), 37)
		cut := dial(s.T, s.addr)
		cut.send((&wire.ConnectRequest{Timeout: 5000, Password: noPassword}).Append(nil)[:30])
		s.is("a request cut in its password", cut.end(), "closed")
	}},
	{"negotiated timeout", func(s *stage) {
		for _, c := range []struct{ asked, want int32 }{
			{math.MinInt32, minTimeout}, {-1, minTimeout}, {0, minTimeout}, {minTimeout - 1, minTimeout}, {minTimeout, minTimeout},
			{12_345, 12_345}, {maxTimeout, maxTimeout}, {maxTimeout + 1, maxTimeout}, {math.MaxInt32, maxTimeout},
		} {
			resp := dial(s.T, s.addr).handshake(wire.ConnectRequest{Timeout: c.asked, Password: noPassword})
			s.is(fmt.Sprint("asked for ", c.asked), resp.Timeout, c.want)
		}
	}},
	{"trap 26, timeout renegotiated", func(s *stage) {
		r := s.connect()
		n := dial(s.T, s.addr)
		resp := n.handshake(wire.ConnectRequest{Timeout: 7000, SessionID: r.session, Password: r.password})
		s.is("the new timeout", resp.Timeout, 7000)
		s.is("the same session", resp.SessionID, r.session)
		s.is("the same password", fmt.Sprintf("%x", resp.Password), fmt.Sprintf("%x", r.password))
		again := dial(s.T, s.addr).handshake(wire.ConnectRequest{Timeout: 1 << 30, SessionID: r.session, Password: r.password})
		s.is("clamped again", again.Timeout, maxTimeout)
	}},
	{"sessions refused", func(s *stage) {
		r := s.connect()
		const gone = "00000000" + "00000000" + "0000000000000000" + "00000010" + "00000000000000000000000000000000"
		for _, c := range []struct {
			name string
			req  wire.ConnectRequest
			want string
		}{
			{"unknown, with the read-only byte", wire.ConnectRequest{SessionID: 0x123456, Password: noPassword, Timeout: 9000, HasReadOnly: true}, gone + "00"},
			{"unknown, without the read-only byte", wire.ConnectRequest{SessionID: 0x123456, Password: noPassword, Timeout: 9000}, gone},
			{"wrong password", wire.ConnectRequest{SessionID: r.session, Password: noPassword, Timeout: 9000, HasReadOnly: true}, gone + "00"},
			{"null password", wire.ConnectRequest{SessionID: r.session, Timeout: 9000, HasReadOnly: true}, gone + "00"},
			{"short password", wire.ConnectRequest{SessionID: r.session, Password: r.password[:8], Timeout: 9000, HasReadOnly: true}, gone + "00"},
		} {
			n := dial(s.T, s.addr)
			n.send(c.req.Append(nil))
			s.is(c.name, fmt.Sprintf("%x", n.frame()), c.want)
			s.is(c.name+": then the end", n.end(), "closed")
		}
	}},
	{"trap 25, who attaches", func(s *stage) {
		r := s.connect()
		wrong := dial(s.T, s.addr)
		wrong.send((&wire.ConnectRequest{SessionID: r.session, Password: noPassword, Timeout: 9000}).Append(nil))
		wrong.frame()
		s.is("a wrong password disturbs nobody", alive(r), "alive")
		r = s.connect()
		n := r.attach(s.addr)
		s.is("the newer connection wins", n.has("/"), wire.OK)
		s.is("the older one is closed", r.end(), "closed")
	}},
	{"trap 4, zxid ahead", func(s *stage) {
		r := s.connect()
		r.make(s.p("/a"))
		for _, c := range []struct {
			name    string
			ahead   int64
			session int64
		}{{"a new session", 1 << 40, 0}, {"an old session", 1 << 40, r.session}} {
			n := dial(s.T, s.addr)
			n.send((&wire.ConnectRequest{LastZxidSeen: r.zxid + c.ahead, SessionID: c.session, Password: r.password, Timeout: 9000}).Append(nil))
			s.is(c.name+" from another history", n.end(), "closed")
		}
		same := dial(s.T, s.addr).handshake(wire.ConnectRequest{LastZxidSeen: r.zxid, Password: noPassword, Timeout: 9000})
		s.is("as far as the server is not ahead", same.SessionID != 0, true)
	}},
}

// alive tells whether a connection still answers.
func alive(r *raw) string {
	r.xid++
	b := append(wire.RequestHeader{Xid: r.xid, Op: wire.OpExists}.Append(nil), watchBody("/", false)...)
	if _, err := r.nc.Write(wire.EndFrame(append(wire.BeginFrame(nil), b...), 0)); err != nil {
		return "closed"
	}
	if _, err := r.read(); err != nil {
		return "closed"
	}
	return "alive"
}

var frames = []scene{
	{"trap 41, frame lengths", func(s *stage) {
		for _, length := range []uint32{wire.MaxFrame + 1, 1 << 30, 1 << 31, math.MaxUint32} {
			r := s.connect()
			r.write(binary.BigEndian.AppendUint32(nil, length))
			s.is(fmt.Sprintf("length %#x", length), r.end(), "closed")
		}
		for _, n := range []int{0, 4, 7} {
			r := s.connect()
			r.send(make([]byte, n))
			s.is(fmt.Sprintf("a frame of %d bytes has no header", n), r.end(), "closed")
		}
		r := s.connect()
		r.make(s.p("/big"))
		empty := len(setBody(s.p("/big"), []byte{}, -1)) + 8
		s.is("the longest frame", r.setCode(s.p("/big"), strings.Repeat("x", wire.MaxFrame-empty), -1), wire.OK)
		_, data, _ := r.get(s.p("/big"), false)
		s.is("the longest frame, read back", len(data), wire.MaxFrame-empty)
		first := dial(s.T, s.addr)
		first.write(binary.BigEndian.AppendUint32(nil, wire.MaxFrame+1))
		s.is("a first frame too long", first.end(), "closed")
	}},
	{"trap 1, xids", func(s *stage) {
		r := s.connect()
		for _, xid := range []int32{7, 7, -5, 0, math.MaxInt32, math.MinInt32} {
			r.requestAs(xid, wire.OpExists, watchBody("/", false))
			r.t.Helper()
			code, _ := r.reply(xid)
			s.once(fmt.Sprint("echo of ", xid), code, wire.OK)
		}
		r.requestAs(99, wire.OpPing, nil)
		code, _ := r.reply(wire.XidPing)
		s.is("a ping's reply has xid -2", code, wire.OK)
		s.is("a ping's reply has a zxid, and no body", fmt.Sprint(r.last.Zxid > 0, r.rest), "true 0")
		for _, xid := range []int32{-4, 12} {
			r.requestAs(xid, wire.OpAuth, (&wire.AuthRequest{Scheme: "digest", Auth: []byte("u:p")}).Append(nil))
			code, _ = r.reply(xid)
			s.is(fmt.Sprint("auth with xid ", xid), code, wire.OK)
			s.is(fmt.Sprint("auth with xid ", xid, ": zxid and body"), words(r.last.Zxid, r.rest), "0 0")
		}
		for _, xid := range []int32{-8, 13} {
			r.requestAs(xid, wire.OpSetWatches, (&wire.SetWatchesRequest{RelativeZxid: r.zxid}).Append(nil, wire.OpSetWatches))
			code, _ = r.reply(xid)
			s.is(fmt.Sprint("setWatches with xid ", xid), code, wire.OK)
		}
	}},
	{"trap 2, answers in order", func(s *stage) {
		r := s.connect()
		var xids []int32
		for i := range 60 {
			xids = append(xids, r.request(wire.OpCreate, node{}.body(wire.OpCreate, s.p(fmt.Sprint("/", i)))))
			xids = append(xids, r.request(wire.OpGetData, watchBody(s.p(fmt.Sprint("/", i)), i%2 == 0)))
			switch i % 5 {
			case 0:
				xids = append(xids, r.request(wire.OpSync, wire.AppendString(nil, "/")))
			case 1:
				r.requestAs(-2, wire.OpPing, nil)
				xids = append(xids, -2)
			case 2:
				xids = append(xids, r.request(wire.OpSetData, []byte{1, 2}))
			case 4:
				xids = append(xids, r.request(wire.OpSetWatches, (&wire.SetWatchesRequest{RelativeZxid: math.MaxInt64 >> 1}).Append(nil, wire.OpSetWatches)))
			}
		}
		var odd []string
		for _, xid := range xids {
			if code, _ := r.reply(xid); code != wire.OK && code != wire.ErrMarshalling {
				odd = append(odd, fmt.Sprint(xid, code))
			}
		}
		s.is("every answer at its place", strings.Join(odd, ", "), "")
		fire := s.connect()
		fire.create(s.p("/many"), node{})
		const n = 300
		for i := range n {
			fire.request(wire.OpSetData, setBody(s.p("/many"), fmt.Append(nil, i), -1))
			fire.request(wire.OpGetData, watchBody(s.p("/many"), false))
		}
		wrong := 0
		for i := range n {
			fire.reply(fire.xid - 2*n + int32(2*i) + 1)
			_, dec := fire.reply(fire.xid - 2*n + int32(2*i) + 2)
			if got := string(dec.Buffer()); got != fmt.Sprint(i) {
				wrong++
			}
		}
		s.is("a read between two pipelined writes shows the first and not the second", wrong, 0)
	}},
	{"trap 7, trailing bytes and cut records", func(s *stage) {
		r := s.connect()
		s.is("create with bytes behind", r.code(wire.OpCreate, append(node{}.body(wire.OpCreate, s.p("/a")), "more"...)), wire.OK)
		s.is("exists with bytes behind", r.code(wire.OpExists, append(watchBody(s.p("/a"), false), 1, 2, 3)), wire.OK)
		s.is("whoAmI with bytes behind", r.code(wire.OpWhoAmI, []byte{1, 2, 3}), wire.OK)
		for _, op := range []wire.Op{
			wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpDelete, wire.OpExists, wire.OpGetData, wire.OpSetData, wire.OpGetACL,
			wire.OpSetACL, wire.OpGetChildren, wire.OpGetChildren2, wire.OpMulti, wire.OpMultiRead, wire.OpSetWatches, wire.OpSetWatches2,
			wire.OpAddWatch, wire.OpCheckWatches, wire.OpRemoveWatches, wire.OpGetAllChildrenNumber,
		} {
			s.is(fmt.Sprintf("%v cut short", op), r.code(op, []byte{0, 0, 0}), wire.ErrMarshalling)
		}
		s.is("the connection stays open", r.has("/"), wire.OK)
		body := watchBody(s.p("/a"), true)
		body[len(body)-1] = 77
		s.is("any byte but 0 is true", r.code(wire.OpGetData, body), wire.OK)
		s.connect().setCode(s.p("/a"), "x", -1)
		s.is("any byte but 0 is true: the watch", r.now(), "data changed /a")
	}},
	{"trap 8, no body behind an error", func(s *stage) {
		r := s.connect()
		for _, c := range []struct {
			name string
			op   wire.Op
			body []byte
			want wire.Code
		}{
			{"exists, no node", wire.OpExists, watchBody(s.p("/none"), false), wire.ErrNoNode},
			{"getData, no node", wire.OpGetData, watchBody(s.p("/none"), false), wire.ErrNoNode},
			{"getChildren, no node", wire.OpGetChildren, watchBody(s.p("/none"), false), wire.ErrNoNode},
			{"setData, no node", wire.OpSetData, setBody(s.p("/none"), nil, -1), wire.ErrNoNode},
			{"create2, exists", wire.OpCreate2, node{}.body(wire.OpCreate2, s.root), wire.ErrNodeExists},
		} {
			code := r.code(c.op, c.body)
			s.is(c.name, words(int32(code), r.rest), words(int32(c.want), 0))
		}
		code, results := r.multi(wire.OpMulti, wire.MultiOp{Op: wire.OpDelete, Check: wire.PathVersionRequest{Path: s.p("/none"), Version: -1}})
		s.is("a failed multi has no error in its header", words(int32(code), results), "0 error -101")
	}},
	{"trap 9, zxids of replies", func(s *stage) {
		r := s.connect()
		r.make(s.p("/a"))
		made := r.last.Zxid
		s.is("a create's reply has its own zxid", made, r.statOf(s.p("/a")).Czxid)
		s.is("a read's reply is not behind it", r.last.Zxid >= made, true)
		r.has(s.p("/none"))
		s.is("an error's reply has one, too", r.last.Zxid >= made, true)
		before := r.last.Zxid
		r.create(s.p("/a"), node{})
		s.is("a failed write takes a zxid", r.last.Zxid > before, true)
		before = r.last.Zxid
		r.sync("/")
		s.is("a sync's reply is not behind", r.last.Zxid >= before, true)
		r.ping()
		s.is("a ping's reply is not behind", r.last.Zxid >= before, true)
		_, st := r.set(s.p("/a"), "x", -1)
		s.is("setData: mzxid is the reply's zxid", st.Mzxid, r.last.Zxid)
	}},
	{"trap 44, unknown operations", func(s *stage) {
		for _, op := range []wire.Op{0, -1, 10, 23, 55, 99, 108, 1 << 30, -11 - 1, -10, 13, 20} {
			name := fmt.Sprint("type ", int32(op))
			if s.skips(name) {
				continue
			}
			r := s.connect()
			r.requestAs(5, op, []byte("some body of no meaning"))
			code, _ := r.reply(5)
			s.is(name, words(int32(code), r.last.Zxid, r.rest, r.end()), "-6 -1 0 closed")
		}
	}},
	{"trap 40, four-letter words", func(s *stage) {
		s.is("ruok", word(s.T, s.addr, "ruok"), "imok")
		s.is("ruok with a newline", word(s.T, s.addr, "ruok\n"), "imok")
		s.is("ruok in parts", word(s.T, s.addr, "r", "uo", "k"), "imok")
		s.is("isro", word(s.T, s.addr, "isro"), "rw")
		s.is("a word unknown", word(s.T, s.addr, "wxyz"), "")
		srvr := word(s.T, s.addr, "srvr")
		for _, line := range []string{"Zookeeper version: ", "Latency min/avg/max: ", "Received: ", "Sent: ", "Connections: ", "Outstanding: ", "Zxid: 0x", "Mode: ", "Node count: "} {
			s.is("srvr: "+line, strings.Contains("\n"+srvr, "\n"+line), true)
		}
		for _, key := range []string{"zk_version\t", "zk_server_state\t", "zk_znode_count\t", "zk_watch_count\t", "zk_ephemerals_count\t", "zk_approximate_data_size\t"} {
			s.is("mntr: "+strings.TrimSpace(key), strings.Contains("\n"+word(s.T, s.addr, "mntr"), "\n"+key), true)
		}
		s.is("conf: clientPort", strings.Contains(word(s.T, s.addr, "conf"), "clientPort="), true)
		s.is("envi: zookeeper.version", strings.Contains(word(s.T, s.addr, "envi"), "zookeeper.version="), true)
		s.is("srst", word(s.T, s.addr, "srst"), "Server stats reset.\n")
	}},
}

// once is is for a check that may be made again under the same name.
func (s *stage) once(name string, got, want any) {
	s.Helper()
	full := s.scene + ": " + name
	s.tally.mu.Lock()
	delete(s.tally.names, full)
	s.tally.mu.Unlock()
	s.is(name, got, want)
}
