package servertest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server/servertest"
)

// The reply to a create is lost: the node is there, and the caller cannot know.
func ExampleServer_Inject() {
	srv := servertest.MustStart() // in a test: servertest.New(t)
	defer srv.Close()
	c, ctx := srv.MustDial(), context.Background()

	srv.Inject(servertest.DropReply("create", 1))
	_, err := c.Create(ctx, "/order", nil)
	fmt.Println("may have been applied:", errors.Is(err, client.ErrMaybeApplied))
	_, there, _ := c.Exists(ctx, "/order")
	fmt.Println("is there:", there)

	srv.Inject(servertest.DropReply("create", 1))
	_, err = c.Create(ctx, "/safe-", nil, client.Protected(), client.Sequential())
	fmt.Println("protected:", err)
	// Output:
	// may have been applied: true
	// is there: true
	// protected: <nil>
}

// A session expires: what it owned is gone, its handle has ended, and the client goes on with another one.
func ExampleServer_Expire() {
	srv := servertest.MustStart()
	defer srv.Close()
	c, ctx := srv.MustDial(), context.Background()
	s, err := c.Session(ctx)
	if err == nil {
		_, err = s.Create(ctx, "/here", nil, client.Ephemeral())
	}
	if err != nil {
		fmt.Println(err)
		return
	}

	srv.Expire(c)
	<-s.Context().Done()
	fmt.Println("expired:", errors.Is(context.Cause(s.Context()), client.ErrSessionExpired))
	_, there, _ := c.Exists(ctx, "/here")
	fmt.Println("still there:", there)
	next, _ := c.Session(ctx)
	fmt.Println("another session:", next.ID() != s.ID())
	// Output:
	// expired: true
	// still there: false
	// another session: true
}

// A server is killed and comes back with what it had stored, sessions included.
func ExampleServer_Restart() {
	srv := servertest.MustStart()
	defer srv.Close()
	c, ctx := srv.MustDial(), context.Background()
	s, err := c.Session(ctx)
	if err == nil {
		_, err = s.Create(ctx, "/here", nil, client.Ephemeral())
	}
	if err != nil {
		fmt.Println(err)
		return
	}

	srv.Kill()
	fmt.Println("state:", until(c, client.Suspended))
	srv.Restart()
	fmt.Println("state:", until(c, client.Connected))
	_, there, err := s.Exists(ctx, "/here")
	fmt.Println("still there:", there, err)
	// Output:
	// state: suspended
	// state: connected
	// still there: true <nil>
}

func until(c *client.Client, want client.State) client.State {
	for s := range c.States(context.Background()) {
		if s == want {
			break
		}
	}
	return want
}

// Faults are data: they may be kept in tables, compared and printed.
func ExampleFault() {
	for _, f := range []servertest.Fault{servertest.DropRequest("create", 1), servertest.DropReply("any", 3), servertest.LateCommit("multi", 2)} {
		fmt.Println(f)
	}
	// Output:
	// drop request of create 1
	// drop reply of any 3
	// commit late of multi 2
}
