package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/history"
	"github.com/docent-io/docent/internal/wire"
)

// Containers and nodes with a time to live are looked for so often, and a container that nobody has used is spared so long.
const (
	reapEvery = 500 * time.Millisecond
	neverUsed = 3 * time.Second
)

// playMortals makes containers and nodes with a time to live, uses some of them, and leaves them to the servers.
func (w *world) playMortals(c *client.Client, player int, r *rand.Rand) {
	for i := 0; i < w.plan.ops && w.think(r); i++ {
		x := history.Mortal{Path: fmt.Sprintf("/mortals/%d.%d", player, i)}
		o := client.Container()
		if r.IntN(2) == 0 {
			x.TTL = time.Duration(1+r.IntN(2000)) * time.Millisecond
			o = client.TTL(x.TTL)
		}
		if w.make(c, &x, o) != history.OK {
			continue
		}
		if child := x.Path + "/child"; r.IntN(2) == 0 && w.think(r) && w.make(c, &history.Mortal{Path: child}) == history.OK {
			w.think(r)
			w.do(c, func(s *client.Session) error { return s.Delete(w.ctx, child, -1) })
		}
		w.record(func(rec *records) { rec.mortals = append(rec.mortals, x) })
	}
}

// make creates a node, and notes when.
func (w *world) make(c *client.Client, x *history.Mortal, o ...client.CreateOption) history.Outcome {
	outcome, _ := w.do(c, func(s *client.Session) error {
		x.Born = int64(time.Since(w.start))
		call := w.tick()
		n, err := s.Create(w.ctx, x.Path, nil, o...)
		if err == nil {
			x.Czxid = n.Stat.Czxid
			w.acknowledged(s, n.Stat.Czxid, call, history.Change{Type: wire.EventCreated, Path: x.Path})
		}
		return err
	})
	return outcome
}

// checkMortals waits until the servers have removed what they are to remove. What a clock that jumped has stamped may stay.
func (w *world) checkMortals(c *client.Client) {
	var there []string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); w.pause(reapEvery) {
		var err error
		if there, _, err = c.Children(w.ctx, "/mortals", client.Fresh()); err != nil {
			w.t.Errorf("look at what should be gone: %v", err)
			return
		}
		if there = slices.DeleteFunc(there, func(name string) bool { return w.lasts("/mortals/" + name) }); len(there) == 0 {
			return
		}
	}
	w.t.Errorf("containers, or nodes whose time is over, are still there: %s", strings.Join(there, " "))
}

// lasts tells whether a node may stay: it has a child whose create or delete was of unknown outcome, or it goes when its
// time is over, and nobody knows what time it is.
func (w *world) lasts(path string) bool {
	n, had := w.log.Timeline().Children(path)
	if n > 0 {
		return true
	}
	container := false
	w.record(func(r *records) {
		container = slices.ContainsFunc(r.mortals, func(x history.Mortal) bool { return x.Path == path && x.TTL == 0 })
	})
	return w.plan.jumps && !(container && had)
}
