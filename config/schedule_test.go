package config_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

// Under random faults: each addition counts once, or is said to be doubtful (C6); bundles are seen whole, and in their
// order (C5); a Value ends at what was written last (C3), and shows no bad one on the way (C1).
func TestSchedules_C1_C3_C5_C6(t *testing.T) {
	schedules(t, servertest.Plan{Schedules: testkit.Count(t, 40)})
}

// The same on ensembles of three.
func TestSchedules_C1_C3_C5_C6_OnThree(t *testing.T) {
	schedules(t, servertest.Plan{Schedules: testkit.Count(t, 40)/10 + 1, Servers: 3})
}

// scene is one schedule.
type scene struct {
	*testing.T
	s *servertest.Schedule

	sure, doubtful atomic.Int64 // additions
}

const (
	adders  = 3
	rounds  = 12
	forbids = -1 // what no Value may be
)

func schedules(t *testing.T, p servertest.Plan) {
	var doubts atomic.Int64
	servertest.Schedules(t, p, func(t *testing.T, s *servertest.Schedule) bool {
		sc := &scene{T: t, s: s}
		reading, stop := context.WithCancel(s.Context())
		var readers, writers sync.WaitGroup
		follower, watcher := s.Dial(t), s.Dial(t)
		last := s.Dial(t)
		_, err := last.Create(s.Context(), path, []byte("0"), client.Parents())
		must(t, err)
		publish(s.Context(), t, last, 0)
		run := s.Begin()
		readers.Go(func() { sc.follow(reading, follower) })
		readers.Go(func() { sc.watch(reading, watcher) })
		for range adders {
			c := s.Dial(t)
			writers.Go(func() { sc.add(c) })
		}
		c := s.Dial(t)
		writers.Go(func() { sc.publish(c) })
		c2 := s.Dial(t)
		writers.Go(func() { sc.update(c2) })
		writers.Wait()
		run.Stop()
		got, err := config.NewCounter(last, counter, nil).Get(s.Context())
		if sure, most := sc.sure.Load(), sc.sure.Load()+sc.doubtful.Load(); err != nil || got < sure || got > most {
			t.Errorf("the counter is %d, %v; want %d to %d", got, err, sure, most)
		}
		doubts.Add(sc.doubtful.Load())
		must(t, set(s.Context(), last, rounds+1))
		_, err = config.PublishBundle(s.Context(), last, base, files(rounds+1))
		must(t, err)
		readers.Wait() // they have seen it
		stop()
		return len(run.Trace()) > 0
	})
	t.Logf("%d additions were doubtful", doubts.Load())
}

// pause lets some time pass, so that faults come in between.
func (sc *scene) pause(ms uint32) {
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-sc.s.Context().Done():
	}
}

func (sc *scene) add(c *client.Client) {
	k := config.NewCounter(c, counter, nil)
	for i := range rounds {
		switch _, err := k.Add(sc.s.Context(), 1); {
		case err == nil:
			sc.sure.Add(1)
		case errors.Is(err, client.ErrMaybeApplied) && sc.s.Context().Err() == nil:
			sc.doubtful.Add(1)
		default:
			sc.Errorf("Add: %v", err)
			return
		}
		sc.pause(uint32(50 * i))
	}
}

func (sc *scene) publish(c *client.Client) {
	for i := range rounds {
		_, err := config.PublishBundle(sc.s.Context(), c, base, files(i+1))
		if err != nil && (sc.s.Context().Err() != nil || !mayFail(err)) {
			sc.Errorf("PublishBundle: %v", err)
		}
		sc.pause(100)
	}
}

// mayFail tells whether an error is that of a session or connection that was lost.
func mayFail(err error) bool {
	return errors.Is(err, client.ErrMaybeApplied) || errors.Is(err, client.ErrSessionExpired) || errors.Is(err, client.ErrSessionDeadline)
}

func files(n int) map[string][]byte {
	text := fmt.Append(nil, n)
	return map[string][]byte{"limits": text, "queues/long": text, "queues/short": text}
}

// update writes by compare-and-set, and bad values in between by hand.
func (sc *scene) update(c *client.Client) {
	for i := range rounds {
		if i%4 == 3 {
			if _, err := c.Set(sc.s.Context(), path, fmt.Append(nil, forbids), -1); err != nil && !mayFail(err) {
				sc.Errorf("Set: %v", err)
			}
		} else if err := set(sc.s.Context(), c, i+1); err != nil {
			sc.Errorf("Update: %v", err)
		}
		sc.pause(100)
	}
}

func set(ctx context.Context, c *client.Client, n int) error {
	_, err := config.Update(ctx, c, path, func(int) (int, error) { return n, nil })
	return err
}

func (sc *scene) follow(ctx context.Context, c *client.Client) {
	var before config.Version
	for b, err := range config.FollowBundle(ctx, c, base) {
		if err != nil {
			sc.Errorf("FollowBundle: %v", err)
			return
		}
		n := whole(sc.T, b)
		if !b.Version.Newer(before) {
			sc.Errorf("version %+v after %+v", b.Version, before)
		}
		if before = b.Version; n == fmt.Sprint(rounds+1) {
			return
		}
	}
}

func (sc *scene) watch(ctx context.Context, c *client.Client) {
	v, err := config.Watch(ctx, c, path, config.Validate(func(n int) error {
		if n == forbids {
			return errors.New("forbidden")
		}
		return nil
	}))
	if err != nil {
		sc.Errorf("Watch: %v", err)
		return
	}
	defer v.Close()
	var before config.Version
	for n, err := range v.Changes(ctx) {
		now := v.Version()
		if before.Newer(now) {
			sc.Errorf("version %+v after %+v", now, before)
		}
		before = now
		var bad *config.RejectedError
		switch {
		case n == forbids || err != nil && !errors.As(err, &bad):
			sc.Errorf("Changes: %d, %v", n, err)
			return
		case err == nil && n == rounds+1:
			return
		}
	}
}
