package history

import (
	"slices"
	"strings"

	"github.com/docent-io/docent/internal/wire"
)

// Stream is what a client was given by a lasting watch.
type Stream struct {
	Name      string
	Path      string
	Recursive bool
	Events    []StreamEvent
	// Until: everything up to this zxid must have been given by the end of Events.
	Until int64
}

// StreamEvent is one of its events. EventNone says that some may be missing at this place. One without a zxid is what a
// server told of while the connection was away, for a watch of another kind on that node: it may be heard here, too.
type StreamEvent struct {
	Type wire.EventType
	Path string
	Zxid int64
}

// Streams tells whether each stream gave what the log says, in order, once, with nothing missing but where it said so.
func Streams(streams []Stream, t *Timeline) error {
	var f faults
	for _, s := range streams {
		s.check(&f, t)
	}
	return f.err()
}

func (s *Stream) check(f *faults, t *Timeline) {
	var all []step
	for _, x := range t.steps {
		if s.wants(x.Change) {
			all = append(all, x)
		}
	}
	next, exact := 0, false
	for _, e := range s.Events {
		if e.Type == wire.EventNone {
			exact = false
			continue
		}
		if e.Zxid < 0 {
			exact = false
			if !slices.ContainsFunc(all, func(x step) bool { return x.Change == Change{e.Type, e.Path} }) {
				f.add("%s: event %v %s, which nothing in the log explains", s.Name, e.Type, e.Path)
			}
			continue
		}
		i := slices.Index(all[next:], step{e.Zxid, Change{e.Type, e.Path}})
		switch {
		case i < 0:
			f.add("%s: event %v %s of %#x, which is not in the log, or behind", s.Name, e.Type, e.Path, e.Zxid)
			return
		case i > 0 && exact:
			f.add("%s: no event for %+v", s.Name, all[next])
		}
		next, exact = next+i+1, true
	}
	if exact && next < len(all) && all[next].zxid <= s.Until {
		f.add("%s: no event for %+v, nor for what follows", s.Name, all[next])
	}
}

func (s *Stream) wants(c Change) bool {
	if !s.Recursive {
		return c.Path == s.Path
	}
	below := s.Path == "/" || strings.HasPrefix(c.Path, s.Path+"/")
	return c.Type != wire.EventChildrenChanged && (below || c.Path == s.Path)
}
