package bench

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

const (
	dialTime = 5 * time.Second  // for a connection and its session
	hungTime = 30 * time.Second // without a byte, when some are due, a server has failed
	maxReply = 64 << 20
)

// errExpired is the error of attaching to a session that has ended.
var errExpired = errors.New("the session has expired")

// session is what it takes to attach again.
type session struct {
	id       int64
	password []byte
	timeout  time.Duration // as granted
	zxid     int64         // last seen
}

// link is one connection: an output buffer that is written at once, and an input buffer from which frames are taken.
type link struct {
	nc   net.Conn
	out  []byte
	in   []byte // in[from:to] is read and not taken yet
	from int
	to   int

	readBy, writeBy time.Time // the deadlines set, each by its own goroutine
}

// dial opens a connection and attaches to s, or begins a session if s has none.
func dial(ctx context.Context, cfg *Config, addr string, s *session) (*link, error) {
	// As long as ZooKeeper's own client tries one server, so that all can be tried before the session ends.
	ctx, cancel := context.WithTimeout(ctx, min(max(cfg.Session/time.Duration(len(cfg.Addrs)), 200*time.Millisecond), dialTime))
	defer cancel()
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if cfg.TLS != nil {
		t := cfg.TLS.Clone()
		if host, _, err := net.SplitHostPort(addr); err == nil && t.ServerName == "" {
			t.ServerName = host
		}
		nc = tls.Client(nc, t)
	}
	defer context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })()
	l := &link{nc: nc, in: make([]byte, 64<<10)}
	if err := l.attach(cfg, s); err != nil {
		nc.Close()
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	return l, nil
}

func (l *link) attach(cfg *Config, s *session) error {
	if s.password == nil {
		s.password = make([]byte, wire.PasswordLen)
	}
	req := wire.ConnectRequest{LastZxidSeen: s.zxid, Timeout: int32(cfg.Session.Milliseconds()), SessionID: s.id, Password: s.password}
	l.out = wire.EndFrame(req.Append(wire.BeginFrame(l.out[:0])), 0)
	if err := l.flush(); err != nil {
		return err
	}
	frame, err := l.next()
	if err != nil {
		return err
	}
	var resp wire.ConnectResponse
	r := wire.NewReader(frame)
	if resp.Decode(r); r.Err() != nil {
		return fmt.Errorf("answer to the connect request: %w", r.Err())
	}
	if resp.SessionID == 0 || resp.Timeout <= 0 {
		*s = session{}
		return errExpired
	}
	s.id, s.password, s.timeout = resp.SessionID, append([]byte(nil), resp.Password...), time.Duration(resp.Timeout)*time.Millisecond
	for _, a := range cfg.Auth {
		m := wire.AuthRequest{Scheme: a.Scheme, Auth: a.Data}
		if _, err := l.call(wire.XidAuth, wire.OpAuth, m.Append); err != nil {
			return fmt.Errorf("authentication: %w", err)
		}
	}
	return nil
}

// begin appends the header of a request, and returns where it begins; end completes it.
func (l *link) begin(xid int32, op wire.Op) (start int) {
	start = len(l.out)
	l.out = wire.RequestHeader{Xid: xid, Op: op}.Append(wire.BeginFrame(l.out))
	return start
}

func (l *link) end(start int) { wire.EndFrame(l.out, start) }

// flush writes all requests that were appended.
func (l *link) flush() error {
	if len(l.out) == 0 {
		return nil
	}
	if now := time.Now(); l.writeBy.Sub(now) < hungTime/2 {
		l.writeBy = now.Add(hungTime)
		if err := l.nc.SetWriteDeadline(l.writeBy); err != nil {
			return err
		}
	}
	_, err := l.nc.Write(l.out)
	l.out = l.out[:0]
	return err
}

// frame takes a whole frame from the input buffer; ok is false if none is there yet. It is valid until fill.
func (l *link) frame() (frame []byte, ok bool, err error) {
	have := l.in[l.from:l.to]
	if len(have) < 4 {
		return nil, false, nil
	}
	n := int(int32(binary.BigEndian.Uint32(have)))
	if n < 0 || n > maxReply {
		return nil, false, &wire.FrameError{Length: int32(n), Limit: maxReply}
	}
	if len(have) < 4+n {
		return nil, false, nil
	}
	l.from += 4 + n
	return have[4 : 4+n], true, nil
}

// fill reads what has come, and waits for it until the deadline. Memory grows with what comes, not with what is claimed.
func (l *link) fill(deadline time.Time) error {
	if l.from > 0 {
		l.to = copy(l.in, l.in[l.from:l.to])
		l.from = 0
	}
	if l.to == len(l.in) {
		l.in = append(l.in, make([]byte, len(l.in))...)
	}
	// A deadline costs as much as the rest of a small request: one that is far away is left a little earlier than asked.
	if early := deadline.Sub(l.readBy); early < 0 || early > max(time.Until(deadline)/8, 0) {
		l.readBy = deadline
		if err := l.nc.SetReadDeadline(deadline); err != nil {
			return err
		}
	}
	n, err := l.nc.Read(l.in[l.to:])
	l.to += n
	if n > 0 {
		return nil
	}
	return err
}

// next waits for a frame.
func (l *link) next() ([]byte, error) {
	for {
		if frame, ok, err := l.frame(); ok || err != nil {
			return frame, err
		}
		if err := l.fill(time.Now().Add(hungTime)); err != nil {
			return nil, err
		}
	}
}

// send appends a whole request.
func (l *link) send(xid int32, op wire.Op, body func([]byte) []byte) {
	start := l.begin(xid, op)
	if body != nil {
		l.out = body(l.out)
	}
	l.end(start)
}

// reply waits for the reply to xid, passing over pings and watch events, and returns its body.
func (l *link) reply(xid int32) ([]byte, error) {
	for {
		frame, err := l.next()
		if err != nil {
			return nil, err
		}
		var h wire.ReplyHeader
		r := wire.NewReader(frame)
		switch h.Decode(r); {
		case r.Err() != nil:
			return nil, r.Err()
		case h.Xid != xid && (h.Xid == wire.XidPing || h.Xid == wire.XidNotification):
		case h.Xid != xid:
			return nil, fmt.Errorf("a reply to request %d in place of %d", h.Xid, xid)
		case h.Err != wire.OK:
			return nil, h.Err
		default:
			return r.Rest(), nil
		}
	}
}

// call sends one request and waits for its reply.
func (l *link) call(xid int32, op wire.Op, body func([]byte) []byte) ([]byte, error) {
	l.send(xid, op, body)
	if err := l.flush(); err != nil {
		return nil, err
	}
	return l.reply(xid)
}

// dialAny is dial to the first server that can be reached, beginning with one.
func dialAny(ctx context.Context, cfg *Config, first int) (l *link, err error) {
	for i := range cfg.Addrs {
		if l, err = dial(ctx, cfg, cfg.Addrs[(first+i)%len(cfg.Addrs)], &session{}); err == nil {
			return l, nil
		}
	}
	return nil, err
}

// close ends the session and the connection. If the server does not answer, the session will end by itself.
func (l *link) close() {
	defer l.nc.Close()
	defer time.AfterFunc(2*time.Second, func() { l.nc.Close() }).Stop()
	l.out = l.out[:0]
	_, _ = l.call(closeXid, wire.OpCloseSession, nil)
}

const closeXid = 1 << 30
