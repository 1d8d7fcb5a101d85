package barrier_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

func lookAt(ctx context.Context, t *testing.T, c *client.Client) barrier.Status {
	t.Helper()
	st, err := barrier.Look(ctx, c, step)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

func TestLook(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c := crew(t, srv, 4)
	if _, err := barrier.Look(ctx, c[3], step); !errors.Is(err, client.ErrNoNode) {
		t.Errorf("before anybody came: %v", err)
	}

	// Two of three come, and give up.
	short, giveUp := context.WithCancel(ctx)
	a := entering(short, c[0], 3)
	present(t, c[3], 1, 1)
	b := entering(short, c[1], 3)
	present(t, c[3], 1, 2)
	st := lookAt(ctx, t, c[3])
	if st.Running || st.Generation != 1 || st.N != 3 || !slices.Equal(st.Here, []string{"a", "b"}) || st.GaveUp != nil || st.Last.Generation != 0 {
		t.Errorf("while two wait: %+v", st)
	}
	giveUp()
	if x, y := <-a, <-b; x.err == nil || y.err == nil {
		t.Fatal("they started")
	}
	if st = lookAt(ctx, t, c[3]); st.Here != nil || !slices.Equal(st.GaveUp, []string{"a", "b"}) {
		t.Errorf("after both gave up: %+v", st)
	}
	// They come once more, and give up once more: nothing grows.
	short, giveUp = context.WithCancel(ctx)
	a = entering(short, c[0], 3)
	present(t, c[3], 1, 1)
	giveUp()
	<-a
	if st = lookAt(ctx, t, c[3]); !slices.Equal(st.GaveUp, []string{"b", "a"}) {
		t.Errorf("after a gave up again: %+v", st)
	}

	members := enterAll(ctx, t, c[:3]...)
	if st = lookAt(ctx, t, c[3]); !st.Running || len(st.Here) != 3 || st.Last.Generation != 1 || len(st.GaveUp) != 2 {
		t.Errorf("while all run: %+v", st)
	}
	srv.Expire(c[1])
	left := make(chan error, 2)
	for _, m := range []*barrier.Member{members[0], members[2]} {
		go func() {
			_, err := m.Leave(ctx)
			left <- err
		}()
	}
	for range 2 {
		if err := <-left; err != nil {
			t.Fatal(err)
		}
	}
	st = lookAt(ctx, t, c[3])
	slices.Sort(st.Last.Left)
	if st.Running || st.Generation != 2 || st.Last.Generation != 1 || !slices.Equal(st.Last.Left, []string{"a", "c"}) || !slices.Equal(st.Last.Crashed, []string{"b"}) {
		t.Errorf("after all have left or crashed: %+v", st)
	}
	if _, err := c[3].Create(ctx, "/strange", []byte("no barrier")); err != nil {
		t.Fatal(err)
	}
	if _, err := barrier.Look(ctx, c[3], "/strange"); err == nil {
		t.Error("a node that is no barrier is looked at without an error")
	}
}
