package barrier_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// passing starts a Wait and returns where its outcome will be.
func passing(ctx context.Context, c *client.Client, path string) <-chan error {
	out := make(chan error, 1)
	go func() { out <- barrier.NewGate(c, path).Wait(ctx) }()
	return out
}

// waiting returns once n watches are set on srv.
func waiting(t *testing.T, srv *servertest.Server, n int) {
	t.Helper()
	testkit.Eventually(t, "watches to be set", func() bool { return watches(srv) == n })
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestGateOpenAtFirst(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	must(t, barrier.NewGate(srv.Dial(t), "jobs/7/gate").Wait(testContext(t)))
}

func TestGate_G1_HoldsUpUntilOpened(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	g := barrier.NewGate(a, "jobs/7/gate")
	must(t, g.Close(ctx))
	must(t, g.Close(ctx)) // closing twice is closing
	out := passing(ctx, b, "jobs/7/gate")
	waiting(t, srv, 1)
	select {
	case err := <-out:
		t.Fatalf("passed a closed gate: %v", err)
	default:
	}
	must(t, g.Open(ctx))
	must(t, g.Open(ctx))
	must(t, <-out)
	waiting(t, srv, 0)
}

// curator GH-1290: something that is not the opening wakes the waiter; it must look again.
func TestGateIgnoresOtherWakeUps(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	g := barrier.NewGate(a, "/gate")
	must(t, g.Close(ctx))
	out := passing(ctx, b, "/gate")
	waiting(t, srv, 1)
	before := srv.Count().Requests["exists"]
	_, err := a.Set(ctx, "/gate", []byte("touched"), -1)
	must(t, err)
	testkit.Eventually(t, "a second look", func() bool { return srv.Count().Requests["exists"] > before })
	select {
	case err := <-out:
		t.Fatalf("passed a closed gate: %v", err)
	default:
	}
	must(t, g.Open(ctx))
	must(t, <-out)
}

// etcd #16223, etcd PR #16156: what happens to a node whose name only begins alike opens nothing, and wakes nobody.
func TestGateOfAnotherName(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	g, longer := barrier.NewGate(a, "/gate"), barrier.NewGate(a, "/gate-2")
	must(t, g.Close(ctx))
	must(t, longer.Close(ctx))
	out := passing(ctx, b, "/gate")
	waiting(t, srv, 1)
	must(t, longer.Open(ctx))
	if n := srv.Count().Events; n != 0 {
		t.Errorf("%d wake-ups by another gate", n)
	}
	must(t, g.Open(ctx))
	must(t, <-out)
}

// kazoo's Barrier waits for ever once its session has expired.
func TestGate_G2_WaitOutlivesItsSession(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	g := barrier.NewGate(a, "/gate")
	must(t, g.Close(ctx))
	out := passing(ctx, b, "/gate")
	waiting(t, srv, 1)
	s, err := b.Session(ctx)
	must(t, err)
	srv.Expire(b)
	<-s.Context().Done()
	waiting(t, srv, 1) // on the next session
	must(t, g.Open(ctx))
	must(t, <-out)
}

func TestGate_G2_WaitOutlivesItsServer(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t, servertest.OnDisk()), testContext(t)
	a, b := srv.Dial(t), srv.Dial(t)
	g := barrier.NewGate(a, "/gate")
	must(t, g.Close(ctx))
	out := passing(ctx, b, "/gate")
	waiting(t, srv, 1)
	srv.Restart()
	must(t, g.Open(ctx))
	must(t, <-out)
}

// etcd's recipes take no context at all.
func TestGate_G2_CancelledWaitLeavesNothing(t *testing.T) {
	testkit.CheckLeaks(t)
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	must(t, barrier.NewGate(c, "/gate").Close(ctx))
	short, cancel := context.WithCancel(ctx)
	out := passing(short, c, "/gate")
	waiting(t, srv, 1)
	cancel()
	if err := <-out; !errors.Is(err, context.Canceled) {
		t.Errorf("Wait = %v, want that it was cancelled", err)
	}
	waiting(t, srv, 0)
}

func TestGateLostReplies(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	g := barrier.NewGate(c, "/gate")
	srv.Inject(servertest.DropReply("create", 1))
	must(t, g.Close(ctx))
	if _, closed, err := c.Exists(ctx, "/gate"); err != nil || !closed {
		t.Fatalf("closed = %v, %v after Close", closed, err)
	}
	srv.Inject(servertest.DropReply("delete", 1))
	must(t, g.Open(ctx))
	if _, closed, err := c.Exists(ctx, "/gate"); err != nil || closed {
		t.Fatalf("closed = %v, %v after Open", closed, err)
	}
}

func TestGateOfAClosedClient(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	c := srv.Dial(t)
	must(t, barrier.NewGate(c, "/gate").Close(ctx))
	out := passing(ctx, c, "/gate")
	waiting(t, srv, 1)
	c.Close()
	if err := <-out; !errors.Is(err, client.ErrClosed) {
		t.Errorf("Wait = %v, want %v", err, client.ErrClosed)
	}
}
