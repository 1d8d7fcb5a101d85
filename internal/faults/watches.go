//go:build linux

package faults

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

const bells = 3

func bell(i int) string { return fmt.Sprint("/bells/", i) }

// playBells writes what others watch.
func (w *world) playBells(c *client.Client, player int, r *rand.Rand) {
	for i := 0; w.think(r, 25*time.Millisecond); i++ {
		path := bell(r.IntN(bells))
		var st client.Stat
		outcome, _ := w.do(w.ctx, c, func(s *client.Session) (err error) {
			st, err = s.Set(w.ctx, path, fmt.Appendf(nil, "%d.%d", player, i), -1)
			return err
		})
		if outcome == history.OK {
			w.record(func(r *records) {
				r.bells = append(r.bells, history.Versioned{Path: path, Version: st.Version, Zxid: st.Mzxid})
			})
		}
	}
}

// playWatches waits for changes by one-shot watches.
func (w *world) playWatches(c *client.Client, _ int, r *rand.Rand) {
	for w.think(r, 30*time.Millisecond) {
		var at client.Node
		var watch *client.Watch
		var mine *client.Session
		outcome, _ := w.do(w.ctx, c, func(s *client.Session) (err error) {
			mine = s
			at, watch, err = s.GetW(w.ctx, bell(r.IntN(bells)))
			return err
		})
		if outcome == history.OK {
			w.watch(mine, at, watch, time.Duration(1+r.IntN(100))*time.Millisecond)
			watch.Close()
		}
	}
}

// watch waits for a while. Whether the watch has fired or not, a read must not know better.
func (w *world) watch(s *client.Session, at client.Node, watch *client.Watch, d time.Duration) {
	ctx, cancel := context.WithTimeout(w.ctx, d)
	defer cancel()
	ev, err := watch.Wait(ctx)
	fired, silent := err == nil, errors.Is(err, context.DeadlineExceeded)
	n, err := s.Get(w.ctx, at.Path)
	w.classify(err)
	if err != nil {
		return
	}
	select {
	case <-watch.Done(): // between the two
		silent = false
	default:
	}
	w.check(watched(s.ID(), at, n, ev, fired, silent))
}

// watched tells whether a one-shot watch set when the node was as at, which fired or was silent until it was read again as
// then, did its duty. It may have been neither: then its session had ended.
func watched(session int64, at, then client.Node, ev client.Event, fired, silent bool) error {
	changed := then.Stat.Mzxid != at.Stat.Mzxid
	switch {
	case changed && silent:
		return fmt.Errorf("%s was read as of %#x, and the watch set at %#x has not fired", at.Path, then.Stat.Mzxid, at.Stat.Mzxid)
	case fired && !changed:
		return fmt.Errorf("session %#x: the watch on %s has fired (%v of %#x), and it is as it was at %#x", uint64(session), at.Path, ev.Type, ev.Zxid, at.Stat.Mzxid)
	case fired && (ev.Type != client.EventDataChanged || ev.Path != at.Path):
		return fmt.Errorf("the watch on %s has fired for %v %s", at.Path, ev.Type, ev.Path)
	}
	return nil
}

// playStream follows a bell, session after session, until stop; then it waits until it knows what has happened by then.
func (w *world) playStream(c *client.Client, player int, r *rand.Rand, stop context.Context) {
	path := bell(r.IntN(bells))
	for stop.Err() == nil && w.ctx.Err() == nil {
		s, err := c.Session(stop)
		if err != nil {
			return
		}
		st, err := s.AddWatch(w.ctx, path, client.Persistent)
		if err != nil {
			continue
		}
		rec := history.Stream{Name: fmt.Sprintf("stream of player %d, session %#x", player, uint64(s.ID())), Path: path}
		for ctx := stop; ; {
			e, err := st.Next(ctx)
			if err != nil && stop.Err() != nil && ctx == stop && s.Context().Err() == nil {
				// What has happened by now comes before the answer to this.
				if n, err := s.Get(w.ctx, path, client.Fresh()); err == nil {
					rec.Until = n.Stat.Mzxid
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
