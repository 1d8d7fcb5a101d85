package client_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/wire"
)

// fakeNet is an ensemble without sockets: every dial becomes a peer, which the test plays itself.
type fakeNet struct {
	t     testing.TB
	peers chan *peer

	mu     sync.Mutex // guards the rest
	refuse map[string]error
	dialed []string
	times  []time.Time
}

func newFakeNet(t testing.TB) *fakeNet {
	return &fakeNet{t: t, peers: make(chan *peer, 64), refuse: make(map[string]error)}
}

func (f *fakeNet) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	f.mu.Lock()
	err := f.refuse[addr]
	f.dialed = append(f.dialed, addr)
	f.times = append(f.times, time.Now())
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	select {
	case f.peers <- &peer{t: f.t, nc: ours, addr: addr, in: make(chan request, 1024), gone: make(chan struct{})}:
		return theirs, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// down makes an address refuse connections; nil makes it take them again.
func (f *fakeNet) down(addr string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse[addr] = err
}

func (f *fakeNet) dials() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]time.Time(nil), f.times...)
}

// peer is the server's end of one connection.
type peer struct {
	t    testing.TB
	nc   net.Conn
	addr string
	mute bool          // pings wait for their answers; guarded by wmu
	held []request     // those that wait
	hand atomic.Bool   // the test itself answers the end of the session
	in   chan request  // what came, but for pings
	gone chan struct{} // closed when the client has hung up
	last wire.ConnectRequest

	wmu  sync.Mutex // keeps frames whole
	zxid atomic.Int64
}

type request struct {
	wire.RequestHeader
	body *wire.Reader
}

// next returns the next connection the client makes.
func (f *fakeNet) next() *peer {
	f.t.Helper()
	select {
	case p := <-f.peers:
		return p
	case <-time.After(time.Minute):
		f.t.Fatal("no connection came")
		return nil
	}
}

// hello reads the connect request.
func (p *peer) hello() wire.ConnectRequest {
	p.t.Helper()
	frame, err := wire.ReadFrame(p.nc, nil, 0)
	if err != nil {
		p.t.Fatalf("connect request: %v", err)
	}
	p.last.Decode(wire.NewReader(frame))
	return p.last
}

var password = []byte("0123456789abcdef")

// grant answers the connect request, and reads what comes from then on.
func (p *peer) grant(id int64, timeout time.Duration) {
	m := wire.ConnectResponse{Timeout: int32(timeout.Milliseconds()), SessionID: id, Password: password, HasReadOnly: true}
	p.write(m.Append(wire.BeginFrame(nil)))
	go p.pump()
}

// expired answers the connect request: there is no such session.
func (p *peer) expired() {
	m := wire.ConnectResponse{Password: make([]byte, 16), HasReadOnly: true}
	p.write(m.Append(wire.BeginFrame(nil)))
	p.nc.Close()
}

func (p *peer) write(frame []byte) {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	p.nc.Write(wire.EndFrame(frame, 0)) // the client may have hung up: the test will see that where it matters
}

// pump reads requests. Pings are answered, unless the peer is mute, and the end of the session is.
func (p *peer) pump() {
	defer close(p.gone)
	br := bufio.NewReader(p.nc)
	for {
		frame, err := wire.ReadFrame(br, nil, 0)
		if err != nil {
			return
		}
		req := request{body: wire.NewReader(frame)}
		req.Decode(req.body)
		switch req.Op {
		case wire.OpPing:
			p.wmu.Lock()
			p.held = append(p.held, req)
			p.wmu.Unlock()
			p.answerPings()
			continue
		case wire.OpCloseSession:
			if !p.hand.Load() {
				p.reply(req, 0, nil)
				p.nc.Close()
			}
		}
		p.in <- req
	}
}

// setMute makes pings wait, or answers those that have waited, as a server does whose leader is away for a while.
func (p *peer) setMute(mute bool) {
	p.wmu.Lock()
	p.mute = mute
	p.wmu.Unlock()
	p.answerPings()
}

func (p *peer) answerPings() {
	p.wmu.Lock()
	var due []request
	if !p.mute {
		due, p.held = p.held, nil
	}
	p.wmu.Unlock()
	for _, req := range due {
		p.reply(req, 0, nil)
	}
}

// want returns the next request, which must be of operation op.
func (p *peer) want(op wire.Op) request {
	p.t.Helper()
	select {
	case req := <-p.in:
		if req.Op != op {
			p.t.Fatalf("got %v, want %v", req.Op, op)
		}
		return req
	case <-time.After(time.Minute):
		p.t.Fatalf("no %v came", op)
		return request{}
	}
}

// path reads the path that a request begins with.
func (r request) path() string { return r.body.String() }

type appender interface{ Append([]byte) []byte }

// reply answers a request, with the next zxid.
func (p *peer) reply(req request, code wire.Code, body appender) {
	b := wire.ReplyHeader{Xid: req.Xid, Zxid: p.zxid.Add(1), Err: code}.Append(wire.BeginFrame(nil))
	if body != nil {
		b = body.Append(b)
	}
	p.write(b)
}

func (p *peer) notify(typ wire.EventType, path string) {
	b := wire.ReplyHeader{Xid: wire.XidNotification, Zxid: -1}.Append(wire.BeginFrame(nil))
	m := wire.WatcherEvent{Type: typ, State: wire.StateSyncConnected, Path: path}
	p.write(m.Append(b))
}

// wantGone waits for the client to hang up.
func (p *peer) wantGone() {
	p.t.Helper()
	select {
	case <-p.gone:
	case <-time.After(time.Minute):
		p.t.Fatal("the client did not hang up")
	}
}

const sessionID = 0x1234

// start dials a client whose servers the test plays, and returns it with its first connection.
func start(t testing.TB, cfg client.Config) (*client.Client, *fakeNet, *peer) {
	t.Helper()
	f := newFakeNet(t)
	if cfg.Servers == nil {
		cfg.Servers = []string{"a:1", "b:1", "c:1"}
	}
	if cfg.SessionTimeout == 0 {
		cfg.SessionTimeout = 12 * time.Second
	}
	cfg.DialContext = f.dial
	type result struct {
		c   *client.Client
		err error
	}
	dialed := make(chan result, 1)
	go func() {
		c, err := client.Dial(t.Context(), cfg)
		dialed <- result{c, err}
	}()
	p := f.next()
	p.hello()
	p.grant(sessionID, cfg.SessionTimeout)
	for range cfg.Auth {
		p.reply(p.want(wire.OpAuth), 0, nil)
	}
	r := <-dialed
	if r.err != nil {
		t.Fatal(r.err)
	}
	t.Cleanup(func() {
		f.mu.Lock()
		for _, a := range cfg.Servers {
			f.refuse[a] = errors.New("the test is over")
		}
		f.mu.Unlock()
		r.c.Close()
	})
	return r.c, f, p
}

// session returns the present session of a client.
func session(t testing.TB, c *client.Client) *client.Session {
	t.Helper()
	s, err := c.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reattach plays the server of the next connection, which must be for the same session.
func (f *fakeNet) reattach(timeout time.Duration) *peer {
	f.t.Helper()
	p := f.next()
	if req := p.hello(); req.SessionID != sessionID {
		f.t.Fatalf("connect request for session %#x, want %#x", req.SessionID, sessionID)
	}
	p.grant(sessionID, timeout)
	return p
}

// going is a call under way in a goroutine of its own.
type going[T any] struct {
	done  chan struct{}
	value T
	err   error
}

func begin[T any](f func() (T, error)) *going[T] {
	g := &going[T]{done: make(chan struct{})}
	go func() {
		defer close(g.done)
		g.value, g.err = f()
	}()
	return g
}

func (g *going[T]) wait(t testing.TB) (T, error) {
	t.Helper()
	select {
	case <-g.done:
	case <-time.After(time.Minute):
		t.Fatal("the call does not end")
	}
	return g.value, g.err
}
