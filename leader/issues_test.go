package leader_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/leader"
	"github.com/docent-io/docent/server/servertest"
)

// brief is how long is waited for what a naive way never does. Docent's does it in a few milliseconds.
const brief = 2 * time.Second

// way is a way of leading: docent's Run, or a naive one.
type way func(ctx context.Context, c *client.Client, fn func(context.Context, *leader.Term) error) error

func docent(ctx context.Context, c *client.Client, fn func(context.Context, *leader.Term) error) error {
	return leader.Run(ctx, c, "/elect/x", fn)
}

// naive is the loop one writes first. Each of its flags brings a bug back that somebody has shipped.
type naive struct {
	once         bool // does not campaign again
	swallow      bool // keeps the function's error to itself
	releaseFirst bool // gives the term up when it is told to stop, ahead of the function's return
	mute         bool // does not tell the function that its term is lost
	zombie       bool // leaves its candidate in line when it stops
}

func (n naive) run(ctx context.Context, c *client.Client, fn func(context.Context, *leader.Term) error) error {
	for {
		if n.zombie {
			go leader.Campaign(context.WithoutCancel(ctx), c, "/elect/x")
			<-ctx.Done()
			return ctx.Err()
		}
		term, err := leader.Campaign(ctx, c, "/elect/x")
		if err != nil {
			return err
		}
		inner, end := context.WithCancel(context.WithoutCancel(ctx))
		stop := context.AfterFunc(ctx, func() {
			if n.releaseFirst {
				_ = term.Resign(context.Background())
			}
			end()
		})
		if !n.mute && !n.releaseFirst {
			context.AfterFunc(term.Context(), end)
		}
		err = fn(inner, term)
		stop()
		end()
		lost := term.Context().Err() != nil && ctx.Err() == nil
		_ = term.Resign(context.WithoutCancel(ctx))
		switch {
		case lost && !n.once:
		case n.swallow:
			return nil
		default:
			return err
		}
	}
}

func TestRun_BugsOfOthers(t *testing.T) {
	for _, b := range []struct {
		name  string
		trial func(*testing.T, *servertest.Server, way) error
		bug   naive
	}{
		// CURATOR-15, -16, -54, -62, -73, -104, -195, -205, -518, -671, client-go #1155.
		{"campaigns again after a loss", trialAgain, naive{once: true}},
		// Curator's LeaderSelector keeps what takeLeadership throws.
		{"error of the function", trialError, naive{swallow: true}},
		// Client-go #728, k8s PR #139991.
		{"releases when the function has returned", trialReleasesLast, naive{releaseFirst: true}},
		// K8s #23731, #44887, CURATOR-652, kazoo's Election: the function learns that its term is over.
		{"function hears of the loss", trialHears, naive{mute: true}},
		// CURATOR-3, -18, -171, -202, Netflix #274, #257, #265, etcd #21128, #22123.
		{"who stops leaves the line", trialLeaves, naive{zombie: true}},
	} {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			if err := b.trial(t, servertest.New(t), docent); err != nil {
				t.Errorf("docent: %v", err)
			}
			if err := b.trial(t, servertest.New(t), naive{}.run); err != nil {
				t.Errorf("naive, without the bug: %v", err)
			}
			err := b.trial(t, servertest.New(t), b.bug.run)
			if err == nil {
				t.Error("the naive way passes: the trial proves nothing")
			}
			t.Logf("naive: %v", err)
		})
	}
}

// begin sets a way to work on a goroutine of its own; fn tells its terms and does what is sent to it.
func (w way) begin(t *testing.T, c *client.Client) *running {
	ctx, cancel := context.WithCancel(within(t, time.Minute))
	r := &running{make(chan *leader.Term, 1), make(chan func(context.Context) error, 1), make(chan error, 1), cancel}
	t.Cleanup(cancel)
	go func() {
		r.done <- w(ctx, c, func(ctx context.Context, term *leader.Term) error {
			r.terms <- term
			select {
			case order := <-r.orders:
				return order(ctx)
			case <-time.After(soon):
				return errors.New("no orders")
			}
		})
	}()
	return r
}

func trialAgain(t *testing.T, srv *servertest.Server, w way) error {
	c := srv.Dial(t)
	r := w.begin(t, c)
	first := r.mustLead(t)
	srv.Expire(c)
	<-first.Context().Done()
	r.order(t, returns(nil))
	select {
	case term := <-r.terms:
		r.order(t, returns(nil))
		if term.Token() <= first.Token() {
			return fmt.Errorf("token %d after %d", term.Token(), first.Token())
		}
		return nil
	case <-time.After(brief):
		return errors.New("never led again")
	}
}

func trialError(t *testing.T, srv *servertest.Server, w way) error {
	failure := errors.New("failure")
	r := w.begin(t, srv.Dial(t))
	r.mustLead(t)
	r.order(t, returns(failure))
	if err := r.mustReturn(t); !errors.Is(err, failure) {
		return fmt.Errorf("the function failed, and what came is %v", err)
	}
	return nil
}

func trialReleasesLast(t *testing.T, srv *servertest.Server, w way) error {
	c := srv.Dial(t)
	r := w.begin(t, c)
	r.mustLead(t)
	left := make(chan int, 1)
	r.order(t, func(ctx context.Context) error {
		<-ctx.Done()
		all, err := leader.Candidates(within(t, soon), c, "/elect/x")
		left <- len(all)
		return err
	})
	r.cancel()
	if receive(t, left, "the function to see the end") != 1 {
		return errors.New("the term was given up while the function was at work")
	}
	return nil
}

func trialHears(t *testing.T, srv *servertest.Server, w way) error {
	c := srv.Dial(t)
	r := w.begin(t, c)
	r.mustLead(t)
	heard := make(chan error, 1)
	r.order(t, func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			heard <- nil
		case <-time.After(brief):
			heard <- errors.New("the function goes on, and somebody else may lead")
		}
		r.cancel()
		return nil
	})
	srv.Expire(c)
	return receive(t, heard, "the function")
}

func trialLeaves(t *testing.T, srv *servertest.Server, w way) error {
	a, b := srv.Dial(t), srv.Dial(t)
	if _, err := leader.Campaign(within(t, soon), a, "/elect/x"); err != nil {
		t.Fatal(err)
	}
	r := w.begin(t, b)
	waitForCandidates(t, a, "/elect/x", 2)
	r.cancel()
	_ = r.mustReturn(t)
	for {
		pending := b.Stats().PendingDeletes
		all, err := leader.Candidates(within(t, soon), a, "/elect/x")
		switch {
		case err != nil:
			t.Fatal(err)
		case len(all) == 1:
			return nil
		case pending == 0:
			return errors.New("a candidate is left that nobody stands behind")
		}
	}
}

// CURATOR-110: whoever begins while no server answers leads as soon as one does.
func TestRun_BegunWhileAway_CURATOR110(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	c := srv.Dial(t)
	srv.Freeze()
	r := run(t, c, "/elect/x")
	srv.Thaw()
	r.mustLead(t)
	r.order(t, returns(nil))
	if err := r.mustReturn(t); err != nil {
		t.Error(err)
	}
}

// Candidates of every layout wait for those of every other, so processes that disagree do not lead at once.
func TestCompat(t *testing.T) {
	layouts := map[leader.Layout]string{leader.LayoutLatch: "-latch-", leader.LayoutSelector: "-lock-", leader.LayoutKazoo: "-__lock__"}
	for layout, kind := range layouts {
		srv := servertest.New(t)
		c, other := srv.Dial(t, named("ours")), srv.Dial(t)
		for _, theirs := range layouts {
			node, err := other.Create(within(t, soon), "/elect/x/theirs"+theirs, []byte("theirs"), client.Ephemeral(), client.Sequential(), client.Parents())
			if err != nil {
				t.Fatal(err)
			}
			r := run(t, c, "/elect/x", leader.Compat(layout))
			waitForCandidates(t, other, "/elect/x", 2)
			if info, err := leader.Current(within(t, soon), c, "/elect/x"); err != nil || info.ID != "theirs" {
				t.Errorf("Current = %+v, %v", info, err)
			}
			names, _, err := other.Children(within(t, soon), "/elect/x")
			if err != nil || !slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, "_c_") && strings.Contains(n, kind) }) {
				t.Errorf("names = %q, %v, want one with %s", names, err, kind)
			}
			if err := other.Delete(within(t, soon), node.Path, -1); err != nil {
				t.Fatal(err)
			}
			r.mustLead(t)
			r.order(t, returns(nil))
			if err := r.mustReturn(t); err != nil {
				t.Errorf("Run = %v", err)
			}
		}
	}
}
