package recipes_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/recipes"
	"github.com/docent-io/docent/server/servertest"
)

func mustPresent(t testing.TB, c *client.Client, path, data string) *recipes.Presence {
	t.Helper()
	p := recipes.NewPresence(c, path, []byte(data))
	t.Cleanup(func() { p.Close(within(t, soon)) })
	if err := p.Ready(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPresence_AppearsChangesAndLeaves(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c := srv.Dial(t)
	p := mustPresent(t, c, "here/me", "a")
	if node := waitFor(t, c, "/here/me", "a"); node.Stat.EphemeralOwner != session(t, c).ID() {
		t.Errorf("owner = %#x", node.Stat.EphemeralOwner)
	}
	if p.Context().Err() != nil || p.Path() != "/here/me" {
		t.Errorf("context %v, path %s", p.Context().Err(), p.Path())
	}
	if err := p.Set(within(t, soon), []byte("b")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, c, "/here/me", "b")
	ctx := p.Context()
	if err := p.Close(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	mustEnd(t, ctx, recipes.ErrReleased)
	waitFor(t, c, "/here/me", "-")
	if err := p.Ready(within(t, soon)); !errors.Is(err, recipes.ErrReleased) {
		t.Errorf("Ready after Close = %v", err)
	}
	if err := p.Close(within(t, soon)); err != nil {
		t.Errorf("Close again = %v", err)
	}
}

// CURATOR-97, -154, -241, -258; kazoo's Party never comes back.
func TestPresence_ComesBackOnTheNextSession_CURATOR97(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	p := mustPresent(t, c, "/here/me", "a")
	if err := p.Set(within(t, soon), []byte("b")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		ctx := p.Context()
		srv.Expire(c)
		mustEnd(t, ctx, client.ErrSessionExpired)
		waitFor(t, other, "/here/me", "b") // the data last set, not the first
		if err := p.Ready(within(t, soon)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPresence_IsPutBack(t *testing.T) {
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	p := mustPresent(t, c, "/here/me", "a")
	ctx := p.Context()
	remove(t, other, "/here/me")
	mustEnd(t, ctx, recipes.ErrGone)
	waitFor(t, other, "/here/me", "a")
	if err := p.Ready(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	set(t, other, "/here/me", "drifted")
	waitFor(t, other, "/here/me", "a")
}

// A node of another session is not ours: it is neither adopted nor deleted, but waited for (CURATOR-258).
func TestPresence_WaitsForAStranger(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	create(t, session(t, other), "/here/me", "stranger", client.Ephemeral())
	p := recipes.NewPresence(c, "/here/me", []byte("a"))
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := p.Ready(ctx); !errors.Is(err, recipes.ErrTaken) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Ready = %v", err)
	}
	srv.Expire(other)
	if err := p.Ready(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, c, "/here/me", "a")
	if err := p.Close(within(t, soon)); err != nil {
		t.Fatal(err)
	}

	create(t, session(t, srv.Dial(t)), "/here/me", "stranger", client.Ephemeral())
	p = recipes.NewPresence(c, "/here/me", []byte("a"))
	ctx, cancel = context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := p.Ready(ctx); !errors.Is(err, recipes.ErrTaken) {
		t.Errorf("Ready = %v", err)
	}
	if err := p.Close(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, c, "/here/me", "stranger") // Close has left it alone
}

func TestPresence_LostReplies(t *testing.T) {
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	for _, op := range []string{"create2", "getData", "setData", "delete"} {
		srv.Inject(servertest.DropReply(op, 1))
		p := recipes.NewPresence(c, "/here/"+op, []byte("a"))
		if err := p.Ready(within(t, soon)); err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		if err := p.Set(within(t, soon), []byte("b")); err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		waitFor(t, other, "/here/"+op, "b")
		if err := p.Close(within(t, soon)); err != nil && !errors.Is(err, client.ErrDeletePending) {
			t.Fatalf("%s: %v", op, err)
		}
		waitFor(t, other, "/here/"+op, "-")
	}
}

// CURATOR-228: what is refused for good is not tried again and again.
func TestPresence_RefusedForGood_CURATOR228(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c := srv.Dial(t)
	create(t, c, "/closed", "", client.WithACL(client.WorldACL(client.PermRead)))
	p := recipes.NewPresence(c, "/closed/me", nil)
	if err := p.Ready(within(t, soon)); !errors.Is(err, client.ErrNoAuth) {
		t.Errorf("Ready = %v", err)
	}
	before := srv.Count().Total()
	if err := p.Ready(within(t, soon)); !errors.Is(err, client.ErrNoAuth) || srv.Count().Total() != before {
		t.Errorf("Ready = %v, after %d further requests", err, srv.Count().Total()-before)
	}
	if err := p.Close(within(t, soon)); err != nil {
		t.Errorf("Close = %v", err)
	}
}

func TestPresence_SurvivesARestart(t *testing.T) {
	srv := servertest.New(t, servertest.OnDisk())
	c := srv.Dial(t)
	p := mustPresent(t, c, "/here/me", "a")
	id, ctx := session(t, c).ID(), p.Context()
	srv.Kill()
	srv.Restart()
	if node := waitFor(t, c, "/here/me", "a"); node.Stat.EphemeralOwner != id || node.Stat.Version != 0 || ctx.Err() != nil {
		t.Errorf("a mere reconnect has touched the node: %+v, %v", node.Stat, context.Cause(ctx))
	}
}

func TestPresence_ClosedClient(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c := srv.Dial(t)
	p := mustPresent(t, c, "/here/me", "a")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Set(within(t, soon), nil); !errors.Is(err, client.ErrClosed) {
		t.Errorf("Set = %v", err)
	}
}

// OnDrift is told of what strangers write, and of nothing that the presence wrote itself.
func TestPresence_OnDrift(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c, other := srv.Dial(t), srv.Dial(t)
	p := recipes.NewPresence(c, "/here/me", []byte("a"))
	p.OnDrift(func(data []byte) {
		if string(data) == "wish" {
			over, cancel := context.WithCancel(context.Background())
			cancel()
			_ = p.Set(over, []byte("granted"))
		} else if string(data) != "drifted" {
			t.Errorf("told of %q", data)
		}
	})
	for i := range 100 {
		if err := p.Set(within(t, soon), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	set(t, other, "/here/me", "drifted")
	waitFor(t, other, "/here/me", "99")
	set(t, other, "/here/me", "wish")
	waitFor(t, other, "/here/me", "granted")
	if err := p.Close(within(t, soon)); err != nil {
		t.Fatal(err)
	}
}
