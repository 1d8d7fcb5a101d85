package peers

import (
	"net"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// EndSession ends a session from elsewhere, as a second process that has its password could. The request to close it
// travels right behind the one to attach it: its owner, whose connection the server closes at the attach, comes back at
// once and would often take it over again in between.
func EndSession(t testing.TB, addr string, id int64, password []byte) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if ended, err := endSession(addr, id, password); err != nil {
			t.Logf("ending session %#x at %s: %v", uint64(id), addr, err)
		} else if ended {
			return
		}
	}
	t.Fatalf("session %#x at %s cannot be ended", uint64(id), addr)
}

// endSession tries once; it reports true when the server has said that the session is no more.
func endSession(addr string, id int64, password []byte) (bool, error) {
	nc, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return false, err
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return false, err
	}
	req := wire.ConnectRequest{SessionID: id, Password: password, Timeout: 10_000}
	b := wire.EndFrame(req.Append(wire.BeginFrame(nil)), 0)
	start := len(b)
	b = wire.EndFrame(wire.RequestHeader{Xid: 1, Op: wire.OpCloseSession}.Append(wire.BeginFrame(b)), start)
	if _, err := nc.Write(b); err != nil {
		return false, err
	}
	frame, err := wire.ReadFrame(nc, nil, 0)
	if err != nil {
		return false, err
	}
	var resp wire.ConnectResponse
	r := wire.NewReader(frame)
	if resp.Decode(r); r.Err() != nil || resp.SessionID == 0 {
		return true, r.Err()
	}
	if frame, err = wire.ReadFrame(nc, nil, 0); err != nil {
		return false, err
	}
	var h wire.ReplyHeader
	r = wire.NewReader(frame)
	h.Decode(r)
	return h.Xid == 1 && h.Err == wire.OK, r.Err()
}
