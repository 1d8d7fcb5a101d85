//go:build unix

package main_test

import (
	"net"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/internal/wire"
)

// rawConn is a connection to a server's client port on which anything may be sent.
type rawConn struct{ net.Conn }

// rawDial connects, and sends nothing.
func rawDial(t testing.TB, addr string) rawConn {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return rawConn{nc}
}

// connectRequest returns a frame that asks for a new session (id 0), or for the one with id and password.
func connectRequest(id int64, password []byte) []byte {
	b := wire.BeginFrame(nil)
	b = (&wire.ConnectRequest{Timeout: 10_000, SessionID: id, Password: password}).Append(b)
	return wire.EndFrame(b, 0)
}

// connectResponse reads the answer.
func (c rawConn) connectResponse() (resp wire.ConnectResponse, err error) {
	frame, err := wire.ReadFrame(c, nil, 0)
	if err != nil {
		return resp, err
	}
	r := wire.NewReader(frame)
	resp.Decode(r)
	return resp, r.Err()
}

// attach opens a new session.
func (c rawConn) attach(t testing.TB) {
	t.Helper()
	if _, err := c.Write(connectRequest(0, make([]byte, wire.PasswordLen))); err != nil {
		t.Fatal(err)
	}
	if resp, err := c.connectResponse(); err != nil || resp.SessionID == 0 {
		t.Fatalf("no session: %+v, %v", resp, err)
	}
}

// reply reads one reply, passing over watch events.
func (c rawConn) reply() (h wire.ReplyHeader, err error) {
	for {
		frame, err := wire.ReadFrame(c, nil, 64<<20)
		if err != nil {
			return h, err
		}
		r := wire.NewReader(frame)
		if h.Decode(r); r.Err() != nil || h.Xid != wire.XidNotification {
			return h, r.Err()
		}
	}
}

// request returns a whole request as a frame.
func request(xid int32, op wire.Op, body ...byte) []byte {
	b := wire.RequestHeader{Xid: xid, Op: op}.Append(wire.BeginFrame(nil))
	return wire.EndFrame(append(b, body...), 0)
}

// endSession ends a session that belongs to another process, as an operator's tool might.
func endSession(t testing.TB, addr string, id int64, password []byte) {
	t.Helper()
	testkit.Eventually(t, "the session is ended, before its owner takes it back", func() bool {
		c := rawDial(t, addr)
		defer c.Close()
		both := append(connectRequest(id, password), request(1, wire.OpCloseSession)...)
		if _, err := c.Write(both); err != nil {
			t.Fatal(err)
		}
		if resp, err := c.connectResponse(); err != nil {
			t.Fatal(err)
		} else if resp.SessionID == 0 {
			return true // by an attempt before, whose answer was lost
		}
		h, err := c.reply()
		return err == nil && h.Err == wire.OK
	})
}
