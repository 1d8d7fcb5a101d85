//go:build linux

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/history"
	"github.com/docent-io/docent/internal/testkit"
)

// playLives begins sessions with an ephemeral each, and ends them in one way or another.
func (w *world) playLives(g *group) func(*client.Client, int, *rand.Rand) {
	return func(_ *client.Client, player int, r *rand.Rand) {
		for i := 0; w.think(r, 500*time.Millisecond); i++ {
			w.live(g, fmt.Sprintf("/lives/%d.%d", player, i), r)
		}
	}
}

// live is the life of one session. A server must not end it before its time, and must end it then: what it leaves is looked
// for by a client that nothing happens to.
func (w *world) live(g *group, path string, r *rand.Rand) {
	var cable testkit.Cable
	timeout := time.Duration(1500+r.IntN(2500)) * time.Millisecond
	c, err := w.dialBy(g, timeout, cable.Dialer(new(net.Dialer).DialContext))
	if err != nil {
		return // nobody was there for half a minute: that is told elsewhere
	}
	defer c.Close()
	s, err := c.Session(w.ctx)
	if err != nil {
		return
	}
	_, err = s.Create(w.ctx, path, nil, client.Ephemeral())
	if outcome, _ := w.classify(err); outcome != history.OK {
		return
	}
	gone := make(chan time.Time, 1)
	looking, cancel := context.WithCancel(w.ctx)
	defer cancel()
	go func() { gone <- w.awaitGone(looking, path) }()
	var reliable time.Time // until when it could be relied on
	for n := r.IntN(10); n > 0 && w.think(r, 400*time.Millisecond); n-- {
		_, there, err := s.Exists(w.ctx, path)
		if outcome, _ := w.classify(err); outcome == history.OK && !there {
			w.fail("%s is gone, and session %#x answers", path, uint64(s.ID()))
		}
		if d := s.Remaining(); d > 0 {
			reliable = time.Now().Add(d)
		}
	}
	how := "expired"
	switch {
	case s.Context().Err() != nil: // by the faults
	case r.IntN(2) == 0:
		how, reliable = "closed", time.Time{}
		if c.Close() != nil {
			how = "expired"
		}
	default:
		how = "abandoned"
		if d := s.Remaining(); d > 0 {
			reliable = time.Now().Add(d)
		}
		cable.Unplug()
	}
	if how == "closed" {
		if _, there, err := w.sure.Exists(w.ctx, path, client.Fresh()); err == nil && there {
			w.fail("%s is there, and session %#x was closed", path, uint64(s.ID()))
		}
	}
	// However long no majority is up: when all is well it takes the timeout once more, for a new leader gives everybody that.
	end, _ := w.load.Deadline()
	limit := time.Until(end) + 2*timeout + 2*progressBound
	select {
	case at := <-gone:
		if at.Before(reliable) {
			w.fail("%s, of session %#x (%s), went %v before its client would give it up", path, uint64(s.ID()), how, reliable.Sub(at))
		}
	case <-time.After(limit):
		w.fail("%s outlives session %#x (%s)", path, uint64(s.ID()), how)
	case <-w.ctx.Done():
	}
	w.record(func(r *records) { r.lives[how]++ })
}

// awaitGone waits until a node is gone.
func (w *world) awaitGone(ctx context.Context, path string) time.Time {
	for ctx.Err() == nil {
		there, watch, err := w.existsW(ctx, path)
		switch {
		case err != nil:
			_ = sleep(ctx, 50*time.Millisecond) // the loop looks
		case !there:
			return time.Now()
		default:
			_, _ = watch.Wait(ctx) // whatever it tells: look again
			watch.Close()
		}
	}
	return time.Now().Add(time.Hour)
}

func (w *world) existsW(ctx context.Context, path string) (bool, *client.Watch, error) {
	s, err := w.sure.Session(ctx)
	if err != nil {
		return false, nil, err
	}
	if err := s.Sync(ctx, path); err != nil { // its server may lag behind
		return false, nil, err
	}
	_, there, watch, err := s.ExistsW(ctx, path)
	if err == nil && !there {
		watch.Close()
	}
	return there, watch, err
}
