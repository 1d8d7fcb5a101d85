package client_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/wire"
)

// grantReadOnly answers the connect request as a server does that has lost its quorum.
func (p *peer) grantReadOnly(id int64) {
	m := wire.ConnectResponse{Timeout: int32(timeout.Milliseconds()), SessionID: id, Password: password, HasReadOnly: true, ReadOnly: true}
	p.write(m.Append(wire.BeginFrame(nil)))
	go p.pump()
}

// isro reads the question whether the server is read-only, and answers it.
func (p *peer) isro(answer string) {
	p.t.Helper()
	var word [4]byte
	if _, err := io.ReadFull(p.nc, word[:]); err != nil || string(word[:]) != "isro" {
		p.t.Errorf("asked %q, %v", word, err)
	}
	io.WriteString(p.nc, answer)
	p.nc.Close()
}

// A read-only server is used for reads, and left for the first server that takes writes. Its session goes along.
func TestReadOnly_LeftForAWritableServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{Servers: []string{"a:1", "b:1"}, AllowReadOnly: true})
		s := session(t, c)
		w := watchOn(t, s, p, "/x")
		p.nc.Close()
		p = f.next()
		if req := p.hello(); !req.ReadOnly || req.SessionID != sessionID {
			t.Errorf("connect request = %+v", req)
		}
		p.grantReadOnly(sessionID)
		p.reply(p.want(wire.OpSetWatches), 0, nil)
		f.next().isro("ro")
		f.next().isro("null")
		if c.State() != client.ReadOnly {
			t.Fatalf("state = %v", c.State())
		}
		get := begin(func() (client.Node, error) { return s.Get(t.Context(), "/x") })
		p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{Data: []byte("v")})
		if n, err := get.wait(t); err != nil || string(n.Data) != "v" {
			t.Errorf("get = %v, %v", n, err)
		}
		set := begin(func() (client.Stat, error) { return s.Set(t.Context(), "/x", nil, -1) })
		p.reply(p.want(wire.OpSetData), wire.ErrNotReadOnly, nil)
		if _, err := set.wait(t); !errors.Is(err, client.ErrReadOnly) {
			t.Errorf("set = %v", err)
		}

		asked := time.Now()
		f.next().isro("isro is not executed because it is not in the whitelist.\n")
		q := f.next()
		if time.Since(asked) == 0 {
			t.Error("the second round began at once")
		}
		q.isro("rw")
		p.wantGone()
		better := f.next()
		if better.addr != q.addr {
			t.Errorf("went to %s, though %s had said that it takes writes", better.addr, q.addr)
		}
		if req := better.hello(); req.SessionID != sessionID {
			t.Errorf("connect request = %+v", req)
		}
		better.grant(sessionID, timeout)
		better.reply(better.want(wire.OpSetWatches), 0, nil)
		synctest.Wait()
		if c.State() != client.Connected || !open(w) || session(t, c) != s {
			t.Errorf("state = %v, watch open: %v", c.State(), open(w))
		}
		time.Sleep(time.Minute)
		if len(f.peers) != 0 {
			t.Error("a server that takes writes was left, or others were asked")
		}
	})
}

// A session that a read-only server began is unknown to the others, and ends with the change.
func TestReadOnly_SessionBegunThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeNet(t)
		dial := begin(func() (*client.Client, error) {
			return client.Dial(t.Context(), client.Config{Servers: []string{"a:1"}, SessionTimeout: timeout, AllowReadOnly: true, DialContext: f.dial})
		})
		p := f.next()
		p.hello()
		p.grantReadOnly(sessionID)
		c, err := dial.wait(t)
		if err != nil {
			t.Fatal(err)
		}
		s := session(t, c)
		f.next().isro("rw")
		p.wantGone()
		p = f.next()
		p.hello()
		p.expired()
		p = f.next()
		if req := p.hello(); req.SessionID != 0 {
			t.Errorf("connect request = %+v", req)
		}
		p.grant(sessionID+1, timeout)
		if next := session(t, c); next.ID() != sessionID+1 || context.Cause(s.Context()) != client.ErrSessionExpired {
			t.Errorf("session %#x; the first ended with %v", next.ID(), context.Cause(s.Context()))
		}
		c.Close()
	})
}

// Close does not wait for a server that is being asked. A read-only server ends no session of the ensemble, whatever it
// says: Close asks the others, and tells if none of them did.
func TestReadOnly_CloseMeanwhile(t *testing.T) {
	for name, test := range map[string]struct {
		others error
		want   error
	}{"others away": {io.EOF, client.ErrSuspended}, "others there": {nil, nil}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, f, p := start(t, client.Config{AllowReadOnly: true, Servers: []string{"a:1", "b:1"}})
				p.nc.Close()
				p = f.next()
				p.hello()
				p.grantReadOnly(sessionID)
				f.next() // and says nothing
				synctest.Wait()
				for _, a := range []string{"a:1", "b:1"} {
					f.down(a, test.others)
				}
				began := time.Now()
				closed := begin(func() (struct{}, error) { return struct{}{}, c.Close() })
				p.want(wire.OpCloseSession)
				if test.others == nil {
					again := f.next()
					again.hello()
					again.grantReadOnly(sessionID) // it is the same one, perhaps
					again.wantGone()
					f.reattach(timeout).want(wire.OpCloseSession)
				}
				if _, err := closed.wait(t); !errors.Is(err, test.want) || time.Since(began) > 0 {
					t.Errorf("Close took %v and returned %v", time.Since(began), err)
				}
			})
		})
	}
}
