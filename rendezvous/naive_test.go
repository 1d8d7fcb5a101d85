package rendezvous_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/rendezvous"
	"github.com/docent-io/docent/server/servertest"
)

// The traps of RECIPES.md 2.8: each test tells one story twice, with ours, which holds, and with the naive variant, which
// must not, or else the story would show nothing.

// fillLater is the textbook's master: it creates the node, and then fills it.
func fillLater(ctx context.Context, t *testing.T, c *client.Client, between func()) {
	_, err := c.Create(ctx, meet+"/info", nil, client.Ephemeral(), client.Parents())
	must(t, err)
	between()
	_, err = c.Set(ctx, meet+"/info", []byte(`{"by":"m","value":{"Host":"n1","Port":4242}}`), -1)
	must(t, err)
}

// takeWhatIsThere is its worker: it waits for the node and reads it. (It does not sync, either.)
func takeWhatIsThere(ctx context.Context, c *client.Client) (got endpoint, err error) {
	s, err := c.Session(ctx)
	if err != nil {
		return got, err
	}
	_, there, w, err := s.ExistsW(ctx, meet+"/info")
	if err == nil && !there {
		_, err = w.Wait(ctx)
	}
	if err != nil {
		return got, err
	}
	w.Close()
	node, err := c.Get(ctx, meet+"/info")
	var e struct{ Value endpoint }
	_ = json.Unmarshal(node.Data, &e) // of no bytes: nothing
	return e.Value, err
}

func ours(ctx context.Context, c *client.Client) (endpoint, error) {
	got, err := at(c).Wait(ctx)
	return got.Value, err
}

type worker func(ctx context.Context, c *client.Client) (endpoint, error)

// The empty-then-filled node: the reader sees the empty state.
func TestNaive_EmptyThenFilled(t *testing.T) {
	seen := func(t *testing.T, w worker) (got endpoint) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			srv := servertest.New(t, servertest.NoSockets())
			master, c, out := srv.Dial(t), srv.Dial(t), make(chan endpoint, 1)
			go func() {
				v, err := w(ctx, c)
				if err != nil {
					t.Error(err)
				}
				out <- v
			}()
			synctest.Wait()
			fillLater(ctx, t, master, synctest.Wait)
			got = <-out
		})
		return got
	}
	if got := seen(t, ours); got != here {
		t.Errorf("our worker goes to %+v", got)
	}
	if got := seen(t, takeWhatIsThere); got == here {
		t.Error("the naive one is not caught")
	}
}

// A worker that is told to go by other means asks a server that lags: it must not see the master before.
func TestNaive_PreviousMaster(t *testing.T) {
	seen := func(t *testing.T, w worker) endpoint {
		cl, ctx := servertest.NewCluster(t, 3), testContext(t)
		leads := cl.Leader()
		lags := cl.Servers[0]
		if lags == leads {
			lags = cl.Servers[1]
		}
		old, next, c := leads.Dial(t), leads.Dial(t), lags.Dial(t)
		must(t, at(old).Post(ctx, here))
		must(t, c.Sync(ctx, meet))
		release := lags.HoldApplies()
		defer release()
		must(t, at(old).Withdraw(ctx))
		must(t, at(next).Post(ctx, there))
		out, before := make(chan endpoint, 1), lags.Count()
		go func() {
			v, err := w(ctx, c)
			if err != nil {
				t.Error(err)
			}
			out <- v
		}()
		testkit.Eventually(t, "the worker to ask", func() bool { return lags.Count().Total() > before.Total() })
		select {
		case v := <-out: // it did not wait for the server to catch up
			return v
		case <-time.After(200 * time.Millisecond):
			release()
			return <-out
		}
	}
	if got := seen(t, ours); got != there {
		t.Errorf("our worker goes to %+v", got)
	}
	if got := seen(t, takeWhatIsThere); got != here {
		t.Errorf("the naive one goes to %+v: it is not caught", got)
	}
}

// The reply to the create is lost, and the master finds its own posting in the way.
func TestNaive_LostReplyToThePost(t *testing.T) {
	naive := func(ctx context.Context, c *client.Client) error {
		for {
			_, err := c.Create(ctx, meet+"/info", []byte(`{"by":"m","value":{}}`), client.Ephemeral(), client.Parents())
			switch {
			case errors.Is(err, client.ErrMaybeApplied):
			case errors.Is(err, client.ErrNodeExists):
				return rendezvous.ErrPosted
			default:
				return err
			}
		}
	}
	post := func(post func(ctx context.Context, c *client.Client) error) error {
		srv := servertest.New(t)
		c := srv.Dial(t)
		_, err := c.Create(testContext(t), meet, nil, client.Parents())
		must(t, err)
		srv.Inject(servertest.DropReply("create", 1))
		return post(testContext(t), c)
	}
	must(t, post(func(ctx context.Context, c *client.Client) error { return at(c).Post(ctx, here) }))
	if err := post(naive); !errors.Is(err, rendezvous.ErrPosted) {
		t.Errorf("the naive one is not caught: %v", err)
	}
}

// Absent, created, deleted between two looks: who follows must not take the master before for the present one, nor miss
// that it has gone.
func TestFollow_V3_GoneBetweenTwoLooks(t *testing.T) {
	srv, ctx := servertest.New(t), testContext(t)
	master, worker := srv.Dial(t), srv.Dial(t)
	must(t, at(master).Post(ctx, here))
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	seen := 0
	var epoch uint64
	for i, err := range at(worker).Follow(ctx) {
		must(t, err)
		if seen++; seen == 1 {
			epoch = i.Epoch
			for range 3 { // while the follower is busy, masters come and go
				must(t, at(master).Withdraw(ctx))
				must(t, at(master).Post(ctx, there))
			}
			must(t, at(master).Withdraw(ctx))
			continue
		}
		if i.Gone {
			return
		}
		if i.Epoch <= epoch {
			t.Fatalf("the same epoch again: %+v", i)
		}
	}
}
