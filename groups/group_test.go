package groups_test

import (
	"context"
	"errors"
	"testing"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/recipes"
	"github.com/docent-io/docent/server/servertest"
)

const workers = "/jobs/7/workers"

// CURATOR-485: Join returns when the member is there.
func TestJoin_M1(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	m := join(ctx, t, a, "w1", worker{1, "x"})
	got, err := groups.Members[worker](ctx, b, workers)
	if err != nil || len(got) != 1 || got[0].ID != "w1" || got[0].Value != (worker{1, "x"}) || got[0].Epoch == 0 {
		t.Fatalf("Members = %+v, %v", got, err)
	}
	must(t, m.Update(ctx, worker{2, "y"}))
	if got, err = groups.Members[worker](ctx, b, workers); err != nil || got[0].Value != (worker{2, "y"}) {
		t.Fatalf("after Update: %+v, %v", got, err)
	}
	must(t, m.Leave(ctx))
	must(t, m.Leave(ctx))
	if got, err = groups.Members[worker](ctx, b, workers); err != nil || len(got) != 0 {
		t.Fatalf("after Leave: %+v, %v", got, err)
	}
}

func TestMembersOfNoGroup(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	if got, err := groups.Members[worker](ctx, srv.Dial(t), "/none"); err != nil || len(got) != 0 {
		t.Errorf("Members = %+v, %v", got, err)
	}
}

func TestJoinTwiceIsTwoMembers(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	for range 2 {
		m, err := groups.Join(ctx, c, workers, worker{})
		must(t, err)
		defer m.Leave(ctx)
	}
	if got, err := groups.Members[worker](ctx, c, workers); err != nil || len(got) != 2 {
		t.Errorf("Members = %+v, %v", got, err)
	}
}

// kazoo's Party never joins again after its session has expired; CURATOR-154, CURATOR-241: it must be with the last data.
func TestJoin_M2_AgainAfterExpiry(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	m := join(ctx, t, a, "w1", worker{1, "x"})
	must(t, m.Update(ctx, worker{2, "y"}))
	stay := m.Context()
	srv.Expire(a)
	<-stay.Done()
	must(t, m.Ready(ctx))
	if m.Context().Err() != nil {
		t.Error("the new stay has ended")
	}
	if got, err := groups.Members[worker](ctx, b, workers); err != nil || len(got) != 1 || got[0].Value != (worker{2, "y"}) {
		t.Errorf("after expiry: %+v, %v", got, err)
	}
	must(t, m.Leave(ctx))
}

func TestJoin_M2_AgainAfterDeletion(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	m := join(ctx, t, a, "w1", worker{1, "x"})
	stay := m.Context()
	must(t, b.Delete(ctx, workers+"/w1", -1))
	<-stay.Done()
	must(t, m.Ready(ctx))
	must(t, m.Leave(ctx))
}

// CURATOR-258, CURATOR-97, dubbo #5135: the node of another session is in the way.
func TestJoin_M2_WaitsForAStranger(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	join(ctx, t, a, "w1", worker{1, "old"})

	over, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := groups.Join(over, b, workers, worker{}, groups.ID("w1")); !errors.Is(err, context.Canceled) {
		t.Errorf("Join = %v, want that it was cancelled", err)
	}
	joined := make(chan error, 1)
	go func() {
		m, err := groups.Join(ctx, b, workers, worker{2, "new"}, groups.ID("w1"))
		if err == nil {
			defer m.Leave(ctx)
			var got []groups.Member[worker]
			got, err = groups.Members[worker](ctx, b, workers)
			if err == nil && (len(got) != 1 || got[0].Value.Room != "new") {
				t.Errorf("Members = %+v", got)
			}
		}
		joined <- err
	}()
	a.Close() // the old process ends
	must(t, <-joined)
}

func TestJoinBadID(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	for _, id := range []string{"", "a/b", "..", "a\x00b"} {
		if _, err := groups.Join(ctx, c, workers, worker{}, groups.ID(id)); err == nil {
			t.Errorf("joined as %q", id)
		}
	}
}

// A member that cannot be read is here all the same.
func TestMembersUnreadable(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	_, err := c.Create(ctx, workers+"/stranger", []byte("127.0.0.1"), client.Ephemeral(), client.Parents())
	must(t, err)
	join(ctx, t, c, "w1", worker{1, "x"})
	got, err := groups.Members[worker](ctx, c, workers)
	if err != nil || ids(got) != "stranger w1 " || got[0].Err == nil || got[1].Err != nil {
		t.Errorf("Members = %+v, %v", got, err)
	}
}

func TestWatch(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	steps := []struct {
		do   func()
		want string
	}{
		{func() { join(ctx, t, a, "w2", worker{2, "x"}) }, "w2 "},
		{func() { join(ctx, t, a, "w1", worker{1, "x"}) }, "w1 w2 "},
		{func() { must(t, b.Delete(ctx, workers+"/w2", -1)) }, "w1 w2 "}, // it comes back
		{func() { srv.Expire(b) }, "w1 w2 "},
		{func() { a.Close() }, ""},
	}
	step := -1
	for snap, err := range groups.Watch[worker](ctx, b, workers) {
		must(t, err)
		if step >= 0 && ids(snap.Members) != steps[step].want {
			continue // on the way
		}
		if step++; step == len(steps) {
			break
		}
		steps[step].do()
		if step == 3 { // nothing changes: go on
			step++
			steps[step].do()
		}
	}
}

func TestWatchSettles(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	seen := 0
	for snap, err := range groups.Watch[worker](ctx, b, workers, groups.WithSettle(patience)) {
		must(t, err)
		switch seen++; seen {
		case 1:
			go func() {
				for _, id := range []string{"w1", "w2", "w3", "w4"} {
					_, err := a.Create(ctx, workers+"/"+id, nil, client.Ephemeral(), client.Parents())
					if err != nil {
						t.Error(err)
					}
				}
			}()
		case 2:
			if ids(snap.Members) != "w1 w2 w3 w4 " {
				t.Errorf("the second view shows %s; want all four together", ids(snap.Members))
			}
			return
		}
	}
}

func TestWatchEnds(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	var last error
	for _, last = range groups.Watch[worker](ctx, c, workers) {
		c.Close()
	}
	if !errors.Is(last, client.ErrClosed) {
		t.Errorf("ended by %v, want %v", last, client.ErrClosed)
	}
	for _, last = range groups.Watch[worker](ctx, c, workers, groups.Select("flavour=x")) {
	}
	var bad *groups.SelectError
	if !errors.As(last, &bad) {
		t.Errorf("ended by %v, want a SelectError", last)
	}
	if _, err := groups.Join(ctx, c, workers, worker{}); !errors.Is(err, client.ErrClosed) || errors.Is(err, recipes.ErrTaken) {
		t.Errorf("Join of a closed client = %v", err)
	}
}
