package server_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/servertest"
)

func withReadOnly(cfg *server.Config) { cfg.ReadOnlyMode = true }

// readOnly waits until a server has begun to serve reads alone.
func readOnly(t testing.TB, srv *server.Server) {
	t.Helper()
	testkit.Eventually(t, "read-only mode", func() bool { return word(t, srv, "isro") == "ro" })
}

// loseQuorum leaves the first server alone. It has nodes /a and, of a session of 10 s, /e.
func loseQuorum(t *testing.T) (*servertest.Cluster, *raw) {
	t.Helper()
	cl := servertest.NewCluster(t, 3, servertest.OnDisk(), servertest.WithConfig(withReadOnly))
	r := connect(t, cl.Servers[0].Server())
	r.want(wire.OK, wire.OpCreate, createBody("/a", "1", 0))
	r.want(wire.OK, wire.OpCreate, createBody("/e", "", 1))
	cl.Servers[1].Kill()
	cl.Servers[2].Kill()
	readOnly(t, cl.Servers[0].Server())
	return cl, r
}

func allow(r *raw) wire.ConnectRequest {
	return wire.ConnectRequest{
		Timeout: 10_000, SessionID: r.session, Password: r.password, LastZxidSeen: r.zxid, HasReadOnly: true, ReadOnly: true,
	}
}

func TestReadOnly_Protocol(t *testing.T) {
	t.Parallel()
	cl, before := loseQuorum(t)
	srv := cl.Servers[0].Server()
	fresh := dialRaw(t, srv.Addr())
	resp := fresh.handshake(allow(&raw{password: make([]byte, 16)}))
	if !resp.ReadOnly || resp.SessionID == 0 || uint64(resp.SessionID)>>56 != 0 || resp.Timeout != 10_000 {
		t.Errorf("a new client is answered %+v", resp)
	}
	again := dialRaw(t, srv.Addr())
	if resp := again.handshake(allow(before)); !resp.ReadOnly || resp.SessionID != before.session || string(resp.Password) != string(before.password) {
		t.Errorf("a client with a session is answered %+v", resp)
	}
	for _, r := range []*raw{fresh, again} {
		r.ping()
		if data, _ := r.getData("/a", true); string(data) != "1" {
			t.Errorf("/a is %q", data)
		}
		r.want(wire.ErrNotReadOnly, wire.OpCreate, createBody("/b", "", 0))
		r.want(wire.ErrNotReadOnly, wire.OpSetData, setBody("/a", "2", -1))
		r.want(wire.ErrNotReadOnly, wire.OpDelete, versionBody("/a", -1))
		r.want(wire.ErrNotReadOnly, wire.OpSync, wire.AppendString(nil, "/a"))
		r.want(wire.ErrNotReadOnly, wire.OpMulti, wire.AppendMulti(nil, nil))
		r.want(wire.ErrNotReadOnly, wire.OpReconfig, reconfigBody("", "1", "", -1))
		r.want(wire.ErrNoNode, wire.OpExists, watchBody("/b", true))
	}

	// Who does not allow it, comes from later, or knows the wrong password.
	denied := allow(&raw{password: make([]byte, 16)})
	denied.ReadOnly = false
	late := allow(&raw{password: make([]byte, 16), zxid: 1 << 40})
	unknown := allow(&raw{session: before.session + 77, password: make([]byte, 16)})
	for what, req := range map[string]wire.ConnectRequest{"not allowed": denied, "ahead": late, "unknown session": unknown} {
		r := dialRaw(t, srv.Addr())
		r.send(req.Append(nil))
		r.t.Log(what)
		r.closed()
	}
	thief := dialRaw(t, srv.Addr())
	if resp := thief.handshake(allow(&raw{session: before.session, password: make([]byte, 16)})); resp.SessionID != 0 || resp.Timeout != 0 {
		t.Errorf("a wrong password is answered %+v", resp)
	}
	if got := word(t, srv, "srvr"); !strings.Contains(got, "\nREAD-ONLY mode; serving only read-only clients\n") || !strings.Contains(got, "Mode: read-only\n") {
		t.Errorf("srvr: %s", got)
	}
	if got := word(t, srv, "mntr"); !strings.Contains(got, "zk_server_state\tread-only\n") {
		t.Errorf("mntr: %s", got)
	}

	if h, _ := fresh.reply(fresh.request(wire.OpCloseSession, nil)); h.Err != wire.OK {
		t.Errorf("closeSession: %v", h.Err)
	}
	fresh.closed()
	cl.Servers[1].Restart()
	again.closed() // without a word: the client looks for its real session, and finds it
	back := before.reattach(srv)
	if back.session != before.session {
		t.Errorf("session %#x afterwards, want %#x", back.session, before.session)
	}
	back.want(wire.OK, wire.OpSetData, setBody("/e", "mine", -1))
	// A session of the read-only mode is none of the ensemble's.
	local := dialRaw(t, srv.Addr())
	if resp := local.handshake(allow(&raw{session: fresh.session, password: fresh.password})); resp.SessionID != 0 {
		t.Errorf("a session of the read-only mode is answered %+v", resp)
	}
	if got := word(t, srv, "isro"); got != "rw" {
		t.Errorf("isro afterwards: %s", got)
	}
}

func TestReadOnly_Client(t *testing.T) {
	t.Parallel()
	cl := servertest.NewCluster(t, 3, servertest.OnDisk(), servertest.WithConfig(withReadOnly))
	c := cl.Dial(t, func(cfg *client.Config) { cfg.AllowReadOnly = true })
	if _, err := c.Create(wait(t), "/a", []byte("1")); err != nil {
		t.Fatal(err)
	}
	lead := cl.Leader()
	for _, s := range cl.Servers {
		if s != lead {
			s.Kill()
		}
	}
	readOnly(t, lead.Server())
	states := c.States(wait(t))
	for st := range states {
		if st == client.ReadOnly {
			break
		}
	}
	n, err := c.Get(wait(t), "/a")
	if err != nil || string(n.Data) != "1" {
		t.Errorf("a read: %+v, %v", n, err)
	}
	if _, err := c.Set(wait(t), "/a", []byte("2"), -1); !errors.Is(err, client.ErrReadOnly) {
		t.Errorf("a write: %v, want ErrReadOnly", err)
	}
	for _, s := range cl.Servers {
		if s != lead {
			s.Restart()
		}
	}
	for st := range c.States(wait(t)) {
		if st == client.Connected {
			break
		}
	}
	if _, err := c.Set(wait(t), "/a", []byte("3"), -1); err != nil {
		t.Errorf("a write afterwards: %v", err)
	}
}

// Without the mode, or before the server has ever followed a leader, nobody is served.
func TestReadOnly_OnlyWhereAllowed(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*server.Config){"off": func(*server.Config) {}, "never followed": withReadOnly} {
		cfg := server.Config{Listen: "127.0.0.1:0", FourLetterWords: []string{"*"}, Peers: map[uint64]string{1: "127.0.0.1:0", 2: "127.0.0.1:1"}}
		change(&cfg)
		srv, err := server.Start(cfg)
		if err != nil {
			t.Fatal(fmt.Errorf("%s: %w", name, err))
		}
		defer srv.Close()
		r := dialRaw(t, srv.Addr())
		r.send((&wire.ConnectRequest{Timeout: 10_000, Password: make([]byte, 16), HasReadOnly: true, ReadOnly: true}).Append(nil))
		began := time.Now()
		r.closed()
		if d := time.Since(began); d < 900*time.Millisecond {
			t.Errorf("%s: turned away after %v already", name, d)
		}
		if got := word(t, srv, "isro"); got != "null" {
			t.Errorf("%s: isro %q", name, got)
		}
	}
}
