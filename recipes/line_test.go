package recipes_test

import (
	"context"
	"errors"
	"testing"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/recipes"
	"github.com/docent-io/docent/server/servertest"
)

var line = recipes.Line{Dir: "/line", Kind: "turn-"}

func mustDraw(t testing.TB, s *client.Session) *recipes.Ticket {
	t.Helper()
	ticket, err := line.Draw(within(t, soon), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func mustHold(t testing.TB, ticket *recipes.Ticket) *recipes.Hold {
	t.Helper()
	hold, err := ticket.Wait(within(t, soon))
	if err != nil {
		t.Fatal(err)
	}
	return hold
}

// The context of a hold has ended before the next one's turn comes, and the tokens grow.
func TestLine_R1_R2_OneAfterTheOther(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	s := session(t, srv.Dial(t))
	hold := mustHold(t, mustDraw(t, s))
	for range 5 {
		next := mustDraw(t, s)
		came := make(chan error, 1)
		before := hold
		go func() {
			err := next.Turn(within(t, soon))
			if err == nil && before.Context().Err() == nil {
				err = errors.New("two contexts live")
			}
			came <- err
		}()
		if err := hold.Release(within(t, soon)); err != nil {
			t.Fatal(err)
		}
		if err := <-came; err != nil {
			t.Fatal(err)
		}
		if hold = mustHold(t, next); hold.Token() <= before.Token() {
			t.Errorf("token %d after %d", hold.Token(), before.Token())
		}
	}
	if err := hold.Release(within(t, soon)); err != nil {
		t.Fatal(err)
	}
}

// Who gives up while the connection is down leaves nothing behind; who leaves wakes the one that waits for it.
func TestLine_R3_R4_GivingUp(t *testing.T) {
	srv := servertest.New(t)
	a, b, c := srv.Dial(t), srv.Dial(t), srv.Dial(t)
	hold := mustHold(t, mustDraw(t, session(t, a)))
	middle, behind := mustDraw(t, session(t, b)), mustDraw(t, session(t, c))
	came := make(chan error, 1)
	go func() { came <- behind.Turn(within(t, soon)) }()
	testkit.Eventually(t, "it sleeps", func() bool { return c.Stats().WatchesOpen == 2 && c.Stats().InFlight == 0 })
	over, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("reason"))
	srv.Inject(servertest.DropRequest("delete", 1))
	if _, err := middle.Wait(over); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait = %v", err)
	}
	testkit.Eventually(t, "the place is gone", func() bool {
		places, err := line.List(within(t, soon), a)
		return err == nil && len(places) == 2
	})
	select {
	case err := <-came:
		t.Fatalf("the turn came ahead of time: %v", err)
	default:
	}
	events := srv.Count().Events
	if err := hold.Release(within(t, soon)); err != nil {
		t.Fatal(err)
	}
	if err := <-came; err != nil {
		t.Fatal(err)
	}
	if woken := srv.Count().Events - events; woken > 2 { // the next one, and the leaver's own node
		t.Errorf("a release woke %d", woken)
	}
}

// A session that has ended draws no ticket, keeps none and gives no turn, also when its client has another one.
func TestLine_R5_NothingOnAnotherSession(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	s := session(t, c)
	hold, waiting := mustHold(t, mustDraw(t, s)), mustDraw(t, s)
	srv.Expire(c)
	mustEnd(t, hold.Context(), client.ErrSessionExpired)
	session(t, c) // the next one is there
	if _, err := line.Draw(within(t, soon), s, nil); !errors.Is(err, client.ErrSessionExpired) {
		t.Errorf("Draw = %v", err)
	}
	if _, err := waiting.Wait(within(t, soon)); !errors.Is(err, client.ErrSessionExpired) {
		t.Errorf("Wait = %v", err)
	}
	if err := hold.Release(within(t, soon)); err != nil {
		t.Errorf("Release = %v", err)
	}
}
