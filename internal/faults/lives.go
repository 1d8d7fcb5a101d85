//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/history"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/internal/wire"
)

const (
	accounts = 4
	capital  = 400 // all accounts together
	bells    = 3
)

func account(i int) string { return fmt.Sprint("/bank/", i) }
func bell(i int) string    { return fmt.Sprint("/bells/", i) }

// playBank moves money between two accounts in one transaction, and looks whether all of it is there.
func (w *world) playBank(c *client.Client, _ int, r *rand.Rand) {
	for w.think(r, 20*time.Millisecond) {
		outcome, _ := w.do(w.ctx, c, func(s *client.Session) error {
			sums, versions, err := w.balance(s)
			if err != nil || r.IntN(3) == 0 {
				return err
			}
			from, to, amount := r.IntN(accounts), r.IntN(accounts-1), 1+r.IntN(9)
			if to >= from {
				to++
			}
			_, err = s.Txn().Set(account(from), []byte(strconv.Itoa(sums[from]-amount)), versions[from]).
				Set(account(to), []byte(strconv.Itoa(sums[to]+amount)), versions[to]).Commit(w.ctx)
			return err
		})
		if outcome == history.OK {
			w.record(func(r *records) { r.transfers++ })
		}
	}
}

// balance reads all accounts at one moment.
func (w *world) balance(s *client.Session) (sums [accounts]int, versions [accounts]int32, err error) {
	var paths []string
	for i := range accounts {
		paths = append(paths, account(i))
	}
	found, err := s.GetAll(w.ctx, paths...)
	if err != nil {
		return sums, versions, err
	}
	for i, f := range found {
		if f.Err != nil {
			return sums, versions, f.Err
		}
		if sums[i], err = strconv.Atoi(string(f.Node.Data)); err != nil {
			return sums, versions, err
		}
		versions[i] = f.Node.Stat.Version
	}
	w.check(whole(sums))
	return sums, versions, nil
}

// whole tells whether all the money is there.
func whole(sums [accounts]int) error {
	total := 0
	for _, n := range sums {
		total += n
	}
	if total != capital {
		return fmt.Errorf("accounts hold %v, and not %d together", sums, capital)
	}
	return nil
}

// playLine draws numbers. Some of its creates find out by themselves what became of them.
func (w *world) playLine(c *client.Client, player int, r *rand.Rand) {
	for i := 0; w.think(r, 30*time.Millisecond); i++ {
		dir := fmt.Sprint("/lines/", time.Since(w.start)/(10*time.Second))
		n := history.Numbered{Tag: fmt.Sprintf("%d.%d", player, i)}
		o := []client.CreateOption{client.Sequential()}
		if r.IntN(2) == 0 {
			o = append(o, client.Protected())
		}
		if i%20 == 0 && w.make(c, dir, "") != nil {
			return
		}
		n.Call = w.tick()
		outcome, sent := w.do(w.ctx, c, func(s *client.Session) error {
			made, err := s.Create(w.ctx, dir+"/n-", []byte(n.Tag), o...)
			if err != nil {
				return err
			}
			n.Path = made.Path
			n.Number, err = strconv.ParseInt(made.Path[strings.LastIndexByte(made.Path, '-')+1:], 10, 64)
			return err
		})
		switch n.Return = w.tick(); {
		case outcome == history.NoNode: // the next ten seconds have begun
			if w.make(c, dir, "") != nil {
				return
			}
		case sent:
			if outcome != history.OK {
				n.Path = ""
			}
			w.record(func(r *records) { r.numbered[dir] = append(r.numbered[dir], n) })
		}
	}
}

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
