package groups_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

// Under random faults members join, change and leave, and instances are registered, drain and go: whoever watches sees
// the members as they last said they are once all is calm, and nobody twice; a directory comes to show the instances that
// were registered last; and in the end nothing is left.
func TestSchedules_WhoIsHere(t *testing.T) {
	crowds(t, servertest.Plan{Schedules: testkit.Count(t, 40)})
}

// The same on ensembles of three.
func TestSchedules_WhoIsHereOnThree(t *testing.T) {
	crowds(t, servertest.Plan{Schedules: testkit.Count(t, 40)/10 + 1, Servers: 3})
}

const (
	crowd = 4
	stays = 100 // the rank of who has said its last word
)

func crowds(t *testing.T, p servertest.Plan) {
	servertest.Schedules(t, p, func(t *testing.T, s *servertest.Schedule) bool {
		ctx := s.Context()
		watcher, scheduler := s.Dial(t), s.Dial(t)
		run := s.Begin()
		d := groups.Discover(ctx, scheduler, "appmgr", groups.WithSettle(100*time.Millisecond))
		defer d.Close()
		var all, leaving sync.WaitGroup
		leave := make(chan struct{})
		for i := range crowd {
			c := s.Dial(t)
			all.Add(1)
			leaving.Go(func() {
				if err := attend(ctx, c, i, all.Done, leave); err != nil {
					t.Errorf("number %d: %v", i, err)
				}
			})
		}
		all.Wait()
		run.Stop()
		agree := func(n int) {
			for snap, err := range groups.Watch[worker](ctx, watcher, "/jobs/7/workers") {
				if err != nil {
					t.Errorf("Watch: %v", err)
					return
				}
				if calm(t, snap.Members, n) {
					break
				}
			}
			for list, err := range d.Changes(ctx) {
				if err != nil {
					t.Errorf("Changes: %v", err)
					return
				}
				up := 0
				for _, in := range list {
					if in.Status == groups.Up && in.Version == "2.0.0" {
						up++
					}
				}
				if up == n && len(list) == n {
					return
				}
			}
		}
		agree(crowd)
		close(leave)
		leaving.Wait()
		agree(0)
		return len(run.Trace()) > 0
	})
}

// calm tells whether n are here, each of whom has said its last word.
func calm(t *testing.T, members []groups.Member[worker], n int) bool {
	ids, words := make(map[string]bool), 0
	for _, m := range members {
		if ids[m.ID] {
			t.Errorf("%s is here twice", m.ID)
		}
		ids[m.ID] = true
		if m.Value.Rank == stays {
			words++
		}
	}
	return len(members) == n && words == n
}

// attend is the life of a member that also offers a service: it comes, changes its mind, registers anew under the same
// ID, and stays until it is to leave. said is called when it has said its last word.
func attend(ctx context.Context, c *client.Client, i int, said func(), leave <-chan struct{}) error {
	said = sync.OnceFunc(said)
	defer said()
	m, err := groups.Join(ctx, c, "/jobs/7/workers", worker{}, groups.ID(fmt.Sprint("w", i)))
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	instance := manager(fmt.Sprint("am-", i), i+1)
	r, err := groups.Register(ctx, c, instance)
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	for rank := range 5 {
		if err := m.Update(ctx, worker{Rank: rank}); err != nil {
			return fmt.Errorf("update: %w", err)
		}
		rest := time.NewTimer(time.Duration(100+50*i) * time.Millisecond)
		<-rest.C
	}
	if err := r.Drain(ctx); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	if err := r.Close(); err != nil && !sessionLost(err) {
		return fmt.Errorf("close: %w", err)
	}
	instance.Version = "2.0.0"
	if r, err = groups.Register(ctx, c, instance); err != nil {
		return fmt.Errorf("register again: %w", err)
	}
	if err := m.Update(ctx, worker{Rank: stays}); err != nil {
		return fmt.Errorf("last update: %w", err)
	}
	said()
	select {
	case <-leave:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return errors.Join(m.Leave(ctx), r.Close())
}

func sessionLost(err error) bool {
	return errors.Is(err, client.ErrMaybeApplied) || errors.Is(err, client.ErrSessionExpired) || errors.Is(err, client.ErrSessionDeadline)
}
