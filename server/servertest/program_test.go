package servertest_test

// What docs/testing-your-program.md shows. TestDocument compares.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/leader"
	"github.com/docent-io/docent/server/servertest"
)

// Serve is active while it leads: of all processes that run it, one is.
func Serve(ctx context.Context, c *client.Client, active func(ctx context.Context)) error {
	return leader.Run(ctx, c, "/writer", func(ctx context.Context, term *leader.Term) error {
		active(ctx)
		<-ctx.Done()
		return nil
	})
}

func TestServe_TheOtherTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // everything in here is on virtual time
		cluster := servertest.NewCluster(t, 3, servertest.NoSockets())
		ctx, cancel := context.WithCancel(t.Context())
		active := make(chan *client.Client, 1)
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		for range 2 {
			c := cluster.Dial(t)
			wg.Go(func() { Serve(ctx, c, func(context.Context) { active <- c }) })
		}
		first := <-active

		cluster.KillLeader().Restart() // a server dies: the same process stays active
		if err := first.Sync(ctx, "/"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-active:
			t.Error("a server died, and another process took over")
		default:
		}

		cluster.Expire(first) // the process dies, or is out of reach: the other one takes over
		if second := <-active; second == first {
			t.Error("the first one is active again, before the one that waited")
		}
	})
}

// Submit puts an order into the book, once, and returns its node.
func Submit(ctx context.Context, c *client.Client, order string) (string, error) {
	n, err := c.Create(ctx, "/orders/order-", []byte(order), client.Sequential(), client.Protected(), client.Parents())
	return n.Path, err
}

func TestSubmit_ReplyLost(t *testing.T) {
	for _, fault := range []servertest.Fault{
		servertest.DropRequest("create", 1), // the order never arrives
		servertest.DropReply("create", 1),   // it is in the book, and nobody says so
		servertest.LateCommit("create", 1),  // it is on its way while we look for it
	} {
		t.Run(fault.String(), func(t *testing.T) {
			srv := servertest.New(t)
			c := srv.Dial(t)
			if _, err := c.Create(t.Context(), "/orders", nil); err != nil {
				t.Fatal(err)
			}
			srv.Inject(fault)
			if _, err := Submit(t.Context(), c, "a coffee"); err != nil {
				t.Fatal(err)
			}
			orders, _, err := c.Children(t.Context(), "/orders", client.Fresh())
			if err != nil || len(orders) != 1 {
				t.Errorf("%v, %v: want one order", orders, err)
			}
		})
	}
}

// Register keeps a node for the service in the directory while ctx lives, a new one for each session.
func Register(ctx context.Context, c *client.Client, service string) error {
	for {
		s, err := c.Session(ctx)
		if err != nil {
			return err
		}
		_, err = s.Create(ctx, "/services/"+service+"-", nil, client.Ephemeral(), client.Sequential(), client.Protected(), client.Parents())
		if err != nil && s.Context().Err() == nil {
			return err
		}
		select {
		case <-s.Context().Done():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestRegister_SessionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.New(t, servertest.NoSockets())
		c, observer := srv.Dial(t), srv.Dial(t)
		ctx, cancel := context.WithCancel(t.Context())
		registered := make(chan error)
		go func() { registered <- Register(ctx, c, "search") }()

		before := waitForOne(t, observer, "/services", "")
		srv.Expire(c)
		waitForOne(t, observer, "/services", before) // another one

		cancel()
		if err := <-registered; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// waitForOne returns the only child of dir as soon as there is one, and it is not the given one.
func waitForOne(t *testing.T, c *client.Client, dir, not string) string {
	t.Helper()
	s, err := c.Session(t.Context())
	for err == nil {
		children, _, w, e := s.ChildrenW(t.Context(), dir)
		if errors.Is(e, client.ErrNoNode) {
			_, _, w, e = s.ExistsW(t.Context(), dir)
		}
		if err = e; err != nil {
			break
		}
		if len(children) == 1 && children[0] != not {
			w.Close()
			return children[0]
		}
		_, err = w.Wait(t.Context())
	}
	t.Fatal(err)
	return ""
}

func TestRegister_NetworkAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := servertest.New(t, servertest.NoSockets())
		c := srv.Dial(t, func(cfg *client.Config) { cfg.SessionTimeout = 30 * time.Second })
		s, err := c.Session(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		srv.Freeze()
		time.Sleep(10 * time.Second) // of virtual time: it takes none
		srv.Thaw()
		if err := s.Sync(t.Context(), "/"); err != nil {
			t.Errorf("10 s without a network: %v", err)
		}
		srv.Freeze()
		<-s.Context().Done()
		srv.Thaw()
		if err := context.Cause(s.Context()); !errors.Is(err, client.ErrSessionDeadline) {
			t.Errorf("the session ended with %v", err)
		}
	})
}

func TestSubmit_Schedules(t *testing.T) {
	plan := servertest.Plan{Schedules: 50}
	servertest.Schedules(t, plan, func(t *testing.T, s *servertest.Schedule) bool {
		c := s.Dial(t)
		if _, err := c.Create(s.Context(), "/orders", nil); err != nil {
			t.Fatal(err)
		}
		faults := s.Begin() // from here on, anything may go wrong
		sure := make(map[string]int)
		maybe := 0
		for i := range 10 {
			order := fmt.Sprint("order ", i)
			switch _, err := Submit(s.Context(), c, order); {
			case err == nil:
				sure[order] = 1
			case errors.Is(err, client.ErrMaybeApplied) || errors.Is(err, client.ErrSessionExpired):
				maybe++ // its session ended meanwhile: we are told that nobody knows
			default:
				t.Errorf("submit: %v", err)
			}
		}
		faults.Stop()
		orders, _, err := c.Children(s.Context(), "/orders", client.Fresh())
		if err != nil || len(orders) < len(sure) || len(orders) > len(sure)+maybe {
			t.Errorf("%d orders, %v: %d are sure, and %d uncertain", len(orders), err, len(sure), maybe)
		}
		return faults.Injected() > 0 // else this schedule shows nothing
	})
}

// Each piece of Go in the document is in this file.
func TestDocument(t *testing.T) {
	doc, err := os.ReadFile("../../docs/testing-your-program.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("program_test.go")
	if err != nil {
		t.Fatal(err)
	}
	pieces := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	if len(pieces) < 5 {
		t.Errorf("%d pieces of Go", len(pieces))
	}
	for _, p := range pieces {
		if !strings.Contains(string(source), p[1]) {
			t.Errorf("this is not in program_test.go:\n%s", p[1])
		}
	}
}
