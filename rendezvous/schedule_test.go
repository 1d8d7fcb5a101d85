package rendezvous_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/rendezvous"
	"github.com/docent-io/docent/server/servertest"
)

// Under random faults masters come and go, and workers follow: epochs never go back, no value shows under another's
// epoch, whoever waits gets what is posted, the last master is heard of and so is its end; and Gather counts the workers.
func TestSchedules_FollowTheMaster(t *testing.T) {
	meetings(t, servertest.Plan{Schedules: testkit.Count(t, 60)})
}

// The same on ensembles of three.
func TestSchedules_FollowTheMasterOnThree(t *testing.T) {
	meetings(t, servertest.Plan{Schedules: testkit.Count(t, 60)/10 + 1, Servers: 3})
}

const (
	masters  = 3 // one after the other
	workers  = 3
	lastWord = "the end"
)

func meetings(t *testing.T, p servertest.Plan) {
	servertest.Schedules(t, p, func(t *testing.T, s *servertest.Schedule) bool {
		var all sync.WaitGroup
		var mu sync.Mutex // guards said
		said := make(map[uint64]string)
		run := s.Begin()
		for range workers {
			c := s.Dial(t)
			all.Go(func() {
				seen := func(info rendezvous.Info[string]) error {
					mu.Lock()
					defer mu.Unlock()
					if before, ok := said[info.Epoch]; ok && before != info.Value {
						return fmt.Errorf("epoch %d is %q's and %q's", info.Epoch, before, info.Value)
					}
					said[info.Epoch] = info.Value
					return nil
				}
				if err := obey(s.Context(), c, seen); err != nil {
					t.Error(err)
				}
			})
		}
		for i := range masters {
			if err := lead(t, s, fmt.Sprint("master ", i)); err != nil {
				t.Error(err)
			}
		}
		run.Stop()
		if err := lead(t, s, lastWord); err != nil { // and its end, which they wait for
			t.Error(err)
		}
		all.Wait()
		return len(run.Trace()) > 0
	})
}

// lead is a master's life: it gathers the workers, posts, meets whoever waits, and is gone.
func lead(t *testing.T, s *servertest.Schedule, word string) error {
	c, waiter := s.Dial(t), s.Dial(t)
	defer c.Close()
	defer waiter.Close()
	if err := rendezvous.At[string](c, "/meet").Gather(s.Context(), workers); err != nil {
		return err
	}
	for { // what another has left behind goes with its session
		err := rendezvous.At[string](c, "/meet").Post(s.Context(), word)
		if err == nil {
			break
		}
		if s.Context().Err() != nil || !sessionLost(err) && !errors.Is(err, rendezvous.ErrPosted) {
			return fmt.Errorf("post %s: %w", word, err)
		}
		pause(s.Context(), 100*time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Second)
	defer cancel()
	info, err := rendezvous.At[string](waiter, "/meet").Wait(ctx)
	if err == nil && info.Value != word { // unless our session has ended, and we with it, there is nobody else
		return fmt.Errorf("waited for %s, got %+v", word, info)
	}
	if err != nil && word == lastWord {
		return err
	}
	pause(s.Context(), time.Second)
	return nil
}

func sessionLost(err error) bool {
	return errors.Is(err, client.ErrMaybeApplied) || errors.Is(err, client.ErrSessionExpired) || errors.Is(err, client.ErrSessionDeadline)
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// obey is a worker's life: until the last master is gone.
func obey(ctx context.Context, c *client.Client, seen func(rendezvous.Info[string]) error) error {
	last := rendezvous.Info[string]{}
	for info, err := range rendezvous.At[string](c, "/meet").Follow(ctx) {
		switch {
		case err != nil:
			return fmt.Errorf("follow: %w", err)
		case info.Epoch < last.Epoch:
			return fmt.Errorf("epoch %d after %d", info.Epoch, last.Epoch)
		case !info.Gone:
			if err := seen(info); err != nil {
				return err
			}
			last = info
		case last.Value == lastWord:
			return nil
		}
	}
	return nil
}
