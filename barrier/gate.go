package barrier

import (
	"context"
	"errors"
	"fmt"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/recipes"
)

// Gate holds up whoever waits at it while it is closed. It is a description: all state is in the node. The layout is
// that of Curator's DistributedBarrier and kazoo's Barrier, which may wait at it and open it.
type Gate struct {
	c    *client.Client
	path string
}

// NewGate returns the gate at path, without any I/O. A gate that nobody has closed is open.
func NewGate(c *client.Client, path string) *Gate { return &Gate{c: c, path: path} }

// Close closes the gate, and missing parents are created. A gate that is closed already stays as it is.
func (g *Gate) Close(ctx context.Context) error {
	for {
		_, err := g.c.Create(ctx, g.path, []byte(g.c.Identity()), client.Parents())
		switch {
		case err == nil, errors.Is(err, client.ErrNodeExists):
			return nil
		case !errors.Is(err, client.ErrMaybeApplied) || ctx.Err() != nil:
			return fmt.Errorf("close gate: %w", err)
		} // else once more: closing twice is closing
	}
}

// Open opens the gate and lets everybody through who waits. A gate that is open already stays open.
func (g *Gate) Open(ctx context.Context) error {
	st, closed, err := g.c.Exists(ctx, g.path, client.Fresh())
	if err != nil {
		return fmt.Errorf("open gate: %w", err)
	}
	for czxid := st.Czxid; closed && st.Czxid == czxid; { // not again if it was closed anew meanwhile
		err := g.c.Delete(ctx, g.path, -1)
		switch {
		case err == nil, errors.Is(err, client.ErrNoNode):
			return nil
		case !errors.Is(err, client.ErrMaybeApplied) || ctx.Err() != nil:
			return fmt.Errorf("open gate: %w", err)
		}
		if st, closed, err = g.c.Exists(ctx, g.path, client.Fresh()); err != nil {
			return fmt.Errorf("open gate: %w", err)
		}
	}
	return nil
}

// Wait returns when the gate is open. It waits across lost sessions and servers; only ctx, a closed client or a refusal
// that will not go away (such as client.ErrNoAuth) ends it early.
func (g *Gate) Wait(ctx context.Context) error {
	var synced *client.Session
	look := func(ctx context.Context, s *client.Session) (bool, *client.Watch, error) {
		if s == synced {
			_, closed, w, err := s.ExistsW(ctx, g.path)
			return closed, w, err
		}
		synced = s
		return g.first(ctx, s)
	}
	for closed, err := range recipes.Follow(ctx, g.c, look) {
		if err != nil {
			return fmt.Errorf("wait at gate: %w", err)
		}
		if !closed {
			return nil
		}
	}
	return nil // not reached: Follow ends with an error
}

// first looks for the first time in a session: on no server must a gate that was closed just now look open (G1).
func (g *Gate) first(ctx context.Context, s *client.Session) (bool, *client.Watch, error) {
	batch := s.Batch()
	sync, gate := batch.Sync(g.path), batch.ExistsW(g.path)
	if err := batch.Do(ctx); err != nil {
		return false, nil, err
	}
	is, err := gate.Get()
	if _, syncErr := sync.Get(); syncErr != nil && err == nil {
		is.Watch.Close()
		err = syncErr
	}
	return is.OK, is.Watch, err
}
