//go:build unix

package main_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/wire"
)

// A leader whose process is stopped, and wakes when others have gone on without it: what it answers then is true, its
// clock ends no session, and the session it had answered a ping of lives for its whole timeout since.
func TestPausedLeader(t *testing.T) {
	const timeout = 2 * time.Second
	e := startEnsemble(t)
	leader := e.leader(t)
	var others []string
	for _, m := range e {
		if m != leader {
			others = append(others, m.addr)
		}
	}
	ctx := t.Context()
	alive, err := dial(t, timeout, others...).Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alive.Create(ctx, "/n", []byte("old")); err != nil {
		t.Fatal(err)
	}
	reader, mortal := openRaw(t, leader.addr, timeout), openRaw(t, leader.addr, timeout)
	body := wire.AppendBuffer(wire.AppendString(nil, "/e"), nil)
	body = wire.AppendACLs(body, []wire.ACL{{Perms: wire.PermAll, Scheme: "world", ID: "anyone"}})
	mortal.answered(t, request(1, wire.OpCreate, wire.AppendInt32(body, wire.FlagEphemeral)...))
	var sent time.Time
	for range 3 {
		sent = time.Now()
		mortal.answered(t, request(wire.XidPing, wire.OpPing))
	}

	leader.signal(syscall.SIGSTOP)
	if _, err := alive.Set(ctx, "/n", []byte("new"), -1); err != nil {
		t.Fatalf("the others do not go on: %v", err)
	}
	gone := vanished(t, alive, "/e")
	if early := timeout - gone.Sub(sent); early > 0 {
		t.Errorf("the session ended %v before its timeout since the last answered ping", early)
	}
	// These wait in the leader's socket when it wakes, and it may still believe to lead.
	both := append(request(2, wire.OpSync, wire.AppendString(nil, "/n")...), request(3, wire.OpGetData, append(wire.AppendString(nil, "/n"), 0)...)...)
	if _, err := reader.Write(both); err != nil {
		t.Fatal(err)
	}
	leader.signal(syscall.SIGCONT)
	if h, err := reader.reply(); err == nil && h.Err == wire.OK {
		frame, err := wire.ReadFrame(reader, nil, 0)
		if err != nil {
			t.Fatalf("behind the sync: %v", err)
		}
		r := wire.NewReader(frame)
		h.Decode(r)
		if data := r.Buffer(); string(data) != "new" {
			t.Errorf("behind a sync a woken leader reads %q (%v)", data, h.Err)
		}
	} // else: its session ended meanwhile, or is refused
	e.leader(t)
	e.sameTrees(t)
	if alive.Context().Err() != nil {
		t.Error("the woken leader ended a session that was alive")
	}
	t.Logf("session ended %v after its timeout", gone.Sub(sent)-timeout)
}

// openRaw opens a session with a timeout.
func openRaw(t *testing.T, addr string, timeout time.Duration) rawConn {
	t.Helper()
	c := rawDial(t, addr)
	t.Cleanup(func() { c.Close() })
	b := (&wire.ConnectRequest{Timeout: int32(timeout.Milliseconds()), Password: make([]byte, wire.PasswordLen)}).Append(wire.BeginFrame(nil))
	if _, err := c.Write(wire.EndFrame(b, 0)); err != nil {
		t.Fatal(err)
	}
	if resp, err := c.connectResponse(); err != nil || resp.SessionID == 0 {
		t.Fatalf("no session: %+v, %v", resp, err)
	}
	return c
}

// answered sends a request and fails the test unless it succeeds.
func (c rawConn) answered(t *testing.T, frame []byte) {
	t.Helper()
	if _, err := c.Write(frame); err != nil {
		t.Fatal(err)
	}
	if h, err := c.reply(); err != nil || h.Err != wire.OK {
		t.Fatalf("%+v, %v", h, err)
	}
}

// vanished waits until a node is gone, and returns when s learned of it.
func vanished(t *testing.T, s *client.Session, path string) time.Time {
	t.Helper()
	for {
		_, there, w, err := s.ExistsW(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if !there {
			return time.Now()
		}
		if _, err := w.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
