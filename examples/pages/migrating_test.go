package pages_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/leader"
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/server/servertest"
)

// docs/migrating.md: what code becomes that was written for others.

func work(ctx context.Context, _ uint64) error { return ctx.Err() }

func oneAtATime(ctx context.Context, c *client.Client) error {
	within, cancel := context.WithTimeout(ctx, 10*time.Second) // for the waiting only
	defer cancel()
	held, err := lock.New(c, "/locks/orders").Lock(within)
	if err != nil {
		return err
	}
	defer held.Close()
	return work(held.Context(), held.Token())
}

func undisturbed(ctx context.Context, c *client.Client) error {
	return lock.Do(ctx, c, "/locks/orders", func(ctx context.Context, held *lock.Held) error {
		return work(ctx, held.Token())
	})
}

func campaign(ctx context.Context, c *client.Client) error {
	term, err := leader.Campaign(ctx, c, "/elect/writer")
	if err != nil {
		return err
	}
	defer term.Resign(context.WithoutCancel(ctx))
	return work(term.Context(), term.Token())
}

func raise(ctx context.Context, c *client.Client) (int, error) {
	return config.Update(ctx, c, "/config/limit", func(n int) (int, error) { return n + 1, nil })
}

func lead(ctx context.Context, c *client.Client) error {
	return leader.Run(ctx, c, "/elect/writer", func(ctx context.Context, t *leader.Term) error {
		return work(ctx, t.Token()) // leads until this returns, or ctx ends because the lead is lost
	})
}

func findService(ctx context.Context, c *client.Client) (string, error) {
	reg, err := groups.Register(ctx, c, groups.Instance{Service: "mail", Host: "10.0.0.7", Port: 2525}, groups.Under("/discovery"))
	if err != nil {
		return "", err
	}
	defer reg.Close()
	mail := groups.Discover(ctx, c, "mail", groups.Under("/discovery"))
	defer mail.Close()
	pick, err := mail.Pick(ctx, groups.RoundRobin())
	if err != nil {
		return "", err
	}
	defer pick.Done(nil) // an error would keep others away from it for a while
	return pick.Addr(), nil
}

func follow(ctx context.Context, c *client.Client) error {
	rate, err := config.Watch(ctx, c, "/config/rate", config.Default(10))
	if err != nil {
		return err
	}
	defer rate.Close()
	for r, err := range rate.Changes(ctx) {
		fmt.Println("rate", r, err)
		break
	}
	return nil
}

func count(ctx context.Context, c *client.Client) (int64, error) {
	hits := config.NewCounter(c, "/counters/hits", config.Int64()) // the layout of Curator's DistributedAtomicLong
	return hits.Add(ctx, 1)
}

func together(ctx context.Context, c *client.Client) error {
	_, err := barrier.New(c, "/jobs/7/step", 1).Run(ctx, func(ctx context.Context) error {
		return work(ctx, 0)
	})
	return err
}

func members(ctx context.Context, c *client.Client) (int, error) {
	me, err := groups.Join(ctx, c, "/party", "n42")
	if err != nil {
		return 0, err
	}
	defer me.Leave(ctx)
	all, err := groups.Members[string](ctx, c, "/party")
	return len(all), err
}

func rawCalls(ctx context.Context, c *client.Client) error {
	node, err := c.Get(ctx, "/config/rate")
	if errors.Is(err, client.ErrNoNode) {
		_, err = c.Create(ctx, "/config/rate", []byte("10"), client.Parents())
		return err
	}
	if err != nil {
		return err
	}
	_, err = c.Set(ctx, "/config/rate", []byte("11"), node.Stat.Version)
	return err
}

func waitForChange(ctx context.Context, c *client.Client) error {
	s, err := c.Session(ctx)
	if err != nil {
		return err
	}
	node, watch, err := s.GetW(ctx, "/config/rate")
	if err != nil {
		return err
	}
	defer watch.Close()
	fmt.Println("rate", string(node.Data))
	_, err = watch.Wait(ctx) // returns when it has changed, or the session has ended: then begin again
	return err
}

// The programs of the page do what it says.
func TestMigrating(t *testing.T) {
	c, ctx := servertest.New(t).Dial(t), t.Context()
	for i, f := range []func(context.Context, *client.Client) error{
		oneAtATime, undisturbed, campaign, lead, follow, together, rawCalls,
		func(ctx context.Context, c *client.Client) error { return want(1)(raise(ctx, c)) },
		func(ctx context.Context, c *client.Client) error { return want(int64(1))(count(ctx, c)) },
		func(ctx context.Context, c *client.Client) error { return want(1)(members(ctx, c)) },
		func(ctx context.Context, c *client.Client) error { return want("10.0.0.7:2525")(findService(ctx, c)) },
		func(ctx context.Context, c *client.Client) error {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
			defer cancel()
			if err := waitForChange(ctx, c); !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("a watch that nothing fires: %w", err)
			}
			return nil
		},
	} {
		if err := f(ctx, c); err != nil {
			t.Errorf("program %d: %v", i, err)
		}
	}
}

func want[T comparable](want T) func(T, error) error {
	return func(got T, err error) error {
		if err == nil && got != want {
			err = fmt.Errorf("%v, want %v", got, want)
		}
		return err
	}
}
