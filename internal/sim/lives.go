package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/history"
	"github.com/docent-io/docent/internal/wire"
)

// playLives makes ephemerals, looks for them, and lets go of some and of whole sessions.
func (w *world) playLives(c *client.Client, player int, r *rand.Rand) {
	for i := 0; i < w.plan.ops && w.think(r); i++ {
		path := fmt.Sprintf("/lives/%d.%d", player, i)
		var mine *client.Session
		outcome, _ := w.do(c, func(s *client.Session) error {
			call := w.tick()
			n, err := s.Create(w.ctx, path, nil, client.Ephemeral())
			if err == nil {
				mine = s
				w.acknowledged(s, n.Stat.Czxid, call, history.Change{Type: wire.EventCreated, Path: path})
				w.record(func(r *records) {
					r.ephemerals = append(r.ephemerals, history.Ephemeral{Session: s.ID(), Path: path, Czxid: n.Stat.Czxid})
				})
			}
			return err
		})
		if outcome != history.OK || !w.think(r) {
			continue
		}
		_, there, err := mine.Exists(w.ctx, path)
		if err == nil && !there {
			w.t.Errorf("%s is gone, and session %#x answers", path, uint64(mine.ID()))
		}
		if r.IntN(3) == 0 {
			w.do(c, func(*client.Session) error { return mine.Delete(w.ctx, path, -1) })
		}
	}
}

// playWatches waits for changes of registers by one-shot watches.
func (w *world) playWatches(c *client.Client, player int, r *rand.Rand) {
	for i := 0; i < w.plan.ops && w.think(r); i++ {
		path := register(r.IntN(registers))
		var at client.Node
		var watch *client.Watch
		var mine *client.Session
		outcome, _ := w.do(c, func(s *client.Session) (err error) {
			mine = s
			at, watch, err = s.GetW(w.ctx, path)
			return err
		})
		if outcome != history.OK {
			continue
		}
		w.watch(mine, at, watch, time.Duration(1+r.IntN(500))*time.Millisecond)
		watch.Close()
	}
}

// watch waits for a while. Whether the watch has fired or not, a read must not know better.
func (w *world) watch(s *client.Session, at client.Node, watch *client.Watch, d time.Duration) {
	ctx, cancel := context.WithTimeout(w.ctx, d)
	defer cancel()
	ev, err := watch.Wait(ctx)
	fired, silent := err == nil, errors.Is(err, context.DeadlineExceeded)
	n, err := s.Get(w.ctx, at.Path)
	if silent && ended(watch) { // between the two
		silent = false
	}
	changed := n.Stat.Mzxid != at.Stat.Mzxid
	switch {
	case err != nil:
	case changed && silent:
		w.t.Errorf("%s was read as of %#x, and the watch set at %#x has not fired", at.Path, n.Stat.Mzxid, at.Stat.Mzxid)
	case fired && !changed:
		w.t.Errorf("session %#x: the watch on %s has fired (%v of %#x), and it is as it was at %#x", uint64(s.ID()), at.Path, ev.Type, ev.Zxid, at.Stat.Mzxid)
	case fired && (ev.Type != client.EventDataChanged || ev.Path != at.Path):
		w.t.Errorf("the watch on %s has fired for %v %s", at.Path, ev.Type, ev.Path)
	}
}

func ended(watch *client.Watch) bool {
	select {
	case <-watch.Done():
		return true
	default:
		return false
	}
}

// playStream follows everything below the root, or one register, until its session ends or stop.
func (w *world) playStream(c *client.Client, player int, r *rand.Rand, stop context.Context) {
	for stop.Err() == nil && w.ctx.Err() == nil {
		rec := history.Stream{Name: fmt.Sprint("stream of player ", player), Path: register(0)}
		mode := client.Persistent
		if r.IntN(2) == 0 {
			rec.Path, rec.Recursive, mode = "/", true, client.PersistentRecursive
		}
		s, err := w.session(c)
		if err != nil {
			return
		}
		st, err := s.AddWatch(w.ctx, rec.Path, mode)
		if err != nil {
			continue
		}
		for ctx := stop; ; {
			e, err := st.Next(ctx)
			if err != nil && stop.Err() != nil && ctx == stop && s.Context().Err() == nil {
				// What has happened by now comes before the answer to this.
				if last := w.log.Last(); s.Sync(w.ctx, "/") == nil {
					rec.Until = last
				}
				done, cancel := context.WithCancel(w.ctx)
				cancel()
				ctx = done
				continue
			}
			if err != nil {
				break
			}
			rec.Events = append(rec.Events, history.StreamEvent{Type: wire.EventType(e.Type), Path: e.Path, Zxid: e.Zxid})
		}
		st.Close()
		w.record(func(r *records) { r.streams = append(r.streams, rec) })
	}
}
