package servertest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server/servertest"
)

func ctx(t *testing.T) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return c
}

func session(t *testing.T, c *client.Client) *client.Session {
	t.Helper()
	s, err := c.Session(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestExpire(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t)
	a, b := srv.Dial(t), srv.Dial(t)
	s := session(t, a)
	if _, err := s.Create(ctx(t), "/e", nil, client.Ephemeral()); err != nil {
		t.Fatal(err)
	}
	srv.Expire(a)
	if _, ok, err := b.Exists(ctx(t), "/e", client.Fresh()); err != nil || ok {
		t.Errorf("ephemeral of the expired session: %v, %v", ok, err)
	}
	<-s.Context().Done()
	if err := context.Cause(s.Context()); !errors.Is(err, client.ErrSessionExpired) {
		t.Errorf("cause %v, want ErrSessionExpired", err)
	}
	if next := session(t, a); next.ID() == s.ID() {
		t.Error("the client goes on with the expired session")
	}
}

func TestRestartKeepsDataAndSessions(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t, servertest.OnDisk())
	c := srv.Dial(t)
	s := session(t, c)
	if _, err := s.Create(ctx(t), "/e", []byte("x"), client.Ephemeral()); err != nil {
		t.Fatal(err)
	}
	srv.Restart()
	n, err := s.Get(ctx(t), "/e")
	if err != nil || string(n.Data) != "x" || n.Stat.EphemeralOwner != s.ID() {
		t.Errorf("after a restart: %+v, %v", n, err)
	}
}

func TestDropReplyAndDropRequest(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t)
	s := session(t, srv.Dial(t))
	for path, f := range map[string]servertest.Fault{"/reply": servertest.DropReply("create", 1), "/request": servertest.DropRequest("create", 1)} {
		srv.Inject(f)
		_, err := s.Create(ctx(t), path, nil)
		if !errors.Is(err, client.ErrMaybeApplied) {
			t.Errorf("%s: %v, want ErrMaybeApplied", path, err)
		}
		_, ok, err := s.Exists(ctx(t), path, client.Fresh())
		if err != nil || ok != (path == "/reply") {
			t.Errorf("%s: exists %v, %v", path, ok, err)
		}
	}
}

func TestInjectUndo(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t)
	undo := srv.Inject(servertest.DropRequest("create", 2))
	c := srv.Dial(t)
	undo()
	for _, p := range []string{"/a", "/b", "/c"} {
		if _, err := session(t, c).Create(ctx(t), p, nil); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t)
	s := session(t, srv.Dial(t))
	before := srv.Count()
	_, _, w, err := s.ExistsW(ctx(t), "/a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(ctx(t), "/a", nil); err != nil {
		t.Fatal(err)
	}
	if e, err := w.Wait(ctx(t)); err != nil || e.Type != client.EventCreated {
		t.Fatalf("%v, %v", e, err)
	}
	after := srv.Count()
	if n, e := after.Total()-before.Total(), after.Events-before.Events; n != 2 || e != 1 {
		t.Errorf("%d requests and %d events, want 2 and 1: %v", n, e, after.Requests)
	}
}

func TestFreezeEndsASession(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t)
	c := srv.Dial(t, func(cfg *client.Config) { cfg.SessionTimeout = 600 * time.Millisecond })
	s := session(t, c)
	srv.Freeze()
	<-s.Context().Done()
	if err := context.Cause(s.Context()); !errors.Is(err, client.ErrSessionDeadline) {
		t.Errorf("cause %v, want ErrSessionDeadline", err)
	}
	srv.Thaw()
	if next := session(t, c); next.ID() == s.ID() {
		t.Error("the client goes on with the session whose deadline passed")
	}
}

func TestClusterSurvivesItsLeader(t *testing.T) {
	t.Parallel()
	cl := servertest.NewCluster(t, 3, servertest.OnDisk())
	c := cl.Dial(t)
	s := session(t, c)
	if _, err := s.Create(ctx(t), "/e", nil, client.Ephemeral()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		dead := cl.KillLeader()
		if _, err := c.Set(ctx(t), "/e", []byte("x"), -1); err != nil && !errors.Is(err, client.ErrMaybeApplied) {
			t.Fatal(err)
		}
		dead.Restart()
		cl.Leader()
	}
	if s.Context().Err() != nil {
		t.Errorf("the session ended: %v", context.Cause(s.Context()))
	}
	if _, ok, err := c.Exists(ctx(t), "/e", client.Fresh()); !ok || err != nil {
		t.Errorf("the ephemeral is gone: %v", err)
	}
}

func TestClusterPartition(t *testing.T) {
	t.Parallel()
	cl := servertest.NewCluster(t, 3)
	old := cl.Leader()
	alone := old.Dial(t)
	var at int
	var rest []int
	for i, s := range cl.Servers {
		if s == old {
			at = i
		} else {
			rest = append(rest, i)
		}
	}
	cl.Partition([]int{at}, rest)
	short, cancel := context.WithTimeout(ctx(t), 300*time.Millisecond)
	defer cancel()
	if err := alone.Sync(short, "/"); err == nil {
		t.Error("a server that is cut off answered a sync")
	}
	if _, err := cl.Servers[rest[0]].Dial(t).Create(ctx(t), "/a", nil); err != nil {
		t.Errorf("the majority: %v", err)
	}
	cl.Heal()
	if _, ok, err := alone.Exists(ctx(t), "/a", client.Fresh()); err != nil || !ok {
		t.Errorf("after healing: %v, %v", ok, err)
	}
}

func ExampleMustStart() {
	srv := servertest.MustStart()
	defer srv.Close()
	c := srv.MustDial()
	if _, err := c.Create(context.Background(), "/greeting", []byte("hello")); err != nil {
		panic(err)
	}
	first, err := c.Session(context.Background())
	if err != nil {
		panic(err)
	}
	srv.Expire(c)
	<-first.Context().Done()
	node, err := c.Get(context.Background(), "/greeting") // in the next session
	fmt.Println(string(node.Data), err)
	// Output: hello <nil>
}
