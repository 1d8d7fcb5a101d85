package client

import (
	"context"
	"iter"
	"sync"
)

// stateCell holds the state of the connection and the current session, and wakes those who wait for a change.
type stateCell struct {
	mu      sync.Mutex // guards the rest
	state   State
	changed chan struct{} // closed at the next change
}

func newStateCell() *stateCell { return &stateCell{changed: make(chan struct{})} }

// get returns the state, and a channel that is closed when it has changed.
func (c *stateCell) get() (State, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.changed
}

// set changes the state, and tells whether it was another one. Closed is for good.
func (c *stateCell) set(s State) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == s || c.state == Closed {
		return false
	}
	c.state = s
	close(c.changed)
	c.changed = make(chan struct{})
	return true
}

// State returns the present state of the connection.
func (c *Client) State() State {
	s, _ := c.core.state.get()
	return s
}

// States yields the present state, and then each change, until ctx ends or the state is Closed. States are levels: a
// slow reader misses those in between, never the latest. That a session was lost shows in the Context of the Session.
func (c *Client) States(ctx context.Context) iter.Seq[State] {
	return func(yield func(State) bool) {
		last := State(-1)
		for ctx.Err() == nil {
			s, changed := c.core.state.get()
			if s != last && !yield(s) || s == Closed {
				return
			}
			last = s
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}
}
