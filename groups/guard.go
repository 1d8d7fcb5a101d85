package groups

import (
	"slices"
	"strings"
	"time"
)

// entry is a node of a service as it was read last. It does not change, so pointers tell entries apart.
type entry struct {
	id    string // the node's name
	mzxid int64  // of the data
	in    Instance
	err   error // why it could not be read
}

// minMassLoss is the least number of instances whose vanishing is called a mass removal.
const minMassLoss = 3

// guard holds back mass removals. Time is passed in. Not safe for concurrent use.
type guard struct {
	window time.Duration
	sel    selector
	before map[string]*entry // who was there at the last look
	lost   map[string]*loss  // who vanished within the window, and did not drain first
}

type loss struct {
	*entry
	at   time.Time
	held bool // part of a mass removal, and shown until it is back or the window is over
}

// look takes who is there now, and returns whom to show of the selected: them, and after a mass removal those who
// vanished. It says how many those are, and when to look again even if nothing happens (zero: no need).
func (g *guard) look(there map[string]*entry, now time.Time) (shown []*entry, held int, again time.Time) {
	for id, e := range g.before {
		if there[id] == nil && e.err == nil && e.in.Status != Draining {
			g.lost[id] = &loss{entry: e, at: now}
		}
	}
	g.before = there
	for id, e := range there {
		delete(g.lost, id)
		if e.err == nil && g.sel.matches(e.in) {
			shown = append(shown, e)
		}
	}
	missed := 0
	for id, l := range g.lost {
		if !now.Before(l.at.Add(g.window)) {
			delete(g.lost, id)
		} else if g.sel.matches(l.in) {
			missed++
		}
	}
	mass := missed >= minMassLoss && missed > len(shown)
	for _, l := range g.lost {
		if l.held = g.sel.matches(l.in) && (l.held || mass); l.held {
			shown, held = append(shown, l.entry), held+1
			if end := l.at.Add(g.window); again.IsZero() || end.Before(again) {
				again = end
			}
		}
	}
	slices.SortFunc(shown, func(a, b *entry) int { return strings.Compare(a.id, b.id) })
	return shown, held, again
}
