package client_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/wire"
)

// lonely makes calls one after the other until their caller reads the answers by itself.
func lonely(t *testing.T, c *client.Client, p *peer) {
	t.Helper()
	for range 20 {
		get := begin(func() (client.Node, error) { return c.Get(t.Context(), "/n") })
		p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{})
		if _, err := get.wait(t); err != nil {
			t.Fatal(err)
		}
	}
}

// soonEnough is what a context or a frame may have to wait for while a caller reads, or nobody does.
const soonEnough = 5 * time.Millisecond

// C6: a caller who reads obeys its context, and what it leaves behind reaches nobody else.
func TestLone_C6_ContextEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _, p := start(t, client.Config{})
		lonely(t, c, p)
		ctx, cancel := context.WithCancel(t.Context())
		get := begin(func() (client.Node, error) { return c.Get(ctx, "/late") })
		late := p.want(wire.OpGetData)
		synctest.Wait()
		began := time.Now()
		cancel()
		if _, err := get.wait(t); !errors.Is(err, context.Canceled) {
			t.Errorf("error = %v, want %v", err, context.Canceled)
		}
		if took := time.Since(began); took > soonEnough {
			t.Errorf("it took %v to notice", took)
		}
		next := begin(func() (client.Node, error) { return c.Get(t.Context(), "/n") })
		req := p.want(wire.OpGetData)
		p.reply(late, 0, &wire.GetDataResponse{Data: []byte("late")})
		p.reply(req, 0, &wire.GetDataResponse{Data: []byte("mine")})
		if node, err := next.wait(t); err != nil || string(node.Data) != "mine" {
			t.Errorf("the next call got %q, %v", node.Data, err)
		}
		lonely(t, c, p)
	})
}

// A caller who reads serves those that come meanwhile, and one of them does not wait for another.
func TestLone_OthersCome(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _, p := start(t, client.Config{})
		for range 3 {
			lonely(t, c, p)
			first := begin(func() (client.Node, error) { return c.Get(t.Context(), "/1") })
			one := p.want(wire.OpGetData)
			synctest.Wait()
			second := begin(func() (client.Node, error) { return c.Get(t.Context(), "/2") })
			two := p.want(wire.OpGetData)
			p.reply(one, 0, &wire.GetDataResponse{Data: []byte("1")})
			if node, err := first.wait(t); err != nil || string(node.Data) != "1" {
				t.Errorf("the first got %q, %v", node.Data, err)
			}
			began := time.Now()
			p.reply(two, 0, &wire.GetDataResponse{Data: []byte("2")})
			if node, err := second.wait(t); err != nil || string(node.Data) != "2" {
				t.Errorf("the second got %q, %v", node.Data, err)
			}
			if took := time.Since(began); took != 0 {
				t.Errorf("the second waited for %v", took)
			}
		}
	})
}

// While a watch is open somebody reads, whatever the calls.
func TestLone_EventsComeAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _, p := start(t, client.Config{})
		lonely(t, c, p)
		type result struct {
			w   *client.Watch
			err error
		}
		set := begin(func() (result, error) {
			_, w, err := session(t, c).GetW(t.Context(), "/w")
			return result{w, err}, err
		})
		p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{})
		r, err := set.wait(t)
		if err != nil {
			t.Fatal(err)
		}
		lonely(t, c, p)
		began := time.Now()
		p.notify(wire.EventDataChanged, "/w")
		<-r.w.Done()
		if took := time.Since(began); took != 0 {
			t.Errorf("the event waited for %v", took)
		}
	})
}

// The end of the connection is noticed, whoever reads: by a caller, whose read is repeated, and by nobody.
func TestLone_ConnectionLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		lonely(t, c, p)
		get := begin(func() (client.Node, error) { return c.Get(t.Context(), "/n") })
		p.want(wire.OpGetData)
		synctest.Wait()
		p.nc.Close()
		p = f.reattach(timeout)
		p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{Data: []byte("again")})
		if node, err := get.wait(t); err != nil || string(node.Data) != "again" {
			t.Errorf("got %q, %v", node.Data, err)
		}
		lonely(t, c, p)
		began := time.Now()
		p.nc.Close()
		f.reattach(timeout)
		if took := time.Since(began); took > soonEnough {
			t.Errorf("it took %v to notice", took)
		}
	})
}

// C2: an answer that comes in pieces, across the interruptions of who reads, is whole.
func TestLone_AnswerInPieces(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, size := range []int{0, 1000, 60 << 10, 300 << 10} {
			c, _, p := start(t, client.Config{})
			lonely(t, c, p)
			data := bytes.Repeat([]byte("0123456789"), size/10)
			get := begin(func() (client.Node, error) { return c.Get(t.Context(), "/n") })
			req := p.want(wire.OpGetData)
			body := &wire.GetDataResponse{Data: data}
			frame := wire.EndFrame(body.Append(wire.ReplyHeader{Xid: req.Xid, Zxid: 100}.Append(wire.BeginFrame(nil))), 0)
			for _, cut := range []int{2, 3, 5, 20, len(frame) / 3, len(frame)} {
				n := min(cut, len(frame))
				if _, err := p.nc.Write(frame[:n]); err != nil {
					t.Fatal(err)
				}
				frame = frame[n:]
				time.Sleep(10 * time.Millisecond) // virtual: the reader interrupts
			}
			if node, err := get.wait(t); err != nil || !bytes.Equal(node.Data, data) {
				t.Errorf("got %d bytes, %v, want %d", len(node.Data), err, len(data))
			}
			lonely(t, c, p)
		}
	})
}

// A caller never waits for room in the socket: its context counts, and the writer writes the rest, whole and in order.
func TestLone_SocketIsFull(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialed := begin(func() (*client.Client, error) {
		return client.Dial(t.Context(), client.Config{
			Servers: []string{ln.Addr().String()}, SessionTimeout: time.Minute,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				var d net.Dialer
				nc, err := d.DialContext(ctx, network, addr)
				if err == nil {
					err = nc.(*net.TCPConn).SetWriteBuffer(64 << 10)
				}
				return nc, err
			},
		})
	})
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, nc: nc, in: make(chan request, 1024), gone: make(chan struct{})}
	p.hello()
	m := wire.ConnectResponse{Timeout: 60_000, SessionID: sessionID, Password: password, HasReadOnly: true}
	p.write(m.Append(wire.BeginFrame(nil))) // and reads nothing for now
	c, err := dialed.wait(t)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	data := bytes.Repeat([]byte("0123456789"), 90_000)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Set(ctx, "/big", data, -1); !errors.Is(err, client.ErrMaybeApplied) {
		t.Errorf("error = %v, want %v", err, client.ErrMaybeApplied)
	}
	set := begin(func() (client.Stat, error) { return c.Set(t.Context(), "/small", []byte("x"), -1) })
	br := bufio.NewReader(nc)
	for _, want := range []struct {
		path string
		data []byte
	}{{"/big", data}, {"/small", []byte("x")}} {
		frame, err := wire.ReadFrame(br, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		req := request{body: wire.NewReader(frame)}
		req.Decode(req.body)
		var got wire.SetDataRequest
		got.Decode(req.body)
		if got.Path != want.path || !bytes.Equal(got.Data, want.data) {
			t.Errorf("%s: %d bytes came, want %d for %s", got.Path, len(got.Data), len(want.data), want.path)
		}
		p.reply(req, 0, &wire.Stat{})
	}
	if _, err := set.wait(t); err != nil {
		t.Error(err)
	}
	go func() { // the end of the session
		if frame, err := wire.ReadFrame(br, nil, 0); err == nil {
			req := request{body: wire.NewReader(frame)}
			req.Decode(req.body)
			p.reply(req, 0, nil)
		}
		_, _ = io.Copy(io.Discard, br)
	}()
}
