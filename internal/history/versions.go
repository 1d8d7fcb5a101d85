package history

import (
	"cmp"
	"slices"

	"github.com/docent-io/docent/internal/wire"
)

// Versioned is a set of a node's data that was acknowledged, as its Stat tells.
type Versioned struct {
	Path    string
	Version int32
	Zxid    int64
}

// Bells compares events of lasting watches of single nodes with what was written there, without a log: a version stands for
// each write, also for those whose outcome the writer does not know. So as many events come between those of two writes as
// there are versions between these: none is lost, none invented, none comes twice. The nodes are never deleted while they
// are watched.
func Bells(writes []Versioned, streams []Stream) error {
	var f faults
	byPath := make(map[string][]Versioned)
	for _, w := range writes {
		byPath[w.Path] = append(byPath[w.Path], w)
	}
	for path, ws := range byPath {
		slices.SortFunc(ws, func(a, b Versioned) int { return cmp.Compare(a.Zxid, b.Zxid) })
		for i := 1; i < len(ws); i++ {
			if ws[i].Version <= ws[i-1].Version {
				f.add("%s: version %d was written at %#x, and version %d at %#x", path, ws[i-1].Version, ws[i-1].Zxid, ws[i].Version, ws[i].Zxid)
			}
		}
	}
	for _, s := range streams {
		for rest := s.Events; len(rest) > 0; {
			n := slices.IndexFunc(rest, func(e StreamEvent) bool { return e.Type == wire.EventNone || e.Zxid < 0 })
			last := n < 0
			if last {
				n = len(rest)
			}
			until := int64(0)
			if last {
				until = s.Until
			}
			s.stretch(&f, byPath[s.Path], rest[:n], until)
			rest = rest[min(n+1, len(rest)):]
		}
	}
	return f.err()
}

// stretch looks at events between which none may be missing; the first begins it.
func (s *Stream) stretch(f *faults, writes []Versioned, events []StreamEvent, until int64) {
	at := make(map[int64]int) // which event has a zxid
	for i, e := range events {
		if e.Path != s.Path || e.Type != wire.EventDataChanged {
			f.add("%s: event %v %s, and nobody did that to %s", s.Name, e.Type, e.Path, s.Path)
			return
		}
		if i > 0 && e.Zxid <= events[i-1].Zxid {
			f.add("%s: event of %#x behind that of %#x", s.Name, e.Zxid, events[i-1].Zxid)
			return
		}
		at[e.Zxid] = i
	}
	if len(events) == 0 {
		return
	}
	first, end := events[0].Zxid, max(events[len(events)-1].Zxid, until)
	var before *Versioned
	for _, w := range writes {
		if w.Zxid < first || w.Zxid > end {
			continue
		}
		i, ok := at[w.Zxid]
		if !ok {
			f.add("%s: no event for version %d of %s, written at %#x", s.Name, w.Version, s.Path, w.Zxid)
			continue
		}
		if before != nil && i-at[before.Zxid] != int(w.Version-before.Version) {
			f.add("%s: %d events from version %d of %s at %#x to version %d at %#x", s.Name, i-at[before.Zxid], before.Version, s.Path, before.Zxid, w.Version, w.Zxid)
		}
		before = &w
	}
}

// Kept compares the children of a node with those whose creation was acknowledged, and those of unknown outcome.
func Kept(dir string, acked, unknown, there []string) error {
	var f faults
	found := make(map[string]bool, len(there))
	for _, n := range there {
		found[n] = true
	}
	for _, n := range acked {
		if !found[n] {
			f.add("%s/%s was acknowledged and is not there", dir, n)
		}
		delete(found, n)
	}
	for _, n := range unknown {
		delete(found, n)
	}
	for n := range found {
		f.add("%s/%s is there, and nobody has created it", dir, n)
	}
	return f.err()
}
