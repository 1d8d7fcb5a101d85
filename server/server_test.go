package server_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server"
)

// The numbers in the names are those of the traps in §13.3 of the protocol reference.

func TestTrap1_XidsAreEchoed(t *testing.T) {
	r := connect(t, start(t))
	for _, xid := range []int32{7, 7, -5, 0, 1 << 30} {
		r.send(append(wire.RequestHeader{Xid: xid, Op: wire.OpExists}.Append(nil), watchBody("/", false)...))
		r.reply(xid)
	}
	r.send(wire.RequestHeader{Xid: 99, Op: wire.OpPing}.Append(nil))
	if h, _ := r.reply(wire.XidPing); h.Err != wire.OK || h.Zxid <= 0 {
		t.Errorf("ping: %+v", h)
	}
	r.send(append(wire.RequestHeader{Xid: 5, Op: wire.OpAuth}.Append(nil), (&wire.AuthRequest{Scheme: "digest", Auth: []byte("u:p")}).Append(nil)...))
	if h, _ := r.reply(5); h.Err != wire.OK || h.Zxid != 0 {
		t.Errorf("auth: %+v", h)
	}
}

func TestTrap2_AnswersComeInOrder(t *testing.T) {
	r := connect(t, start(t))
	var xids []int32
	for i := range 200 {
		xids = append(xids, r.request(wire.OpCreate, createBody(fmt.Sprintf("/n%d", i), "x", 0)))
		xids = append(xids, r.request(wire.OpGetData, watchBody(fmt.Sprintf("/n%d", i), false)))
		switch i % 4 {
		case 0:
			xids = append(xids, r.request(wire.OpSync, wire.AppendString(nil, "/")))
		case 1:
			r.send(wire.RequestHeader{Op: wire.OpPing}.Append(nil))
			xids = append(xids, wire.XidPing)
		case 2:
			xids = append(xids, r.request(wire.OpSetData, []byte{1, 2}))
		case 3:
			xids = append(xids, r.request(wire.OpAuth, (&wire.AuthRequest{Scheme: "ip"}).Append(nil)))
		}
	}
	zxid := int64(0)
	for _, xid := range xids {
		h, _ := r.reply(xid)
		if h.Err != wire.OK && h.Err != wire.ErrMarshalling {
			t.Fatalf("xid %d: %v", xid, h.Err)
		}
		if h.Zxid != 0 && h.Zxid < zxid {
			t.Fatalf("xid %d: zxid went from %d to %d", xid, zxid, h.Zxid)
		}
		zxid = max(zxid, h.Zxid)
	}
}

func TestTrap3_Handshake(t *testing.T) {
	srv := start(t)
	for _, hasReadOnly := range []bool{true, false} {
		r := dialRaw(t, srv.Addr())
		req := wire.ConnectRequest{Timeout: 4000, Password: make([]byte, 16), HasReadOnly: hasReadOnly}
		r.send(req.Append(nil))
		if got, want := len(r.frame()), 36; hasReadOnly && got != want+1 || !hasReadOnly && got != want {
			t.Errorf("read-only byte in the request: %v; response has %d bytes", hasReadOnly, got)
		}
	}
	gone := dialRaw(t, srv.Addr())
	resp := gone.handshake(wire.ConnectRequest{Timeout: 4000, SessionID: 4711, Password: make([]byte, 16), HasReadOnly: true})
	if resp.Timeout != 0 || resp.SessionID != 0 || len(resp.Password) != 16 {
		t.Errorf("response for an unknown session: %+v", resp)
	}
	gone.closed()
	for _, c := range []struct{ asked, want int32 }{{-1, 500}, {1, 500}, {3000, 3000}, {1 << 30, 60_000}} {
		r := dialRaw(t, srv.Addr())
		if resp := r.handshake(wire.ConnectRequest{Timeout: c.asked}); resp.Timeout != c.want {
			t.Errorf("asked for %d ms, got %d, want %d", c.asked, resp.Timeout, c.want)
		}
	}
}

func TestTrap4_SilentRefusals(t *testing.T) {
	srv := start(t)
	r := dialRaw(t, srv.Addr())
	r.send((&wire.ConnectRequest{LastZxidSeen: 1 << 40, Timeout: 4000, Password: make([]byte, 16)}).Append(nil))
	r.closed()

	for _, length := range []uint32{wire.MaxFrame + 1, 1 << 31, 1<<32 - 1} {
		r := connect(t, srv)
		if _, err := r.nc.Write(binary.BigEndian.AppendUint32(nil, length)); err != nil {
			t.Fatal(err)
		}
		r.closed()
	}
	for n := range 8 {
		r := connect(t, srv)
		r.send(make([]byte, n))
		r.closed()
	}
	r = connect(t, srv) // a frame of exactly the limit is taken (trap 41)
	body := createBody("/big", "", 0)
	body = createBody("/big", strings.Repeat("x", wire.MaxFrame-8-len(body)), 0)
	r.want(wire.OK, wire.OpCreate, body)
}

func TestTrap5_NullAndEmptyData(t *testing.T) {
	r := connect(t, start(t))
	for path, data := range map[string][]byte{"/null": nil, "/empty": {}} {
		req := wire.CreateRequest{Path: path, Data: data, ACL: openACL}
		r.want(wire.OK, wire.OpCreate, req.Append(nil, wire.OpCreate))
		var resp wire.GetDataResponse
		resp.Decode(r.want(wire.OK, wire.OpGetData, watchBody(path, false)))
		if (resp.Data == nil) != (data == nil) || len(resp.Data) != 0 {
			t.Errorf("data of %s = %#v", path, resp.Data)
		}
	}
}

func TestTrap7_TrailingBytesAndCutRecords(t *testing.T) {
	r := connect(t, start(t))
	r.want(wire.OK, wire.OpCreate, append(createBody("/a", "x", 0), "more"...))
	r.want(wire.OK, wire.OpExists, append(watchBody("/a", false), 1, 2, 3))
	for _, op := range []wire.Op{wire.OpCreate, wire.OpSetData, wire.OpMulti, wire.OpSetWatches, wire.OpGetData, wire.OpSetACL, wire.OpAddWatch} {
		if dec := r.want(wire.ErrMarshalling, op, []byte{0, 0, 0}); dec.Len() != 0 {
			t.Errorf("%v: %d bytes behind an error header (trap 8)", op, dec.Len())
		}
	}
}

func TestTrap11to14_Watches(t *testing.T) {
	srv := start(t)
	w, r := connect(t, srv), connect(t, srv)
	w.want(wire.ErrNoNode, wire.OpExists, watchBody("/a", true))      // 11: registers
	w.want(wire.ErrNoNode, wire.OpGetData, watchBody("/b", true))     // 11: does not
	w.want(wire.ErrNoNode, wire.OpGetChildren, watchBody("/b", true)) // 11: does not
	r.want(wire.OK, wire.OpCreate, createBody("/b", "", 0))
	r.want(wire.OK, wire.OpCreate, createBody("/a", "", 0))
	expect := func(c *raw, want ...wire.WatcherEvent) {
		t.Helper()
		c.want(wire.OK, wire.OpSync, wire.AppendString(nil, "/"))
		for i := range want {
			want[i].State = wire.StateSyncConnected
		}
		if !slices.Equal(c.events, want) {
			t.Errorf("events %+v, want %+v", c.events, want)
		}
	}
	expect(w, wire.WatcherEvent{Type: wire.EventCreated, Path: "/a"})
	w.want(wire.OK, wire.OpExists, watchBody("/a", true)) // 12
	r.want(wire.OK, wire.OpSetData, setBody("/a", "1", -1))
	expect(w, wire.WatcherEvent{Type: wire.EventDataChanged, Path: "/a"})
	w.want(wire.OK, wire.OpGetData, watchBody("/a", true))
	w.want(wire.OK, wire.OpGetChildren, watchBody("/a", true))
	w.want(wire.OK, wire.OpGetChildren, watchBody("/", true))
	w.want(wire.OK, wire.OpDelete, versionBody("/a", -1)) // 13: before the reply of the op that caused it; 14: one deletion
	if want := []wire.WatcherEvent{{Type: wire.EventDeleted, State: 3, Path: "/a"}, {Type: wire.EventChildrenChanged, State: 3, Path: "/"}}; !slices.Equal(w.events, want) {
		t.Errorf("events before the reply to the delete: %+v, want %+v", w.events, want)
	}
	expect(w)
}

func TestTrap17_SetWatches(t *testing.T) {
	srv := start(t)
	w, r := connect(t, srv), connect(t, srv)
	for _, p := range []string{"/same", "/changed", "/deleted", "/parent", "/made"} {
		if p != "/made" {
			r.want(wire.OK, wire.OpCreate, createBody(p, "", 0))
		}
	}
	w.want(wire.OK, wire.OpGetData, watchBody("/same", false))
	seen := w.zxid
	w.nc.Close()
	r.want(wire.OK, wire.OpSetData, setBody("/changed", "1", -1))
	r.want(wire.OK, wire.OpDelete, versionBody("/deleted", -1))
	r.want(wire.OK, wire.OpCreate, createBody("/parent/c", "", 0))
	r.want(wire.OK, wire.OpCreate, createBody("/made", "", 0))

	n := w.reattach(srv)
	if n.session != w.session {
		t.Fatalf("session %x, want %x", n.session, w.session)
	}
	req := wire.SetWatchesRequest{RelativeZxid: seen, Data: []string{"/same", "/changed", "/deleted"}, Exist: []string{"/made", "/never"},
		Child: []string{"/parent", "/same"}, Persistent: []string{"/parent"}}
	n.want(wire.OK, wire.OpSetWatches2, req.Append(nil, wire.OpSetWatches2))
	want := []wire.WatcherEvent{
		{Type: wire.EventDataChanged, State: 3, Path: "/changed"}, {Type: wire.EventDeleted, State: 3, Path: "/deleted"},
		{Type: wire.EventCreated, State: 3, Path: "/made"}, {Type: wire.EventChildrenChanged, State: 3, Path: "/parent"},
	}
	if !slices.Equal(n.events, want) {
		t.Errorf("events %+v, want %+v", n.events, want)
	}
	r.want(wire.OK, wire.OpSetData, setBody("/same", "1", -1))
	n.want(wire.OK, wire.OpSync, wire.AppendString(nil, "/"))
	if len(n.events) != 1 || n.events[0].Path != "/same" {
		t.Errorf("events %+v, want one for /same", n.events)
	}
}

func TestTrap19_CheckAndRemoveWatches(t *testing.T) {
	r := connect(t, start(t))
	body := func(typ wire.WatcherType) []byte {
		return (&wire.RemoveWatchesRequest{Path: "/", Type: typ}).Append(nil)
	}
	r.want(wire.ErrNoWatcher, wire.OpCheckWatches, body(wire.WatcherAny))
	r.want(wire.OK, wire.OpGetChildren, watchBody("/", true))
	r.want(wire.OK, wire.OpCheckWatches, body(wire.WatcherChildren))
	r.want(wire.ErrNoWatcher, wire.OpCheckWatches, body(wire.WatcherData))
	r.want(wire.OK, wire.OpRemoveWatches, body(wire.WatcherChildren))
	r.want(wire.ErrNoWatcher, wire.OpRemoveWatches, body(wire.WatcherChildren))
	r.want(wire.ErrMarshalling, wire.OpRemoveWatches, body(6))
}

func TestTrap20to25_SessionOutlivesItsConnections(t *testing.T) {
	srv := start(t)
	r, other := connect(t, srv), connect(t, srv)
	r.want(wire.OK, wire.OpCreate, createBody("/e", "", wire.FlagEphemeral))
	wrong := dialRaw(t, srv.Addr())
	if resp := wrong.handshake(wire.ConnectRequest{SessionID: r.session, Password: []byte("0123456789abcdef"), Timeout: 10_000}); resp.SessionID != 0 {
		t.Errorf("a wrong password got session %x", resp.SessionID)
	}
	r.want(wire.OK, wire.OpExists, watchBody("/e", false)) // 25: the wrong password did not close it

	n := r.reattach(srv)
	if n.session != r.session {
		t.Fatalf("session %x, want %x", n.session, r.session)
	}
	r.closed() // 25: the newer wins
	n.nc.Close()
	other.want(wire.OK, wire.OpExists, watchBody("/e", false)) // 21
	n = n.reattach(srv)
	n.want(wire.OK, wire.OpCreate, createBody("/e2", "", wire.FlagEphemeral))
	other.want(wire.OK, wire.OpGetChildren, watchBody("/", true))

	// 23: the reply comes, then the close; what is pipelined behind is not carried out.
	xid := n.request(wire.OpCloseSession, nil)
	n.request(wire.OpCreate, createBody("/late", "", 0))
	if h, _ := n.reply(xid); h.Err != wire.OK {
		t.Errorf("closeSession: %v", h.Err)
	}
	n.closed()
	for _, p := range []string{"/e", "/e2", "/late"} {
		other.want(wire.ErrNoNode, wire.OpExists, watchBody(p, false))
	}
	if resp := dialRaw(t, srv.Addr()).handshake(wire.ConnectRequest{SessionID: r.session, Password: r.password, Timeout: 10_000}); resp.SessionID != 0 {
		t.Errorf("a closed session was re-attached")
	}
}

func TestTrap24_MovedSessionIsFenced(t *testing.T) {
	servers := startEnsemble(t, 3)
	old := connect(t, servers[0])
	moved := old.reattach(servers[1])
	if moved.session != old.session {
		t.Fatal("not re-attached")
	}
	old.want(wire.OK, wire.OpExists, watchBody("/", false)) // reads may go on
	old.request(wire.OpCreate, createBody("/late", "", 0))
	old.closed()
	moved.want(wire.ErrNoNode, wire.OpExists, watchBody("/late", false))
	moved.want(wire.OK, wire.OpCreate, createBody("/new", "", 0))
}

func TestTrap44_UnknownOperations(t *testing.T) {
	srv := start(t)
	for _, op := range []wire.Op{0, -1, 10, 13, 20, 23, 99, 108, -10, 1 << 30} {
		r := connect(t, srv)
		h, dec := r.reply(r.request(op, []byte("some body")))
		if h.Err != wire.ErrUnimplemented || h.Zxid != -1 || dec.Len() != 0 {
			t.Errorf("%v: %+v", op, h)
		}
		r.closed()
	}
	r := connect(t, srv) // 47: not so for a TTL that is not allowed
	req := wire.CreateRequest{Path: "/ttl", ACL: openACL, Flags: wire.FlagTTL, TTL: 1000}
	r.want(wire.ErrUnimplemented, wire.OpCreateTTL, req.Append(nil, wire.OpCreateTTL))
	r.want(wire.OK, wire.OpExists, watchBody("/", false))
}

func TestTrap45_ConnectionsPerAddress(t *testing.T) {
	srv := start(t, func(c *server.Config) { c.MaxConnectionsPerAddress = 2 })
	a := connect(t, srv)
	connect(t, srv)
	third := dialRaw(t, srv.Addr())
	third.closed()
	a.nc.Close()
	testkit.Eventually(t, "room for another connection", func() bool {
		nc, err := net.Dial("tcp", srv.Addr())
		if err != nil {
			return false
		}
		defer nc.Close()
		if _, err := io.WriteString(nc, "ruok"); err != nil {
			return false
		}
		got, _ := io.ReadAll(nc)
		return string(got) == "imok"
	})
}

func TestTrap40_FourLetterWords(t *testing.T) {
	srv := start(t, func(c *server.Config) { c.FourLetterWords = []string{"ruok", "srvr", "mntr"} })
	ask := func(parts ...string) string {
		t.Helper()
		r := dialRaw(t, srv.Addr())
		for _, p := range parts {
			if _, err := io.WriteString(r.nc, p); err != nil {
				t.Fatal(err)
			}
		}
		got, err := io.ReadAll(r.nc)
		if err != nil {
			t.Fatal(err)
		}
		return string(got)
	}
	if got := ask("ru", "o", "k"); got != "imok" {
		t.Errorf("ruok: %q", got)
	}
	if got := ask("ruok\n"); got != "imok" {
		t.Errorf("ruok and a newline: %q", got)
	}
	if got, want := ask("stat"), "stat is not executed because it is not in the whitelist.\n"; got != want {
		t.Errorf("stat: %q, want %q", got, want)
	}
	if got := ask("srvr"); !strings.Contains(got, "Mode: standalone\n") || !strings.Contains(got, "Zxid: 0x") {
		t.Errorf("srvr: %q", got)
	}
	if got := ask("mntr"); !strings.Contains(got, "zk_znode_count\t4\n") {
		t.Errorf("mntr: %q", got)
	}
}

func TestGuaranteeS6_SilentSessionExpires(t *testing.T) {
	srv := start(t)
	other := connect(t, srv)
	r := dialRaw(t, srv.Addr())
	r.handshake(wire.ConnectRequest{Timeout: 600, HasReadOnly: true})
	r.want(wire.OK, wire.OpCreate, createBody("/e", "", wire.FlagEphemeral))
	last := time.Now()
	other.want(wire.OK, wire.OpExists, watchBody("/e", true))
	r.closed() // at expiry, without a word
	if d := time.Since(last); d < 590*time.Millisecond || d > 5*time.Second {
		t.Errorf("expired %v after the last request, the timeout is 600 ms", d)
	}
	other.want(wire.OK, wire.OpSync, wire.AppendString(nil, "/"))
	if len(other.events) != 1 || other.events[0].Type != wire.EventDeleted {
		t.Errorf("events %+v, want one deletion", other.events)
	}
}

func TestGuaranteeS6_PingsAndReadsKeepASession(t *testing.T) {
	srv := start(t)
	for _, read := range []bool{false, true} {
		r := dialRaw(t, srv.Addr())
		r.handshake(wire.ConnectRequest{Timeout: 500, HasReadOnly: true})
		for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); time.Sleep(100 * time.Millisecond) { // the time that passes is the test
			if read {
				r.want(wire.OK, wire.OpExists, watchBody("/", false))
				continue
			}
			r.send(wire.RequestHeader{Xid: -2, Op: wire.OpPing}.Append(nil))
			r.reply(wire.XidPing)
		}
	}
}

// startEnsemble starts n servers in memory.
func startEnsemble(t *testing.T, n int, change ...func(*server.Config)) []*server.Server {
	t.Helper()
	peers := make(map[uint64]string)
	var listeners []net.Listener
	for i := range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, ln)
		peers[uint64(i+1)] = ln.Addr().String()
	}
	var servers []*server.Server
	for i, ln := range listeners {
		cfg := server.Config{ID: uint64(i + 1), Listen: "127.0.0.1:0", Peers: peers, PeerListener: ln, FourLetterWords: []string{"*"}}
		for _, f := range change {
			f(&cfg)
		}
		srv, err := server.Start(cfg)
		if err != nil {
			t.Fatalf("Start: %v", err)
		}
		t.Cleanup(func() { srv.Close() }) // the last one to stop has no majority to hand anything to
		servers = append(servers, srv)
	}
	ready(t, servers...)
	return servers
}

func TestStartRefusesBadConfigurations(t *testing.T) {
	taken := start(t)
	for want, cfg := range map[string]server.Config{
		"want 1 to 254":                     {ID: 255},
		"do not contain this server's own":  {ID: 4, Peers: map[uint64]string{1: "127.0.0.1:1", 2: "127.0.0.1:2"}},
		"have the same address":             {ID: 1, Peers: map[uint64]string{1: "127.0.0.1:1", 2: "127.0.0.1:1"}},
		"address of peer 2":                 {ID: 1, Peers: map[uint64]string{1: "127.0.0.1:1", 2: "nowhere"}},
		"is above the maximum":              {MinSessionTimeout: time.Hour},
		"four-letter word \"wchx\"":         {FourLetterWords: []string{"wchx"}},
		"listen for clients: listen tcp":    {Listen: taken.Addr()},
		"longest frame 12":                  {MaxFrame: 12},
		"tick -1s: want more than 0":        {Tick: -time.Second},
		"connections per address -1: want ": {MaxConnectionsPerAddress: -1},
	} {
		if cfg.Listen == "" {
			cfg.Listen = "127.0.0.1:0"
		}
		srv, err := server.Start(cfg)
		if err == nil {
			srv.Close()
			t.Errorf("started, want an error with %q", want)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q, want one with %q", err, want)
		}
	}
}

// A read between two pipelined writes shows the first and not the second, though both are applied at once.
func TestGuaranteeS3_ReadsKeepTheirPlaceBetweenWrites(t *testing.T) {
	r := connect(t, start(t))
	r.want(wire.OK, wire.OpCreate, createBody("/a", "", 0))
	type ask struct {
		xid  int32
		want string
	}
	var asked []ask
	for i := range 300 {
		r.request(wire.OpSetData, setBody("/a", fmt.Sprint(i), -1))
		if i%7 == 0 {
			r.send(wire.RequestHeader{Op: wire.OpPing}.Append(nil))
		}
		asked = append(asked, ask{r.request(wire.OpGetData, watchBody("/a", true)), fmt.Sprint(i)})
	}
	for _, a := range asked {
		r.reply(a.xid - 1)
		if i := a.xid - 2; i/2%7 == 0 {
			r.reply(wire.XidPing)
		}
		h, dec := r.reply(a.xid)
		var resp wire.GetDataResponse
		resp.Decode(dec)
		if string(resp.Data) != a.want || resp.Stat.Mzxid > h.Zxid {
			t.Fatalf("xid %d: read %q at zxid %d of %d, want %q", a.xid, resp.Data, resp.Stat.Mzxid, h.Zxid, a.want)
		}
	}
}
