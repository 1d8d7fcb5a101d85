package watch

import "iter"

// crowd is who watches one path. Most paths are watched by one, who costs no map. A nil crowd is an empty one.
type crowd[W comparable] struct {
	one   W
	kinds Kind // of one; 0: there is none
	more  map[W]Kind
}

func (c *crowd[W]) get(w W) Kind {
	switch {
	case c == nil:
		return 0
	case c.kinds != 0 && c.one == w:
		return c.kinds
	}
	return c.more[w]
}

// set makes the kinds of w be those; 0 takes w out.
func (c *crowd[W]) set(w W, kinds Kind) {
	switch {
	case c.kinds != 0 && c.one == w:
		if c.kinds = kinds; kinds == 0 {
			c.one = *new(W) // hold nobody who is gone
		}
	case kinds == 0:
		delete(c.more, w)
	case c.empty():
		c.one, c.kinds = w, kinds
	default:
		if c.more == nil {
			c.more = make(map[W]Kind)
		}
		c.more[w] = kinds
	}
}

func (c *crowd[W]) empty() bool { return c.kinds == 0 && len(c.more) == 0 }

// all ranges over everyone; who was met may be taken out meanwhile.
func (c *crowd[W]) all() iter.Seq2[W, Kind] {
	return func(yield func(W, Kind) bool) {
		if c == nil || c.kinds != 0 && !yield(c.one, c.kinds) {
			return
		}
		for w, kinds := range c.more {
			if !yield(w, kinds) {
				return
			}
		}
	}
}
