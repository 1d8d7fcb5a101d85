package server

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

// FuzzMembers reads anything as the members that a client wants (reconfig) or that zoo.cfg names: what is taken comes out the
// same of the lines that are kept of it.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{"server.1=a:1:2:participant;0.0.0.0:3", "server.2=[::1]:1:2:observer\nversion=0", "server.3=a:1:2,server.4=b:1:2", "=", "server.=::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, lines, err := parseMembers(text)
		if err != nil {
			return
		}
		again, _, err := parseMembers(strings.Join(slices.Collect(maps.Values(lines)), "\n"))
		if err != nil || len(again) != len(list) {
			t.Fatalf("%q is taken as %v, and its lines are not: %v", text, list, err)
		}
		for _, m := range list {
			if !slices.Contains(again, m) {
				t.Errorf("%+v comes back as %+v", m, again)
			}
		}
	})
}

// FuzzOperations decodes anything as the body of each operation that a client may send. What becomes a transaction is encoded,
// for that is what goes into the log, and every server must read it.
func FuzzOperations(f *testing.F) {
	f.Add(int32(wire.OpCreate), wire.AppendString(nil, "/a"))
	f.Add(int32(wire.OpMulti), wire.AppendMulti(nil, []wire.MultiOp{{Op: wire.OpDelete, Check: wire.PathVersionRequest{Path: "/a"}}}))
	f.Fuzz(func(t *testing.T, number int32, body []byte) {
		o, ok := operations[wire.Op(number)]
		if !ok {
			return
		}
		r := wire.NewReader(body)
		if o.read != nil {
			o.read(r)
			return
		}
		x := tree.Txn{Session: 1, Epoch: 1, Op: wire.Op(number)}
		if o.write(r, &x); r.Err() != nil {
			return
		}
		var y tree.Txn
		if err := y.Decode(x.Append(nil)); err != nil {
			t.Errorf("%v %x goes into the log and cannot be read there: %v", x.Op, body, err)
		}
	})
}

// FuzzMemberBody reads anything as the body of an operator's request: what is taken comes back the same when it is written.
func FuzzMemberBody(f *testing.F) {
	f.Add([]byte(`{"id":4,"address":"a:1","observer":true}`))
	f.Add([]byte(`{"id":254} {"id":1}`))
	f.Add([]byte(`{"id":255,"address":null}`))
	f.Add([]byte(`{"id":1,"role":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := readMember(bytes.NewReader(body))
		if err != nil {
			return
		}
		if m.ID < 1 || m.ID > maxID || len(m.Addr) > 4096 {
			t.Fatalf("%+v is taken", m)
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := readMember(bytes.NewReader(text)); len(text) < 4096 && (err != nil || again != m) {
			t.Errorf("%+v comes back as %+v, %v", m, again, err)
		}
	})
}

// fuzzed is a server alone that serves until the fuzzing ends.
func fuzzed(f *testing.F) *Server {
	f.Helper()
	s, err := Start(Config{Listen: "127.0.0.1:0", AdminListen: "0", FourLetterWords: []string{"*"}, MaxSessionTimeout: 500 * time.Millisecond,
		MinSessionTimeout: 200 * time.Millisecond, Limits: Limits{Handshake: time.Second}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := s.Close(); err != nil {
			f.Error(err)
		}
	})
	if err := s.Ready(f.Context()); err != nil {
		f.Fatal(err)
	}
	return s
}

// FuzzAdmin asks a server anything an operator's port may be asked, but for changes of members: their handlers dial. Every answer
// is whole, and what is JSON can be read.
func FuzzAdmin(f *testing.F) {
	s := fuzzed(f)
	for _, c := range adminCommands() {
		f.Add(false, "/commands/"+c.name, "", "", "", []byte{})
	}
	f.Add(false, "/commands/snapshot", "local=true", "digest super:x", "", []byte{})
	f.Add(true, "/commands/restore", "zxid-above=9223372036854775807&force=true", "digest :", backupType, []byte("docent\x00\x01"))
	f.Add(true, "/commands/restore", "zxid-above=-1", "", backupType, []byte{})
	f.Add(false, "/readyz", "%zz", "", "", []byte{})
	f.Fuzz(func(t *testing.T, post bool, path, query, auth, kind string, body []byte) {
		if strings.Contains(path, "member/") || !strings.HasPrefix(path, "/") {
			return
		}
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: path, RawQuery: query}, Host: "a", RemoteAddr: "127.0.0.1:1",
			Header: http.Header{"Authorization": {auth}, "Content-Type": {kind}}, Body: io.NopCloser(bytes.NewReader(body))}
		if post {
			r.Method = http.MethodPost
		}
		w := httptest.NewRecorder()
		s.admin.http.Handler.ServeHTTP(w, r.WithContext(t.Context()))
		if w.Code < 200 || w.Code > 599 {
			t.Errorf("status %d", w.Code)
		}
		if w.Header().Get("Content-Type") == jsonType && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s is answered with %s", path, w.Body)
		}
	})
}

// FuzzConnection sends anything over a connection of a client's, a four-letter word or a session's requests, and leaves: the
// connection ends, and the server serves the next.
func FuzzConnection(f *testing.F) {
	s := fuzzed(f)
	for _, word := range slices.Sorted(maps.Keys(fourLetterWords)) {
		f.Add([]byte(word))
	}
	connect := (&wire.ConnectRequest{Timeout: 200, Password: make([]byte, wire.PasswordLen)}).Append(wire.BeginFrame(nil))
	connect = wire.EndFrame(connect, 0)
	f.Add(connect)
	f.Add(connect[:20])
	body := wire.RequestHeader{Xid: 1, Op: wire.OpGetData}.Append(wire.BeginFrame(nil))
	f.Add(append(connect, wire.EndFrame((&wire.PathWatchRequest{Path: "/", Watch: true}).Append(body), 0)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		ours, theirs := net.Pipe()
		c := newConn(s, theirs, false)
		if !s.admit(c) {
			t.Fatal("the server takes no connection")
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			defer s.dismiss(c)
			c.serve()
		}()
		go func() {
			ours.Write(b) // as much as is taken
			ours.Close()
		}()
		io.Copy(io.Discard, ours)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Fatalf("the connection has not ended: %x", b)
		}
	})
}
