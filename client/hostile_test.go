package client_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/internal/wire"
)

// raw sends bytes as they are.
func (p *peer) raw(b []byte) {
	p.wmu.Lock()
	defer p.wmu.Unlock()
	p.nc.Write(b) // the client may have hung up: the test will see that where it matters
}

// framed puts the length before a frame that was put together by hand.
func framed(parts ...[]byte) []byte {
	b := wire.BeginFrame(nil)
	for _, part := range parts {
		b = append(b, part...)
	}
	return wire.EndFrame(b, 0)
}

func header(xid int32, code wire.Code) []byte {
	return wire.ReplyHeader{Xid: xid, Zxid: 7, Err: code}.Append(nil)
}

func int32s(values ...int32) (b []byte) {
	for _, v := range values {
		b = wire.AppendInt32(b, v)
	}
	return b
}

// What a server that has lost its mind may answer to a read.
var hostile = map[string]func(p *peer, req request){
	"an empty frame":           func(p *peer, _ request) { p.raw(framed()) },
	"half a header":            func(p *peer, req request) { p.raw(framed(header(req.Xid, 0)[:9])) },
	"a negative length":        func(p *peer, _ request) { p.raw(int32s(-1)) },
	"the least length":         func(p *peer, _ request) { p.raw(int32s(-1 << 31)) },
	"a huge length":            func(p *peer, _ request) { p.raw(int32s(1<<31 - 1)) },
	"more than is allowed":     func(p *peer, _ request) { p.raw(int32s(64<<20 + 1)) },
	"no body":                  func(p *peer, req request) { p.raw(framed(header(req.Xid, 0))) },
	"a body that is cut short": func(p *peer, req request) { p.raw(framed(header(req.Xid, 0), int32s(3, 7))) },
	"a huge buffer":            func(p *peer, req request) { p.raw(framed(header(req.Xid, 0), int32s(1<<31-1))) },
	"a buffer of length -2":    func(p *peer, req request) { p.raw(framed(header(req.Xid, 0), int32s(-2), make([]byte, 68))) },
	"nobody's answer":          func(p *peer, req request) { p.raw(framed(header(req.Xid+1, 0))) },
	"an earlier answer":        func(p *peer, req request) { p.raw(framed(header(req.Xid-1, 0))) },
	"xid 0":                    func(p *peer, _ request) { p.raw(framed(header(0, 0))) },
	"an answer to no ping":     func(p *peer, _ request) { p.raw(framed(header(wire.XidPing, 0))) },
	"an answer to no identity": func(p *peer, _ request) { p.raw(framed(header(wire.XidAuth, 0))) },
	"half an event":            func(p *peer, _ request) { p.raw(framed(header(wire.XidNotification, 0), int32s(3, 3))) },
	"an event without a path":  func(p *peer, _ request) { p.raw(framed(header(wire.XidNotification, 0), int32s(3, 3, -1))) },
	"half a frame, and no end": func(p *peer, req request) { p.raw(framed(header(req.Xid, 0), make([]byte, 80))[:30]) },
	"half a frame":             func(p *peer, req request) { p.raw(framed(header(req.Xid, 0), make([]byte, 80))[:30]); p.nc.Close() },
	"nothing":                  func(*peer, request) {},
	"the end":                  func(p *peer, _ request) { p.nc.Close() },
	"a frame in drops": func(p *peer, req request) {
		go drip(p, framed(header(req.Xid, 0), make([]byte, 500)))
	},
	"a long frame in drops": func(p *peer, req request) {
		go drip(p, framed(header(req.Xid, 0), make([]byte, 1<<20)))
	},
}

// drip sends a byte per second until the client hangs up.
func drip(p *peer, b []byte) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i := range b {
		p.raw(b[i : i+1])
		select {
		case <-tick.C:
		case <-p.gone:
			return
		}
	}
}

// Whatever a server answers, it costs no more than the connection, in time: the session goes on elsewhere, the read is
// answered there, and the watch that was open still is.
func TestHostile_Reply(t *testing.T) {
	for name, answer := range hostile {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, f, p := start(t, client.Config{})
				s, began := session(t, c), time.Now()
				w := watchOn(t, s, p, "/w")
				get := begin(func() (client.Node, error) { return s.Get(t.Context(), "/x") })
				p.setMute(name != "nothing")
				answer(p, p.want(wire.OpGetData))
				if name == "nothing" { // it answers pings: there may be a reason
					time.Sleep(10 * timeout)
					p.nc.Close()
				}
				p.wantGone()
				if took := time.Since(began); took > timeout*3/4 && name != "nothing" {
					t.Errorf("the server was left after %v", took)
				}
				p = f.reattach(timeout)
				p.reply(p.want(wire.OpSetWatches), 0, nil)
				p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{Data: []byte("right")})
				if n, err := get.wait(t); err != nil || string(n.Data) != "right" {
					t.Errorf("get = %q, %v", n.Data, err)
				}
				if session(t, c) != s || !open(w) || c.Stats().InFlight != 0 {
					t.Errorf("the session ended with %v, the watch is open: %v, stats %+v", context.Cause(s.Context()), open(w), c.Stats())
				}
			})
		})
	}
}

// What a server may answer to the connect request, or not.
func TestHostile_Connect(t *testing.T) {
	answer := func(m wire.ConnectResponse) []byte { return wire.EndFrame(m.Append(wire.BeginFrame(nil)), 0) }
	for name, play := range map[string]func(p *peer){
		"accepts, and never answers": func(p *peer) {},
		"hangs up":                   func(p *peer) { p.nc.Close() },
		"does not read":              func(p *peer) {},
		"speaks another protocol":    func(p *peer) { p.hello(); p.raw([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
		"an empty frame":             func(p *peer) { p.hello(); p.raw(framed()) },
		"half an answer":             func(p *peer) { p.hello(); p.raw(answer(wire.ConnectResponse{SessionID: 1, Timeout: 1})[:20]) },
		"in drops":                   func(p *peer) { p.hello(); go drip(p, answer(wire.ConnectResponse{SessionID: 1, Timeout: 1})) },
		"no new session":             func(p *peer) { p.hello(); p.raw(answer(wire.ConnectResponse{})) },
		"a session without time":     func(p *peer) { p.hello(); p.raw(answer(wire.ConnectResponse{SessionID: 1, Timeout: -5})) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f, began := newFakeNet(t), time.Now()
				dial := begin(func() (*client.Client, error) {
					return client.Dial(t.Context(), client.Config{Servers: []string{"a:1"}, SessionTimeout: timeout, ConnectTimeout: 2 * time.Second, DialContext: f.dial})
				})
				first := f.next()
				go func() { // so that drops stop
					defer close(first.gone)
					if name == "does not read" {
						time.Sleep(2 * time.Second)
						first.nc.Close()
						return
					}
					play(first)
					io.Copy(io.Discard, first.nc)
				}()
				p := f.next()
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("the next attempt came after %v", took)
				}
				p.hello()
				p.grant(sessionID, timeout)
				c, err := dial.wait(t)
				if err != nil {
					t.Fatal(err)
				}
				f.down("a:1", io.EOF)
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A server that answers with noise for a long time: no panic, no answer to a wrong caller, and Close is bounded.
func TestHostile_Noise(t *testing.T) {
	seed := rand.Uint64()
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	n := uint64(200)
	if raceEnabled {
		n = 20
	}
	for i := range n {
		bubble(t, func(t *testing.T) { noise(t, rand.New(rand.NewPCG(seed, i))) })
	}
}

// FuzzNoise is the same with the noise of a fuzzer.
func FuzzNoise(f *testing.F) {
	f.Add([]byte{0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0})
	f.Add(framed(header(wire.XidNotification, 0), int32s(3, 3, 2), []byte("/w")))
	f.Add(framed(header(1, wire.ErrSessionExpired)))
	f.Fuzz(func(t *testing.T, b []byte) {
		bubble(t, func(t *testing.T) { hear(t, [][]byte{b}) })
	})
}

// noise sends some right and some wrong frames.
func noise(t *testing.T, rnd *rand.Rand) {
	var frames [][]byte
	for range 1 + rnd.IntN(8) {
		body := make([]byte, rnd.IntN(200))
		for i := range body {
			body[i] = byte(rnd.IntN(256)) * byte(rnd.IntN(2))
		}
		frame := framed(header(int32(rnd.IntN(8)-4), wire.Code(-rnd.IntN(2)*rnd.IntN(128))), body)
		if rnd.IntN(4) == 0 {
			binary.BigEndian.PutUint32(frame, uint32(rnd.IntN(1<<20)))
		}
		frames = append(frames, frame)
	}
	hear(t, frames)
}

// hear lets a client with all kinds of requests under way hear what a server says.
func hear(t *testing.T, frames [][]byte) {
	c, f, p := start(t, client.Config{Chroot: "/app", CloseTimeout: time.Second})
	s, ctx := session(t, c), t.Context()
	calls := []func() error{
		func() error { _, _, err := s.GetW(ctx, "/w"); return err },
		func() error { _, err := s.AddWatch(ctx, "/", client.PersistentRecursive); return err },
		func() error { _, err := s.Create(ctx, "/c", nil); return err },
		func() error { _, err := s.Txn().Set("/c", nil, 1).Delete("/d", 2).Commit(ctx); return err },
		func() error { _, err := s.GetAll(ctx, "/a", "/b"); return err },
		func() error { _, _, err := s.Children(ctx, "/", client.Fresh()); return err },
		func() error { _, _, err := s.GetACL(ctx, "/"); return err },
		func() error { _, err := s.Ephemerals(ctx, "/"); return err },
		func() error { _, err := s.WhoAmI(ctx); return err },
		func() error { _, err := s.Create(ctx, "/p-", nil, client.Protected(), client.Sequential()); return err },
	}
	var under []*going[struct{}]
	for _, call := range calls {
		under = append(under, begin(func() (struct{}, error) { return struct{}{}, call() }))
		synctest.Wait() // so that their numbers are known
	}
	for _, frame := range frames {
		p.raw(frame)
	}
	time.Sleep(time.Second)
	for _, a := range []string{"a:1", "b:1", "c:1"} {
		f.down(a, io.EOF)
	}
	p.nc.Close()
	began := time.Now()
	c.Close()
	if took := time.Since(began); took > time.Second {
		t.Errorf("Close took %v", took)
	}
	for _, g := range under {
		g.wait(t)
	}
	for len(f.peers) > 0 {
		(<-f.peers).nc.Close()
	}
}

// wherever Dial has got to, its context ends it, and nothing is left: neither goroutines nor descriptors.
func TestHostile_DialGivenUp(t *testing.T) {
	testkit.CheckLeaks(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serving := make(chan struct{})
	go func() { // accepts, answers half of the connect requests, and never hangs up
		defer close(serving)
		var open []net.Conn
		for {
			nc, err := ln.Accept()
			if err != nil {
				break
			}
			if open = append(open, nc); len(open)%2 == 0 {
				m := wire.ConnectResponse{Timeout: 10_000, SessionID: int64(len(open)), Password: password}
				nc.Write(wire.EndFrame(m.Append(wire.BeginFrame(nil)), 0))
			}
		}
		for _, nc := range open {
			nc.Close()
		}
	}()
	before := descriptors(t)
	for i := range 24 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%12)*time.Millisecond)
		began := time.Now()
		c, err := client.Dial(ctx, client.Config{
			Servers: []string{ln.Addr().String(), "127.0.0.1:1"}, CloseTimeout: 5 * time.Millisecond,
			Auth: []client.Auth{{Scheme: "digest", Data: []byte("never:answered")}},
		})
		if cancel(); err == nil {
			c.Close()
			t.Fatal("there is a session without an identity")
		}
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 5*time.Second {
			t.Errorf("Dial returned %v after %v", err, took)
		}
	}
	ln.Close()
	<-serving
	testkit.Eventually(t, "as many descriptors as before", func() bool { return descriptors(t) <= before })
}

// descriptors counts the open files of this process, 0 if the system does not tell.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// at each step of what takes several requests, the end of the context ends it, at once.
func TestCancel_R1_EachStep(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, c *client.Client, s *client.Session) error{
		"get": func(ctx context.Context, _ *client.Client, s *client.Session) error {
			_, err := s.Get(ctx, "/d", client.Fresh())
			return err
		},
		"create with parents": func(ctx context.Context, _ *client.Client, s *client.Session) error {
			_, err := s.Create(ctx, "/a/b/c", nil, client.Parents())
			return err
		},
		"protected create": func(ctx context.Context, c *client.Client, _ *client.Session) error {
			_, err := c.Create(ctx, "/d/n-", nil, client.Protected(), client.Sequential())
			return err
		},
		"guaranteed deletion": func(ctx context.Context, _ *client.Client, s *client.Session) error {
			return s.DeleteGuaranteed(ctx, "/d")
		},
		"batch": func(ctx context.Context, _ *client.Client, s *client.Session) error {
			b := s.Batch()
			b.GetW("/d")
			b.Set("/d", nil, -1)
			b.ChildrenW("/d")
			return b.Do(ctx)
		},
		"transaction": func(ctx context.Context, c *client.Client, _ *client.Session) error {
			_, err := c.Txn().Check("/d", -1).Commit(ctx)
			return err
		},
		"stream": func(ctx context.Context, _ *client.Client, s *client.Session) error {
			st, err := s.AddWatch(ctx, "/d", client.Persistent)
			if err == nil {
				_, err = st.Next(ctx)
				st.Close()
			}
			return err
		},
		"watch": func(ctx context.Context, _ *client.Client, s *client.Session) error {
			_, _, w, err := s.ExistsW(ctx, "/d")
			if err == nil {
				_, err = w.Wait(ctx)
				w.Close()
			}
			return err
		},
	} {
		for answers := range 8 {
			for _, lose := range []bool{false, true} {
				if !cancelledBehind(t, fmt.Sprintf("%s behind %d answers, lost: %v", name, answers, lose), answers, lose, call) {
					break
				}
			}
		}
	}
}

// cancelledBehind lets the server answer so many requests, and then none, or lose the connection for good. It reports
// false if the call was over by then.
func cancelledBehind(t *testing.T, name string, answers int, lose bool, call func(context.Context, *client.Client, *client.Session) error) (waited bool) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		s := session(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		under := begin(func() (struct{}, error) { return struct{}{}, call(ctx, c, s) })
		for range answers {
			synctest.Wait()
			if len(p.in) == 0 {
				break
			}
			p.answer(<-p.in)
		}
		synctest.Wait()
		if lose {
			for _, a := range []string{"a:1", "b:1", "c:1"} {
				f.down(a, io.EOF)
			}
			p.nc.Close()
			synctest.Wait()
		}
		select {
		case <-under.done:
			return
		default:
			waited = true
		}
		began := time.Now()
		cancel()
		if _, err := under.wait(t); !errors.Is(err, context.Canceled) || time.Since(began) > 0 {
			t.Errorf("%s: it ended with %v after %v", name, err, time.Since(began))
		}
	})
	return waited
}

// answer is what a server may say that has no node but those made a moment ago.
func (p *peer) answer(req request) {
	switch req.Op {
	case wire.OpCreate2, wire.OpCreateContainer:
		if path := req.path(); path == "/a/b/c" || path == "/a/b" {
			p.reply(req, wire.ErrNoNode, nil)
		} else {
			p.reply(req, 0, &wire.Create2Response{Path: path})
		}
	case wire.OpGetData, wire.OpExists, wire.OpDelete:
		p.reply(req, wire.ErrNoNode, nil)
	case wire.OpGetChildren2:
		p.reply(req, 0, &wire.ChildrenResponse{})
	case wire.OpSetData:
		p.reply(req, 0, &wire.Stat{})
	case wire.OpSync:
		p.reply(req, 0, &wire.PathRecord{Path: "/"})
	case wire.OpMulti:
		p.reply(req, wire.ErrNoAuth, nil)
	default:
		p.reply(req, 0, nil)
	}
}
