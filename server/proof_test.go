package server_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/servertest"
)

// split returns the index of a server in its cluster, and those of the others.
func split(cl *servertest.Cluster, s *servertest.Server) (at []int, rest []int) {
	for i, other := range cl.Servers {
		if other == s {
			at = append(at, i)
		} else {
			rest = append(rest, i)
		}
	}
	return at, rest
}

// silent fails the test if a frame comes within d; the end of the connection is silence, too.
func (r *raw) silent(d time.Duration, what string) {
	r.t.Helper()
	if err := r.nc.SetReadDeadline(time.Now().Add(d)); err != nil {
		r.t.Fatal(err)
	}
	if f, err := wire.ReadFrame(r.nc, nil, 1<<20); err == nil {
		r.t.Errorf("%s was answered: %x", what, f)
	}
}

// A leader that has been cut off answers neither a sync nor a ping, however sure it still is to lead.
func TestSync_DeposedLeaderIsSilent(t *testing.T) {
	t.Parallel()
	cl := servertest.NewCluster(t, 3, servertest.WithConfig(func(c *server.Config) {
		c.ElectionTimeout = 400 * time.Millisecond // it believes to lead for so long
	}))
	old := cl.Leader()
	syncs, pings := connect(t, old.Server()), connect(t, old.Server())
	syncs.want(wire.OK, wire.OpSync, wire.AppendString(nil, "/"))
	at, rest := split(cl, old)
	cl.Partition(at, rest)
	syncs.request(wire.OpSync, wire.AppendString(nil, "/"))
	pings.send(wire.RequestHeader{Xid: wire.XidPing, Op: wire.OpPing}.Append(nil))
	if _, err := cl.Servers[rest[0]].Dial(t).Create(wait(t), "/new", nil); err != nil {
		t.Fatalf("the majority: %v", err)
	}
	syncs.silent(500*time.Millisecond, "a sync of a deposed leader")
	pings.silent(10*time.Millisecond, "a ping of a deposed leader")
	late := connectMaybe(t, old.Server())
	if late != 0 {
		t.Errorf("a deposed leader opened session %#x", late)
	}
}

// connectMaybe returns the session that a server opens, 0 if it closes the connection instead.
func connectMaybe(t *testing.T, srv *server.Server) int64 {
	t.Helper()
	r := dialRaw(t, srv.Addr())
	r.send((&wire.ConnectRequest{Timeout: 10_000, Password: make([]byte, 16)}).Append(nil))
	f, err := wire.ReadFrame(r.nc, nil, 1<<10)
	if err != nil {
		return 0
	}
	var resp wire.ConnectResponse
	resp.Decode(wire.NewReader(f))
	return resp.SessionID
}

// Whoever reads behind a sync, on whichever server, sees all that had been acknowledged before: while leaders are cut off
// and come back, and while what members tell each other, heartbeats included, comes late.
func TestSync_IsLinearizable(t *testing.T) {
	t.Parallel()
	for name, delay := range map[string]time.Duration{"cut off": 0, "late heartbeats": 25 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lines delays
			t.Cleanup(lines.wait) // behind the servers' own
			cl := servertest.NewCluster(t, 3, servertest.WithConfig(func(c *server.Config) { lines.put(c, delay) }))
			hasty := func(cfg *client.Config) { cfg.SessionTimeout = time.Second } // leaves a silent server soon
			w := cl.Dial(t, hasty)
			if _, err := w.Create(wait(t), "/n", []byte("0")); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(wait(t))
			var wg sync.WaitGroup
			var acknowledged, checked atomic.Int64
			wg.Go(func() {
				for n := int64(1); ctx.Err() == nil; n++ {
					if _, err := w.Set(ctx, "/n", []byte(strconv.FormatInt(n, 10)), -1); err == nil {
						acknowledged.Store(n)
					}
				}
			})
			for _, s := range cl.Servers {
				c := s.Dial(t, hasty)
				wg.Go(func() {
					for ctx.Err() == nil {
						before := acknowledged.Load()
						if !syncAndRead(ctx, t, c, before) {
							continue
						}
						checked.Add(1)
					}
				})
			}
			for range 2 {
				at, rest := split(cl, cl.Leader())
				target := checked.Load() + 20
				for checked.Load() < target && ctx.Err() == nil {
					syncPoint(ctx)
				}
				cl.Partition(at, rest)
				next := acknowledged.Load() + 5
				for acknowledged.Load() < next && ctx.Err() == nil {
					syncPoint(ctx)
				}
				cl.Heal()
			}
			cancel()
			wg.Wait()
			t.Logf("%d writes, %d reads behind a sync", acknowledged.Load(), checked.Load())
			if checked.Load() < 40 {
				t.Error("too few reads to tell")
			}
		})
	}
}

// syncPoint lets the others work for a moment: counters announce nothing.
func syncPoint(ctx context.Context) {
	timer := time.NewTimer(time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// syncAndRead tells whether both succeeded, and fails the test if the value read is older than n.
func syncAndRead(ctx context.Context, t *testing.T, c *client.Client, n int64) bool {
	sess, err := c.Session(ctx)
	if err != nil {
		return false
	}
	if err := sess.Sync(ctx, "/"); err != nil {
		return false
	}
	node, err := sess.Get(ctx, "/n")
	if err != nil {
		return false
	}
	got, err := strconv.ParseInt(string(node.Data), 10, 64)
	if err != nil || got < n {
		t.Errorf("behind a sync: %q (%v), although %d was acknowledged before", node.Data, err, n)
	}
	return true
}

// delays makes what comes over the peers' connections late.
type delays struct{ wg sync.WaitGroup }

func (d *delays) wait() { d.wg.Wait() }

// put delays all that the server dials.
func (d *delays) put(c *server.Config, by time.Duration) {
	dial := c.DialPeer
	if by == 0 {
		return
	}
	c.DialPeer = func(ctx context.Context, addr string) (net.Conn, error) {
		far, err := dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		near, end := net.Pipe()
		for _, p := range [][2]net.Conn{{end, far}, {far, end}} {
			d.wg.Go(func() { d.late(p[0], p[1], by) })
		}
		return near, nil
	}
}

// late copies, each piece after a while, until either end is closed.
func (d *delays) late(from, to net.Conn, by time.Duration) {
	type piece struct {
		b  []byte
		at time.Time
	}
	pieces := make(chan piece, 1000)
	done := make(chan struct{})
	d.wg.Go(func() {
		defer close(done)
		defer to.Close()
		for p := range pieces {
			timer := time.NewTimer(time.Until(p.at))
			<-timer.C
			if _, err := to.Write(p.b); err != nil {
				return
			}
		}
	})
	defer close(pieces)
	defer from.Close()
	for {
		b := make([]byte, 32<<10)
		n, err := from.Read(b)
		if n > 0 {
			select {
			case pieces <- piece{b[:n], time.Now().Add(by)}:
			case <-done:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// The rule of pings: no session ends before its timeout since the last answered ping was sent, whatever happens to the
// server that answered it.
func TestPing_NoSessionEndsEarly(t *testing.T) {
	t.Parallel()
	const timeout = 1200 * time.Millisecond
	for name, c := range map[string]struct {
		leader bool // the client is at the leader
		happen func(cl *servertest.Cluster, s *servertest.Server)
	}{
		"leader dies":         {true, func(_ *servertest.Cluster, s *servertest.Server) { s.Kill() }},
		"follower dies":       {false, func(_ *servertest.Cluster, s *servertest.Server) { s.Kill() }},
		"leader stops":        {true, func(_ *servertest.Cluster, s *servertest.Server) { s.Stop() }},
		"leader is deposed":   {true, cutOff},
		"follower is cut off": {false, cutOff},
		"server is paused":    {false, func(_ *servertest.Cluster, s *servertest.Server) { s.Freeze() }},
		"its leader dies":     {false, func(cl *servertest.Cluster, _ *servertest.Server) { cl.KillLeader() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl := servertest.NewCluster(t, 3)
			s := cl.Leader()
			if !c.leader {
				_, rest := split(cl, s)
				s = cl.Servers[rest[0]]
			}
			r := dialRaw(t, s.Addr())
			r.handshake(wire.ConnectRequest{Timeout: int32(timeout.Milliseconds()), Password: make([]byte, 16)})
			r.want(wire.OK, wire.OpCreate, createBody("/e", "", wire.FlagEphemeral))
			var sent time.Time // of the last ping that was answered
			for range 3 {
				sent = r.ping()
			}
			c.happen(cl, s)
			gone := vanishes(t, cl, s, "/e")
			// What the server answers after its fate befell it counts, too.
			if early := timeout - gone.Sub(sent); early > 0 {
				t.Errorf("the session ended %v before its timeout since the last answered ping", early)
			} else {
				t.Logf("ended %v after its timeout", -early)
			}
		})
	}
}

func cutOff(cl *servertest.Cluster, s *servertest.Server) { cl.Partition(split(cl, s)) }

// ping sends a ping, waits for its answer, and returns when it was sent.
func (r *raw) ping() time.Time {
	r.t.Helper()
	sent := time.Now()
	r.send(wire.RequestHeader{Xid: wire.XidPing, Op: wire.OpPing}.Append(nil))
	r.reply(wire.XidPing)
	return sent
}

// vanishes waits until a node is gone for a client of the other servers, and returns when it learned of it.
func vanishes(t *testing.T, cl *servertest.Cluster, not *servertest.Server, path string) time.Time {
	t.Helper()
	_, rest := split(cl, not)
	c := cl.Dial(t, func(cfg *client.Config) {
		cfg.Servers = []string{cl.Servers[rest[0]].Addr(), cl.Servers[rest[1]].Addr()}
	})
	for {
		sess, err := c.Session(wait(t))
		if err != nil {
			t.Fatal(err)
		}
		_, there, w, err := sess.ExistsW(wait(t), path)
		if err != nil {
			continue // its server was the one that died
		}
		if !there {
			return time.Now()
		}
		if _, err := w.Wait(wait(t)); err != nil && !errors.Is(err, client.ErrSessionExpired) {
			t.Fatal(err)
		}
	}
}

// A session that moves to another server finds all it has written, the write whose answer was lost included, and its
// old connection can write no more.
func TestSession_MovesBetweenServers(t *testing.T) {
	t.Parallel()
	cl := servertest.NewCluster(t, 3)
	r := connect(t, cl.Servers[0].Server())
	for i := range 30 {
		path := fmt.Sprintf("/w%02d", i)
		r.want(wire.OK, wire.OpCreate, createBody(path, "", 0))
		lost := fmt.Sprintf("/lost%02d", i)
		r.request(wire.OpCreate, createBody(lost, "", 0)) // nobody waits for the answer
		next := r.reattach(cl.Servers[(i+1)%3].Server())
		next.want(wire.OK, wire.OpExists, watchBody(path, false))
		code, _ := next.do(wire.OpExists, watchBody(lost, false))
		r.late(t, fmt.Sprintf("/late%02d", i))
		// Either it was committed before the session moved, or it never will be.
		next.want(wire.OK, wire.OpSync, wire.AppendString(nil, "/"))
		if again, _ := next.do(wire.OpExists, watchBody(lost, false)); again != code {
			t.Errorf("%s: %v right after the move, %v later", lost, code, again)
		}
		next.want(wire.ErrNoNode, wire.OpExists, watchBody(fmt.Sprintf("/late%02d", i), false))
		r = next
	}
}

// late writes over a connection whose session has moved, and waits until the server closes it.
func (r *raw) late(t *testing.T, path string) {
	t.Helper()
	b := encoded(999, wire.OpCreate, createBody(path, "", 0))
	if _, err := r.nc.Write(b); err != nil {
		return // closed already
	}
	for {
		f, err := wire.ReadFrame(r.nc, nil, 1<<20)
		if err != nil {
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				t.Error("the old connection stays open")
			}
			return
		}
		var h wire.ReplyHeader
		if h.Decode(wire.NewReader(f)); h.Xid == 999 {
			t.Errorf("a write over the old connection was answered: %+v", h)
			return
		}
	}
}

// A client that pings and ends its session in the same breath gets both answers: the leader knows the session no more
// when it is told of the ping.
func TestPing_CloseBehindIt(t *testing.T) {
	srv := start(t)
	var conns []*raw
	for range 8 {
		conns = append(conns, connect(t, srv))
	}
	ping := wire.RequestHeader{Xid: wire.XidPing, Op: wire.OpPing}.Append(nil)
	conns[0].send(ping) // the next report to the leader has to wait for a while
	conns[0].reply(wire.XidPing)
	for _, r := range conns {
		r.send(ping)
		r.send(wire.RequestHeader{Xid: 7, Op: wire.OpCloseSession}.Append(nil))
	}
	for _, r := range conns {
		if h, _ := r.reply(wire.XidPing); h.Err != wire.OK {
			t.Errorf("ping: %v", h.Err)
		}
		if h, _ := r.reply(7); h.Err != wire.OK {
			t.Errorf("closeSession: %v", h.Err)
		}
		r.closed()
	}
}
