package client_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/wire"
)

const timeout = 12 * time.Second // of sessions here: a ping every 2 s, silence at 6 s, deadline at 8 s

// Dial is a session, or why each address failed.
func TestDial_R2_TellsTheCauseOfEachAddress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeNet(t)
		f.down("a:1", errors.New("no route"))
		f.down("b:1", errors.New("refused"))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := client.Dial(ctx, client.Config{Servers: []string{"a:1", "b:1"}, DialContext: f.dial})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error = %v, want the end of the context in it", err)
		}
		for _, want := range []string{"a:1: no route", "b:1: refused"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want %q in it", err, want)
			}
		}
	})
}

func TestDial_WithoutDeadlineTakesOneSessionTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeNet(t)
		f.down("a:1", errors.New("refused"))
		began := time.Now()
		_, err := client.Dial(context.Background(), client.Config{Servers: []string{"a:1"}, SessionTimeout: 7 * time.Second, DialContext: f.dial})
		if took := time.Since(began); err == nil || took != 7*time.Second {
			t.Errorf("Dial took %v and returned %v", took, err)
		}
	})
}

// durations of any length are asked for, and another one than asked for can be made an error.
func TestDial_R34_RefusesAnotherTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeNet(t)
		dial := begin(func() (*client.Client, error) {
			return client.Dial(t.Context(), client.Config{Servers: []string{"a:1"}, SessionTimeout: timeout, RequireTimeout: true, DialContext: f.dial})
		})
		p := f.next()
		p.hello()
		p.grant(sessionID, 4*time.Second)
		p.wantGone()
		f.down("a:1", errors.New("refused"))
		if _, err := dial.wait(t); !errors.Is(err, client.ErrTimeoutRefused) {
			t.Errorf("error = %v, want %v", err, client.ErrTimeoutRefused)
		}
	})
}

// a Dial that fails leaves no session behind: one that was granted is closed.
func TestDial_R2_FailureClosesTheSession(t *testing.T) {
	auth := []client.Auth{{Scheme: "digest", Data: []byte("u:p")}}
	closed := func(t *testing.T, f *fakeNet) {
		t.Helper()
		f.reattach(timeout).want(wire.OpCloseSession)
	}
	for name, test := range map[string]struct {
		cfg  client.Config
		play func(p *peer, giveUp func())
		want error
	}{
		"another timeout": {client.Config{RequireTimeout: true}, func(p *peer, _ func()) { p.grant(sessionID, timeout/2) }, client.ErrTimeoutRefused},
		"identity refused": {client.Config{Auth: auth}, func(p *peer, _ func()) {
			p.grant(sessionID, timeout)
			p.reply(p.want(wire.OpAuth), wire.ErrAuthFailed, nil)
		}, client.ErrAuthFailed},
		"given up": {client.Config{Auth: auth}, func(p *peer, giveUp func()) {
			p.grant(sessionID, timeout)
			p.want(wire.OpAuth)
			giveUp()
			p.nc.Close()
		}, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFakeNet(t)
				cfg := test.cfg
				cfg.Servers, cfg.DialContext, cfg.SessionTimeout = []string{"a:1"}, f.dial, timeout
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				dial := begin(func() (*client.Client, error) { return client.Dial(ctx, cfg) })
				p := f.next()
				p.hello()
				test.play(p, cancel)
				closed(t, f)
				if _, err := dial.wait(t); !errors.Is(err, test.want) {
					t.Errorf("error = %v, want %v", err, test.want)
				}
			})
		})
	}
}

func TestDial_Resume(t *testing.T) {
	ticket := &client.Ticket{SessionID: sessionID, Password: password, LastZxid: 77}
	t.Run("alive", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			c, _, p := start(t, client.Config{Resume: ticket})
			if p.last.SessionID != sessionID || p.last.LastZxidSeen != 77 || string(p.last.Password) != string(password) {
				t.Errorf("connect request = %+v, want that of the ticket", p.last)
			}
			if got := session(t, c).Ticket(); got.SessionID != sessionID || got.LastZxid != 77 {
				t.Errorf("ticket = %+v", got)
			}
		})
	})
	t.Run("gone", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			f := newFakeNet(t)
			dial := begin(func() (*client.Client, error) {
				return client.Dial(t.Context(), client.Config{Servers: []string{"a:1"}, Resume: ticket, DialContext: f.dial})
			})
			p := f.next()
			p.hello()
			p.expired()
			if _, err := dial.wait(t); !errors.Is(err, client.ErrSessionExpired) {
				t.Errorf("error = %v, want %v", err, client.ErrSessionExpired)
			}
		})
	})
}

// connect, then identities, then watches, then what users ask for.
func TestReconnect_R10_Order(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{Auth: []client.Auth{{Scheme: "digest", Data: []byte("u:p")}}})
		s := session(t, c)
		watch := begin(func() (*client.Watch, error) { _, w, err := s.GetW(t.Context(), "/x"); return w, err })
		p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{})
		if _, err := watch.wait(t); err != nil {
			t.Fatal(err)
		}
		p.nc.Close()
		get := begin(func() (client.Node, error) { return s.Get(t.Context(), "/y") })
		p = f.reattach(timeout)
		if p.last.LastZxidSeen != 2 {
			t.Errorf("last zxid = %d, want that of the reply seen", p.last.LastZxidSeen)
		}
		synctest.Wait()
		if len(p.in) != 1 {
			t.Fatalf("%d requests came before auth was answered, want auth alone", len(p.in))
		}
		p.reply(p.want(wire.OpAuth), 0, nil)
		set := p.want(wire.OpSetWatches)
		var m wire.SetWatchesRequest
		m.Decode(set.body, wire.OpSetWatches)
		if !slices.Equal(m.Data, []string{"/x"}) || m.RelativeZxid != 2 || len(m.Exist)+len(m.Child) != 0 {
			t.Errorf("watches set again = %+v", m)
		}
		synctest.Wait()
		if len(p.in) != 0 {
			t.Fatal("a user's request came before the watches were set")
		}
		p.reply(set, 0, nil)
		p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{Data: []byte("v")})
		if n, err := get.wait(t); err != nil || string(n.Data) != "v" {
			t.Errorf("get = %+v, %v", n, err)
		}
	})
}

// a server that cannot set the watches again is not used.
func TestReconnect_R4_FailedSetWatchesDropsTheConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		s := session(t, c)
		watch := begin(func() (*client.Watch, error) { _, w, err := s.GetW(t.Context(), "/x"); return w, err })
		p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{})
		w, err := watch.wait(t)
		if err != nil {
			t.Fatal(err)
		}
		p.nc.Close()
		p = f.reattach(timeout)
		p.reply(p.want(wire.OpSetWatches), wire.ErrMarshalling, nil)
		p.wantGone()
		p = f.reattach(timeout)
		set := p.want(wire.OpSetWatches)
		p.notify(wire.EventDeleted, "/x")
		p.reply(set, 0, nil)
		if ev, err := w.Wait(t.Context()); err != nil || ev.Type != client.EventDeleted || ev.Path != "/x" {
			t.Errorf("watch ended with %v, %v", ev, err)
		}
	})
}

// a refused identity fails Dial, and later on costs the connection.
func TestAuth_R10_Refused(t *testing.T) {
	auth := []client.Auth{{Scheme: "digest", Data: []byte("u:p")}}
	bubble(t, func(t *testing.T) {
		f := newFakeNet(t)
		dial := begin(func() (*client.Client, error) {
			return client.Dial(t.Context(), client.Config{Servers: []string{"a:1"}, Auth: auth, DialContext: f.dial})
		})
		p := f.next()
		p.hello()
		p.grant(sessionID, timeout)
		p.reply(p.want(wire.OpAuth), wire.ErrAuthFailed, nil)
		f.down("a:1", errors.New("refused"))
		if _, err := dial.wait(t); !errors.Is(err, client.ErrAuthFailed) {
			t.Errorf("error = %v, want %v", err, client.ErrAuthFailed)
		}
	})
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{Auth: auth})
		p.nc.Close()
		p = f.reattach(timeout)
		p.reply(p.want(wire.OpAuth), wire.ErrAuthFailed, nil)
		p.wantGone()
		p = f.reattach(timeout)
		p.reply(p.want(wire.OpAuth), 0, nil)
		synctest.Wait()
		if got := c.State(); got != client.Connected {
			t.Errorf("state = %v", got)
		}
	})
}

func TestSession_Expired(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		s := session(t, c)
		lease := s.Lease()
		watch := begin(func() (*client.Watch, error) { _, w, err := s.GetW(t.Context(), "/x"); return w, err })
		p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{})
		w, err := watch.wait(t)
		if err != nil {
			t.Fatal(err)
		}
		p.nc.Close()
		old := begin(func() (client.Node, error) { return s.Get(t.Context(), "/y") })
		any := begin(func() (client.Node, error) { return c.Get(t.Context(), "/y") })
		p = f.next()
		p.hello()
		p.expired()
		if _, err := old.wait(t); !errors.Is(err, client.ErrSessionExpired) {
			t.Errorf("request of the old session: %v", err)
		}
		if _, err := w.Wait(t.Context()); !errors.Is(err, client.ErrSessionExpired) {
			t.Errorf("watch of the old session: %v", err)
		}
		if context.Cause(s.Context()) != client.ErrSessionExpired || context.Cause(lease) != client.ErrSessionExpired {
			t.Errorf("causes = %v, %v", context.Cause(s.Context()), context.Cause(lease))
		}
		p = f.next()
		if req := p.hello(); req.SessionID != 0 || req.LastZxidSeen != 0 {
			t.Errorf("connect request = %+v, want one for a new session", req)
		}
		p.grant(sessionID+1, timeout)
		p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{Data: []byte("v")})
		if n, err := any.wait(t); err != nil || string(n.Data) != "v" {
			t.Errorf("request of the client: %v, %v", n, err)
		}
		if got := session(t, c); got == s || got.ID() != sessionID+1 {
			t.Errorf("session = %#x", got.ID())
		}
	})
}

// C4: only connects, pings and writes prove that we are alive; leases end at the deadline, the session with the timeout.
func TestSession_DeadlineUnheard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{ReadTimeout: 2 * timeout})
		s := session(t, c)
		time.Sleep(5 * time.Second) // pings at 2 s and 4 s
		if got := time.Until(s.Deadline()); got != 7*time.Second {
			t.Errorf("deadline in %v, want 8 s behind the ping 1 s ago", got)
		}
		p.setMute(true) // a server that has lost its leader: it answers reads alone
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case <-stop:
					return
				case req := <-p.in:
					p.reply(req, 0, &wire.GetDataResponse{})
				}
			}
		}()
		lease, began := s.Lease(), time.Now()
		reader := time.NewTicker(time.Second)
		defer reader.Stop()
	reading:
		for {
			select {
			case <-reader.C:
				if _, err := s.Get(t.Context(), "/x"); err != nil {
					t.Fatal(err)
				}
			case <-lease.Done():
				break reading
			}
		}
		if took := time.Since(began); took != 7*time.Second || context.Cause(lease) != client.ErrSessionDeadline {
			t.Errorf("lease ended after %v with %v", took, context.Cause(lease))
		}
		if late := s.Lease(); context.Cause(late) != client.ErrSessionDeadline || s.Remaining() > 0 {
			t.Errorf("a lease beyond the deadline: %v, %v remaining", context.Cause(late), s.Remaining())
		}
		if s.Context().Err() != nil {
			t.Error("the session ended with the lease")
		}
		p.setMute(false) // alive again
		time.Sleep(2 * time.Second)
		if again := s.Lease(); again.Err() != nil || lease.Err() == nil {
			t.Errorf("a lease of a session that is alive again: %v; the old one: %v", again.Err(), lease.Err())
		}
		p.setMute(true)
		again, unheard := s.Lease(), time.Now()
		f.down("a:1", io.EOF)
		f.down("b:1", io.EOF)
		f.down("c:1", io.EOF)
		close(stop)
		<-s.Context().Done()
		if context.Cause(s.Context()) != client.ErrSessionDeadline || again.Err() == nil {
			t.Errorf("session ended with %v", context.Cause(s.Context()))
		}
		if took := time.Since(unheard); took > timeout || took < timeout-2*time.Second {
			t.Errorf("the session ended %v after the last sign of life", took)
		}
	})
}

// A session that was given up unheard is closed on the first server that can be reached, before a new one begins.
func TestSession_DeadlineClosesTheOldOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		s := session(t, c)
		for _, a := range []string{"a:1", "b:1", "c:1"} {
			f.down(a, io.EOF)
		}
		p.nc.Close()
		<-s.Context().Done()
		for _, a := range []string{"a:1", "b:1", "c:1"} {
			f.down(a, nil)
		}
		p = f.reattach(timeout)
		p.want(wire.OpCloseSession)
		p = f.next()
		if req := p.hello(); req.SessionID != 0 {
			t.Errorf("connect request for session %#x, want a new one", req.SessionID)
		}
		p.grant(sessionID+1, timeout)
		if got := session(t, c).ID(); got != sessionID+1 {
			t.Errorf("session = %#x", got)
		}
	})
}

func TestSession_SilentServerIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		lease, began := session(t, c).Lease(), time.Now()
		p.setMute(true)
		p.wantGone()
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("left after %v of silence, want half of the timeout", took)
		}
		f.reattach(timeout)
		time.Sleep(3 * time.Second)
		if lease.Err() != nil {
			t.Error("a lease ended, though another server was there")
		}
		if c.State() != client.Connected {
			t.Errorf("state = %v", c.State())
		}
	})
}

// readOn reads again and again for as long as the session lives on this connection, which answers no pings.
func readOn(t *testing.T, s *client.Session, p *peer) {
	t.Helper()
	p.setMute(true)
	for s.Context().Err() == nil {
		get := begin(func() (client.Node, error) { return s.Get(t.Context(), "/x") })
		select {
		case req := <-p.in:
			p.reply(req, 0, &wire.GetDataResponse{})
		case <-p.gone:
			return
		}
		if _, err := get.wait(t); err != nil && s.Context().Err() == nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond)
	}
}

// A server that answers reads but not pings has lost its leader, or its mind: it is left while there is time to attach
// the session elsewhere.
func TestSession_UnsureServerIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		s, began := session(t, c), time.Now()
		reading := begin(func() (struct{}, error) { readOn(t, s, p); return struct{}{}, nil })
		p.wantGone()
		if took := time.Since(began); took < timeout/2 || took > timeout*3/4 {
			t.Errorf("left after %v without an answer to a ping, want some two thirds of the timeout", took)
		}
		p = f.reattach(timeout)
		reading.wait(t)
		p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{})
		time.Sleep(timeout)
		if cause := context.Cause(s.Context()); cause != nil || session(t, c) != s {
			t.Errorf("the session ended with %v", cause)
		}
	})
}

// If that was put off too long, by the user's wish or because attaching had taken long, the session ends when the
// timeout has passed, and is closed on the connection it has.
func TestSession_DeadlineOnTheConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{ReadTimeout: 2 * timeout})
		s, began := session(t, c), time.Now()
		ended := begin(func() (time.Duration, error) { <-s.Context().Done(); return time.Since(began), nil })
		readOn(t, s, p)
		if took, _ := ended.wait(t); took != timeout || context.Cause(s.Context()) != client.ErrSessionDeadline {
			t.Errorf("ended after %v with %v", took, context.Cause(s.Context()))
		}
		p.want(wire.OpCloseSession)
		p.wantGone()
		p = f.next()
		if req := p.hello(); req.SessionID != 0 {
			t.Errorf("connect request for session %#x, which a server has closed", req.SessionID)
		}
		p.grant(sessionID+1, timeout)
	})
}

// C2: the request that closes a session may lose its connection. Nothing of it is left to a call of the next session:
// that one waits for its own answer, and is sent once.
func TestSession_C2_FarewellLeavesNoToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{ReadTimeout: 2 * timeout})
		s := session(t, c)
		p.hand.Store(true)
		readOn(t, s, p)
		p.want(wire.OpCloseSession)
		p.nc.Close() // without an answer
		p = f.next()
		p.hello() // for the session left over
		p.expired()
		p = f.next()
		p.hello()
		p.grant(sessionID+1, timeout)
		for range 3 { // whichever call the pool gives out
			get := begin(func() (client.Node, error) { return c.Get(t.Context(), "/y") })
			req := p.want(wire.OpGetData)
			synctest.Wait()
			select {
			case again := <-p.in:
				t.Fatalf("%v was sent twice", again.Op)
			case <-get.done:
				t.Fatalf("the call ended before its answer: %v", get.err)
			default:
			}
			p.reply(req, 0, &wire.GetDataResponse{Data: []byte("mine")})
			if node, err := get.wait(t); err != nil || string(node.Data) != "mine" {
				t.Errorf("got %q, %v", node.Data, err)
			}
		}
	})
}

// A reply that says "expired" costs the connection; what is true, the next connect request tells.
func TestReply_SessionExpired(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		s := session(t, c)
		get := begin(func() (client.Node, error) { return s.Get(t.Context(), "/x") })
		p.reply(p.want(wire.OpGetData), wire.ErrSessionExpired, nil)
		if _, err := get.wait(t); !errors.Is(err, client.ErrSessionExpired) {
			t.Errorf("get = %v", err)
		}
		p.wantGone()
		p = f.next()
		if req := p.hello(); req.SessionID != sessionID {
			t.Errorf("connect request for session %#x", req.SessionID)
		}
		p.expired()
		p = f.next()
		p.hello()
		p.grant(sessionID+1, timeout)
		if session(t, c).ID() != sessionID+1 || context.Cause(s.Context()) != client.ErrSessionExpired {
			t.Errorf("the session ended with %v", context.Cause(s.Context()))
		}
	})
}

// Close while there is no connection makes one round over the servers, so that the ephemerals go at once.
func TestClose_WhileSuspended(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		for _, a := range []string{"a:1", "b:1", "c:1"} {
			f.down(a, io.EOF)
		}
		p.nc.Close()
		synctest.Wait()
		f.down("b:1", nil)
		closed := begin(func() (struct{}, error) { return struct{}{}, c.Close() })
		f.reattach(timeout).want(wire.OpCloseSession)
		if _, err := closed.wait(t); err != nil {
			t.Error(err)
		}
	})
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		for _, a := range []string{"a:1", "b:1", "c:1"} {
			f.down(a, io.EOF)
		}
		p.nc.Close()
		synctest.Wait()
		if err := c.Close(); !errors.Is(err, client.ErrSuspended) {
			t.Errorf("no server confirmed the end; Close = %v", err)
		}
	})
}

func TestClose_R13(t *testing.T) {
	t.Run("twice", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			c, _, p := start(t, client.Config{})
			s := session(t, c)
			if err := errors.Join(c.Close(), c.Close(), c.Sub("x").Close()); err != nil {
				t.Error(err)
			}
			p.want(wire.OpCloseSession)
			_, err := s.Get(t.Context(), "/x")
			_, err2 := c.Get(t.Context(), "/x")
			if !errors.Is(err, client.ErrClosed) || !errors.Is(err2, client.ErrClosed) || context.Cause(s.Context()) != client.ErrClosed {
				t.Errorf("after Close: %v, %v, %v", err, err2, context.Cause(s.Context()))
			}
		})
	})
	t.Run("answers what was asked", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			c, _, p := start(t, client.Config{})
			get := begin(func() (client.Node, error) { return c.Get(t.Context(), "/x") })
			req := p.want(wire.OpGetData)
			p.hand.Store(true)
			closed := begin(func() (struct{}, error) { return struct{}{}, c.Close() })
			end := p.want(wire.OpCloseSession)
			p.reply(req, 0, &wire.GetDataResponse{})
			p.reply(end, 0, nil)
			p.nc.Close()
			if _, err := get.wait(t); err != nil {
				t.Errorf("a request sent before Close: %v", err)
			}
			if _, err := closed.wait(t); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("mute server", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			f := newFakeNet(t)
			dial := begin(func() (*client.Client, error) {
				return client.Dial(t.Context(), client.Config{Servers: []string{"a:1"}, DialContext: f.dial, SessionTimeout: timeout, CloseTimeout: time.Second})
			})
			p := f.next()
			p.hello()
			m := wire.ConnectResponse{Timeout: int32(timeout.Milliseconds()), SessionID: sessionID, Password: password, HasReadOnly: true}
			p.write(m.Append(wire.BeginFrame(nil))) // and nobody reads what comes
			c, err := dial.wait(t)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			set := begin(func() (client.Stat, error) { return c.Set(ctx, "/x", nil, -1) })
			get := begin(func() (client.Node, error) { return c.Get(context.Background(), "/x") })
			synctest.Wait()
			cancel()
			var op *client.OpError
			if _, err := set.wait(t); !errors.Is(err, context.Canceled) || !errors.As(err, &op) || !op.MaybeApplied {
				t.Errorf("write given up: %v, want one that may have been applied", err)
			}
			began := time.Now()
			if err := c.Close(); err == nil {
				t.Error("Close returned nil, though no server confirmed it")
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("Close took %v", took)
			}
			if _, err := get.wait(t); !errors.Is(err, client.ErrClosed) {
				t.Errorf("read under way: %v", err)
			}
		})
	})
}

// whatever a call waits for, the end of its context ends it.
func TestCancel_R1(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		s := session(t, c)
		give := func(what string, call func(ctx context.Context) error, maybe bool) {
			t.Helper()
			ctx, cancel := context.WithCancelCause(t.Context())
			g := begin(func() (struct{}, error) { return struct{}{}, call(ctx) })
			synctest.Wait()
			why := errors.New("why")
			cancel(why)
			_, err := g.wait(t)
			if !errors.Is(err, context.Canceled) || !errors.Is(err, why) || errors.Is(err, client.ErrMaybeApplied) != maybe {
				t.Errorf("%s: %v", what, err)
			}
		}
		give("read under way", func(ctx context.Context) error { _, err := s.Get(ctx, "/x"); return err }, false)
		give("write under way", func(ctx context.Context) error { _, err := s.Set(ctx, "/x", nil, -1); return err }, true)
		give("transaction under way", func(ctx context.Context) error { _, err := s.Txn().Delete("/x", 1).Commit(ctx); return err }, true)
		one, two := p.want(wire.OpGetData), p.want(wire.OpSetData)
		three := p.want(wire.OpMulti)
		p.reply(one, 0, &wire.GetDataResponse{Data: []byte("one")})
		p.reply(two, 0, &wire.Stat{Version: 2})
		p.reply(three, wire.ErrMarshalling, nil)
		get := begin(func() (client.Node, error) { return s.Get(t.Context(), "/y") })
		p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{Data: []byte("y")})
		if n, err := get.wait(t); err != nil || string(n.Data) != "y" {
			t.Errorf("answer behind those of calls given up: %v, %v", n, err)
		}
		for _, a := range []string{"a:1", "b:1", "c:1"} {
			f.down(a, errors.New("refused"))
		}
		p.nc.Close()
		synctest.Wait()
		if c.State() != client.Suspended {
			t.Errorf("state = %v", c.State())
		}
		give("write while suspended", func(ctx context.Context) error { _, err := s.Set(ctx, "/x", nil, -1); return err }, false)
		give("waiting for a session", func(ctx context.Context) error { _, err := c.Get(ctx, "/x"); return err }, false)
	})
}

// C1: what was sent and lost is not repeated if it changes something; what was not sent is.
func TestLostReply_C1(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		set := begin(func() (client.Stat, error) { return c.Set(t.Context(), "/x", nil, -1) })
		get := begin(func() (client.Node, error) { return c.Get(t.Context(), "/x") })
		synctest.Wait()
		p.nc.Close()
		_, err := set.wait(t)
		var op *client.OpError
		if !errors.As(err, &op) || !op.MaybeApplied || !errors.Is(err, client.ErrSuspended) || op.Path != "/x" || op.Session != sessionID {
			t.Errorf("lost write: %v", err)
		}
		waiting := begin(func() (client.Stat, error) { return c.Set(t.Context(), "/y", nil, 7) })
		synctest.Wait()
		p = f.reattach(timeout)
		for range 2 {
			switch req := <-p.in; req.Op {
			case wire.OpGetData:
				p.reply(req, 0, &wire.GetDataResponse{Data: []byte("v")})
			case wire.OpSetData:
				p.reply(req, wire.ErrBadVersion, nil)
			default:
				t.Fatalf("%v came", req.Op)
			}
		}
		if n, err := get.wait(t); err != nil || string(n.Data) != "v" {
			t.Errorf("lost read: %v, %v", n, err)
		}
		if _, err := waiting.wait(t); !errors.Is(err, client.ErrBadVersion) || errors.Is(err, client.ErrMaybeApplied) {
			t.Errorf("write that waited: %v", err)
		}
	})
}

// A reply that is not the next in line tears the connection down rather than reach the wrong caller.
func TestReply_OutOfOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{})
		get := begin(func() (client.Node, error) { return c.Get(t.Context(), "/x") })
		req := p.want(wire.OpGetData)
		req.Xid++
		p.reply(req, 0, &wire.GetDataResponse{Data: []byte("wrong")})
		p.wantGone()
		p = f.reattach(timeout)
		p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{Data: []byte("right")})
		if n, err := get.wait(t); err != nil || string(n.Data) != "right" {
			t.Errorf("get = %v, %v", n, err)
		}
	})
}

// all servers once at once, then rounds with pauses that grow; also if the servers take the connection and close it.
func TestReconnect_R7_Pauses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, f, p := start(t, client.Config{SessionTimeout: 40 * time.Second})
		time.Sleep(5 * time.Second)
		before := len(f.dials())
		stop := make(chan struct{})
		go func() {
			for {
				select {
				case q := <-f.peers:
					q.nc.Close()
				case <-stop:
					return
				}
			}
		}()
		began := time.Now()
		p.nc.Close()
		time.Sleep(30 * time.Second)
		close(stop)
		times := f.dials()[before:]
		if len(times) < 30 || len(times) > 3*30*20 {
			t.Errorf("%d attempts in 30 s", len(times))
		}
		if third := times[2].Sub(began); third > 0 {
			t.Errorf("the first round took %v, want none", third)
		}
		late := 0
		for _, at := range times {
			if at.Sub(began) > 20*time.Second {
				late++
			}
		}
		if late > 3*10*5 {
			t.Errorf("%d attempts in the last 10 s", late)
		}
	})
}

// states are levels, and end with the latest.
func TestStates_R3(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told []client.State
		c, f, p := start(t, client.Config{Hooks: client.Hooks{State: func(s client.State) { told = append(told, s) }}})
		var seen []client.State
		seeing := make(chan struct{})
		go func() {
			defer close(seeing)
			for s := range c.States(t.Context()) {
				seen = append(seen, s)
			}
		}()
		synctest.Wait()
		for _, a := range []string{"a:1", "b:1", "c:1"} {
			f.down(a, errors.New("refused"))
		}
		p.nc.Close()
		synctest.Wait()
		for _, a := range []string{"a:1", "b:1", "c:1"} {
			f.down(a, nil)
		}
		f.reattach(timeout)
		synctest.Wait()
		c.Close()
		<-seeing
		want := []client.State{client.Connected, client.Suspended, client.Connected, client.Connecting, client.Closed}
		if !slices.Equal(told, want) {
			t.Errorf("hook was told %v, want %v", told, want)
		}
		if seen[0] != client.Connected || seen[1] != client.Suspended || seen[len(seen)-1] != client.Closed {
			t.Errorf("states = %v", seen)
		}
		for range c.States(t.Context()) {
			seen = append(seen, client.Closed)
		}
	})
}

// a server that attaches the session and drops it, again and again, is not stormed either.
func TestReconnect_R7_AttachThenClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, f, p := start(t, client.Config{Servers: []string{"a:1"}})
		began := time.Now()
		p.nc.Close()
		n := 0
		for ; time.Since(began) < 20*time.Second; n++ {
			p = f.reattach(timeout)
			synctest.Wait()
			p.nc.Close()
		}
		if n > 100 {
			t.Errorf("attached %d times in 20 s", n)
		}
		f.down("a:1", errors.New("refused"))
	})
}
