package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/servertest"
)

// A docent ensemble of which one server is cut off its majority, and serves reads to clients that allow it.
type cutOff struct {
	*servertest.Cluster
	isolated atomic.Bool // our clients, too, reach that server alone
}

func newCutOff(t *testing.T) *cutOff {
	e := &cutOff{Cluster: servertest.NewCluster(t, 3, servertest.NoSockets(),
		servertest.WithConfig(func(cfg *server.Config) { cfg.ReadOnlyMode = true }))}
	e.isolated.Store(true)
	time.Sleep(time.Second) // virtual: alone, a server serves only if it has followed a leader for a while
	return e
}

// cutOffTimeout is that of sessions here: short, for a cluster on virtual time is not idle.
const cutOffTimeout = 6 * time.Second

// dial connects a client on the server's side of the cut.
func (e *cutOff) dial(t *testing.T) *client.Client {
	t.Helper()
	return e.Dial(t, func(cfg *client.Config) {
		all, reach := cfg.DialContext, e.Servers[0].Addr()
		cfg.AllowReadOnly, cfg.SessionTimeout = true, cutOffTimeout
		cfg.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if e.isolated.Load() && addr != reach {
				return nil, errors.New("behind the cut")
			}
			return all(ctx, network, addr)
		}
	})
}

// cut isolates the first server.
func (e *cutOff) cut() { e.Partition([]int{0}, []int{1, 2}) }

// leaders tells whom each server takes for the leader.
func (e *cutOff) leaders() (list []uint64) {
	for _, s := range e.Servers {
		id, _ := s.Server().Leader()
		list = append(list, id)
	}
	return list
}

// become waits for a state of the connection.
func become(t *testing.T, c *client.Client, want client.State) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for s := range c.States(ctx) {
		if s == want {
			return
		}
	}
	t.Fatalf("the state is %v, want %v", c.State(), want)
}

// A client on the small side of a cut reads there what that server has, in its session, and knows that it does. When it
// reaches the others again, it goes to them, still in its session: what was left to be done is done, and watches tell
// what happened meanwhile.
func TestReadOnly_Docent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newCutOff(t)
		c, other, ctx := e.dial(t), e.Servers[1].Dial(t), t.Context()
		s := session(t, c)
		for _, path := range []string{"x", "gone"} {
			must(s.Create(ctx, path, []byte("before"), client.Ephemeral()))(t)
		}
		_, w, err := s.GetW(ctx, "x")
		if err != nil {
			t.Fatal(err)
		}

		e.cut()
		become(t, c, client.ReadOnly)
		must(other.Set(ctx, "x", []byte("behind the cut"), -1))(t)
		if n, err := s.Get(ctx, "x"); err != nil || string(n.Data) != "before" || n.Stat.EphemeralOwner != s.ID() {
			t.Errorf("a read: %+v, %v", n, err)
		}
		_, err = c.Set(ctx, "x", nil, -1)
		wantErr(t, "a write", err, client.ErrReadOnly)
		_, err = c.Get(ctx, "x", client.Fresh())
		wantErr(t, "a fresh read", err, client.ErrReadOnly)
		_, err = c.Txn().Delete("x", -1).Commit(ctx)
		wantErr(t, "a transaction", err, client.ErrReadOnly)
		soon, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := s.DeleteGuaranteed(soon, "gone"); !errors.Is(err, client.ErrDeletePending) {
			t.Errorf("a guaranteed deletion: %v", err)
		}
		if !open(w) || session(t, c) != s {
			t.Error("the watch, or the session, has ended")
		}

		e.isolated.Store(false) // the cut between the servers stays
		become(t, c, client.Connected)
		wantEvent(t, w, client.EventDataChanged, "/x")
		if n, err := s.Get(ctx, "x", client.Fresh()); err != nil || string(n.Data) != "behind the cut" || n.Stat.EphemeralOwner != s.ID() {
			t.Errorf("a read afterwards: %+v, %v", n, err)
		}
		synctest.Wait()
		if _, there, err := s.Exists(ctx, "gone", client.Fresh()); err != nil || there || len(s.Pending()) > 0 {
			t.Errorf("what was to be deleted is there: %v, %v; pending: %v", there, err, s.Pending())
		}
	})
}

// A read-only server keeps no session alive: that ends by the clock, and so do holds, before the ensemble gives it up.
// What begins there instead gives way to a session of the ensemble when the cut has healed.
func TestReadOnly_DocentSessionEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := newCutOff(t)
		c, other, ctx := e.dial(t), e.Servers[1].Dial(t), t.Context()
		s, began := session(t, c), time.Now()
		must(s.Create(ctx, "x", nil, client.Ephemeral()))(t)
		if err := other.Sync(ctx, "x"); err != nil {
			t.Fatal(err)
		}
		_, w, err := session(t, other).GetW(ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		lease := s.Lease()
		e.cut()
		<-lease.Done()
		if took := time.Since(began); took > cutOffTimeout*2/3 || !open(w) {
			t.Errorf("the lease ended %v after the last proof of the session; its ephemeral is there: %v", took, open(w))
		}
		<-s.Context().Done()
		if took := time.Since(began); took > cutOffTimeout || context.Cause(s.Context()) != client.ErrSessionDeadline {
			t.Errorf("the session ended after %v with %v", took, context.Cause(s.Context()))
		}
		gone, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if ev, err := w.Wait(gone); err != nil || ev.Type != client.EventDeleted {
			t.Fatalf("the ephemeral is there %v later: %v, %v; the others know of the leader %v", time.Since(began), ev, err, e.leaders())
		}

		here := session(t, c)
		if _, err := here.Get(ctx, "/"); err != nil || c.State() != client.ReadOnly {
			t.Errorf("a read in a session of the server's own: %v; state %v", err, c.State())
		}
		time.Sleep(3 * cutOffTimeout / 2)
		if here.Context().Err() != nil {
			t.Errorf("that session ended with %v, though its server is there", context.Cause(here.Context()))
		}
		e.isolated.Store(false)
		e.Heal()
		<-here.Context().Done()
		if cause := context.Cause(here.Context()); cause != client.ErrSessionExpired {
			t.Errorf("that session ended with %v", cause)
		}
		become(t, c, client.Connected)
		if n, err := c.Create(ctx, "x", nil, client.Ephemeral()); err != nil || n.Stat.EphemeralOwner != session(t, c).ID() {
			t.Errorf("a write afterwards: %+v, %v", n, err)
		}
	})
}

// reconfig. A member leaves and comes back; who may not is refused, and so is a change of what has changed.
func TestReconfigure(t *testing.T) {
	testkit.ChangesAddress(t)
	bubble(t, func(t *testing.T) {
		ctx := t.Context()
		const super = "super:lK75jTNcA+U9vtVEw5vB51mj/w4=" // super:secret
		e := servertest.NewCluster(t, 3, servertest.NoSockets(), servertest.WithConfig(func(cfg *server.Config) {
			cfg.ReconfigEnabled, cfg.SuperDigest = true, super
		}))
		c := e.Servers[0].Dial(t, func(cfg *client.Config) {
			cfg.Chroot = "/app"
			cfg.Auth = []client.Auth{{Scheme: "digest", Data: []byte("super:secret")}}
		})
		s := session(t, c)
		lines := make(map[uint64]string)
		for _, m := range e.Servers[0].Server().Members() {
			_, port, _ := strings.Cut(m.Addr, ":")
			lines[m.ID] = fmt.Sprintf("server.%d=%s:%s:participant", m.ID, m.Addr, port)
		}
		_, err := session(t, e.Servers[0].Dial(t)).Reconfigure(ctx, client.Members{Leaving: "3", IfConfig: -1})
		wantErr(t, "a stranger's change", err, client.ErrNoAuth)

		left, err := s.Reconfigure(ctx, client.Members{Leaving: "3", IfConfig: -1})
		if err != nil {
			t.Fatal(err)
		}
		list, version, ok := strings.Cut(string(left.Data), "\nversion=")
		if left.Path != "/zookeeper/config" || !ok || version != fmt.Sprintf("%x", left.Stat.Mzxid) || strings.Contains(list, "server.3") || strings.Count(list, "server.") != 2 {
			t.Errorf("after the leaving: %+v", left)
		}
		_, err = s.Reconfigure(ctx, client.Members{Joining: lines[3], IfConfig: left.Stat.Mzxid - 1})
		wantErr(t, "a change of what has changed", err, client.ErrBadVersion)
		_, err = s.Reconfigure(ctx, client.Members{Joining: "nonsense", IfConfig: -1})
		wantErr(t, "nonsense", err, client.ErrBadArguments)

		back, err := s.Reconfigure(ctx, client.Members{Joining: lines[3], IfConfig: left.Stat.Mzxid})
		if err != nil || !strings.Contains(string(back.Data), lines[3]) || back.Stat.Mzxid <= left.Stat.Mzxid {
			t.Errorf("after the joining: %+v, %v", back, err)
		}
		whole, err := s.Reconfigure(ctx, client.Members{All: lines[1] + "," + lines[2], IfConfig: back.Stat.Mzxid})
		if err != nil || strings.Contains(string(whole.Data), "server.3") {
			t.Errorf("after the whole list: %+v, %v", whole, err)
		}
		must(c.Create(ctx, "x", nil, client.Parents()))(t)
		if cause := context.Cause(s.Context()); cause != nil {
			t.Errorf("the session ended: %v", cause)
		}
	})
}

// Where a server does not permit it, nobody may.
func TestReconfigure_Disabled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := session(t, servertest.New(t, servertest.NoSockets()).Dial(t))
		_, err := s.Reconfigure(t.Context(), client.Members{Leaving: "1", IfConfig: -1})
		wantErr(t, "a change", err, client.ErrReconfigDisabled)
	})
}
