package server_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server"
)

// start starts a server in memory that is closed when the test ends.
func start(t testing.TB, change ...func(*server.Config)) *server.Server {
	t.Helper()
	cfg := server.Config{Listen: "127.0.0.1:0", FourLetterWords: []string{"*"}}
	for _, f := range change {
		f(&cfg)
	}
	srv, err := server.Start(cfg)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	ready(t, srv)
	return srv
}

func ready(t testing.TB, servers ...*server.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, s := range servers {
		if err := s.Ready(ctx); err != nil {
			t.Fatalf("Ready: %v", err)
		}
	}
}

// raw is a client that says exactly what it is told to.
type raw struct {
	t        testing.TB
	nc       net.Conn
	xid      int32
	session  int64
	password []byte
	timeout  int32
	events   []wire.WatcherEvent // that came before the last reply
	zxid     int64               // of the last reply
}

func dialRaw(t testing.TB, addr string) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &raw{t: t, nc: nc}
}

// connect opens a session.
func connect(t testing.TB, srv *server.Server) *raw {
	t.Helper()
	r := dialRaw(t, srv.Addr())
	if resp := r.handshake(wire.ConnectRequest{Timeout: 10_000, Password: make([]byte, 16), HasReadOnly: true}); resp.SessionID == 0 {
		t.Fatal("no session")
	}
	return r
}

// reattach takes the session of r over by a new connection.
func (r *raw) reattach(srv *server.Server) *raw {
	r.t.Helper()
	n := dialRaw(r.t, srv.Addr())
	n.handshake(wire.ConnectRequest{Timeout: 10_000, SessionID: r.session, Password: r.password, HasReadOnly: true})
	return n
}

func (r *raw) handshake(req wire.ConnectRequest) wire.ConnectResponse {
	r.t.Helper()
	r.send(req.Append(nil))
	var resp wire.ConnectResponse
	dec := wire.NewReader(r.frame())
	if resp.Decode(dec); dec.Err() != nil {
		r.t.Fatalf("connect response: %v", dec.Err())
	}
	r.session, r.password, r.timeout = resp.SessionID, resp.Password, resp.Timeout
	return resp
}

func (r *raw) send(payload []byte) {
	r.t.Helper()
	b := wire.EndFrame(append(wire.BeginFrame(nil), payload...), 0)
	if _, err := r.nc.Write(b); err != nil {
		r.t.Fatalf("send: %v", err)
	}
}

func (r *raw) frame() []byte {
	r.t.Helper()
	f, err := wire.ReadFrame(r.nc, nil, 64<<20)
	if err != nil {
		r.t.Fatalf("no frame: %v", err)
	}
	return f
}

// closed fails the test unless the server closes the connection without a further frame.
func (r *raw) closed() {
	r.t.Helper()
	f, err := wire.ReadFrame(r.nc, nil, 64<<20)
	var timeout net.Error
	if err == nil {
		r.t.Errorf("got the frame %x, want the connection closed without a reply", f)
	} else if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, io.ErrUnexpectedEOF) {
		r.t.Errorf("%v, want the connection closed", err)
	}
}

// request sends a request and returns its xid.
func (r *raw) request(op wire.Op, body []byte) int32 {
	r.t.Helper()
	r.xid++
	r.send(append(wire.RequestHeader{Xid: r.xid, Op: op}.Append(nil), body...))
	return r.xid
}

// reply reads the reply with this xid, and the events before it.
func (r *raw) reply(xid int32) (wire.ReplyHeader, *wire.Reader) {
	r.t.Helper()
	r.events = nil
	for {
		dec := wire.NewReader(r.frame())
		var h wire.ReplyHeader
		h.Decode(dec)
		if h.Xid == wire.XidNotification {
			var e wire.WatcherEvent
			e.Decode(dec)
			r.events = append(r.events, e)
			continue
		}
		if h.Xid != xid || dec.Err() != nil {
			r.t.Fatalf("reply has xid %d (%v), want %d", h.Xid, dec.Err(), xid)
		}
		r.zxid = h.Zxid
		return h, dec
	}
}

// do sends a request and reads its reply.
func (r *raw) do(op wire.Op, body []byte) (wire.Code, *wire.Reader) {
	r.t.Helper()
	h, dec := r.reply(r.request(op, body))
	return h.Err, dec
}

// want sends a request and fails the test unless the reply has this code.
func (r *raw) want(code wire.Code, op wire.Op, body []byte) *wire.Reader {
	r.t.Helper()
	got, dec := r.do(op, body)
	if got != code {
		r.t.Fatalf("%v: %v (%d), want %v (%d)", op, got, got, code, code)
	}
	return dec
}

var openACL = []wire.ACL{{Perms: wire.PermAll, Scheme: "world", ID: "anyone"}}

func createBody(path, data string, flags int32) []byte {
	return (&wire.CreateRequest{Path: path, Data: []byte(data), ACL: openACL, Flags: flags}).Append(nil, wire.OpCreate)
}

func watchBody(path string, watch bool) []byte {
	return (&wire.PathWatchRequest{Path: path, Watch: watch}).Append(nil)
}

func versionBody(path string, version int32) []byte {
	return (&wire.PathVersionRequest{Path: path, Version: version}).Append(nil)
}

func setBody(path, data string, version int32) []byte {
	return (&wire.SetDataRequest{Path: path, Data: []byte(data), Version: version}).Append(nil)
}
