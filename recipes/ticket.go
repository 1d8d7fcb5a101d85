package recipes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// patience bounds how long a caller who gives up is kept for the confirmation that its place is gone: a round trip and
// a bit. What is unconfirmed by then is deleted in the background.
const patience = time.Second

// Ticket is a place in a line, not yet a turn. It is used by one goroutine and spent by the first call of any of its
// methods: what they return either holds, or has given the place up.
type Ticket struct {
	line  Line
	s     *client.Session
	path  string
	token uint64
	own   *client.Watch // on our own node: deletion by others, requests; nil when it has to be set (again)
}

// BusyError says that it was not our turn at once. It matches ErrBusy.
type BusyError struct {
	Line []Place // who stood in line, in order, without us
}

// Error implements error.
func (e *BusyError) Error() string { return fmt.Sprintf("%v: %d ahead", ErrBusy, len(e.Line)) }

// Is makes a BusyError match ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// Wait sleeps until it is the ticket's turn. When ctx or the session ends first, or the place is deleted by somebody
// (ErrGone), it gives the place up and returns why; ctx has no say over the hold once that is returned.
//
// Reads need no sync: our session has seen its own place, so every state it is shown from then on holds whoever came
// before. A lagging server makes us wait longer, never enter early.
func (t *Ticket) Wait(ctx context.Context) (*Hold, error) {
	for {
		line, err := t.look(ctx)
		if err != nil {
			return nil, t.giveUp(ctx, err)
		}
		ahead, err := t.line.blocker(line, t.name())
		if err == nil && ahead == nil {
			return t.take(ctx)
		}
		if err == nil {
			err = t.sleep(ctx, t.line.Path(*ahead))
		}
		if err != nil {
			return nil, t.giveUp(ctx, err)
		}
	}
}

// Try is Wait without waiting: when it is not the ticket's turn now, it gives the place up and returns a *BusyError.
func (t *Ticket) Try(ctx context.Context) (*Hold, error) {
	line, err := t.look(ctx)
	if err != nil {
		return nil, t.giveUp(ctx, err)
	}
	ahead, err := t.line.blocker(line, t.name())
	switch {
	case err != nil:
		return nil, t.giveUp(ctx, err)
	case ahead != nil:
		others := make([]Place, 0, len(line))
		for _, p := range line {
			if p.Name != t.name() {
				others = append(others, p)
			}
		}
		return nil, t.giveUp(ctx, &BusyError{Line: others})
	}
	return t.take(ctx)
}

// Leave gives the place up without having waited for it. Errors are those of Hold.Release.
func (t *Ticket) Leave(ctx context.Context) error { return remove(ctx, t.s, t.path) }

func (t *Ticket) name() string {
	_, name := zpath.Split(t.path)
	return name
}

// look lists the line and, in the same flight, sets the watch on our own node if it is not set.
func (t *Ticket) look(ctx context.Context) ([]Place, error) {
	b := t.s.Batch()
	var own *client.Future[client.Reading]
	if t.own == nil {
		own = b.GetW(t.path)
	}
	list := b.Children(t.line.Dir)
	if err := b.Do(ctx); err != nil {
		return nil, err
	}
	if own != nil {
		reading, err := own.Get()
		if err != nil {
			return nil, gone(err)
		}
		if reading.Node.Stat.EphemeralOwner != t.s.ID() {
			return nil, ErrGone
		}
		t.own = reading.Watch
	}
	listing, err := list.Get()
	if err != nil {
		return nil, gone(err)
	}
	return t.line.order(listing.Names), t.line.check(listing.Names)
}

// gone says of our own node, or its directory, that it is gone.
func gone(err error) error {
	if errors.Is(err, client.ErrNoNode) {
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}

// sleep waits until the node of whoever is ahead, or our own, has changed in any way. It reads the node to watch it, for
// exists would leave a watch behind where there is no node any more (Curator TN9).
func (t *Ticket) sleep(ctx context.Context, ahead string) error {
	_, w, err := t.s.GetW(ctx, ahead)
	if errors.Is(err, client.ErrNoNode) {
		return nil // gone since we looked
	}
	if err != nil {
		return err
	}
	defer w.Close()
	select {
	case <-w.Done():
		_, err = w.Wait(ctx)
	case <-t.own.Done():
		_, err = t.own.Wait(ctx)
		t.own = nil // look sets it again, and finds out what happened
	case <-ctx.Done():
		err = ended(ctx)
	}
	return err
}

// take turns the ticket into a hold, unless the session's lease has run out meanwhile (etcd #11456).
func (t *Ticket) take(ctx context.Context) (*Hold, error) {
	h, err := newHold(t)
	if err != nil {
		return nil, t.giveUp(ctx, err)
	}
	return h, nil
}

// giveUp deletes our node although the caller's context may be over, and adds to why what stood in the way. Once the
// session has ended there is nothing to delete.
func (t *Ticket) giveUp(ctx context.Context, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return fmt.Errorf("wait in line %s: %w", t.line.Dir, errors.Join(why, remove(ctx, t.s, t.path)))
}

// remove deletes our own node, whose name is never used again, so no version is needed. The node of a session that has
// ended goes with it.
func remove(ctx context.Context, s *client.Session, path string) error {
	err := s.DeleteGuaranteed(ctx, path)
	if err != nil && s.Context().Err() != nil {
		return nil
	}
	return err
}

// ended returns the error of a context that is over, with its cause.
func ended(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != ctx.Err() {
		return fmt.Errorf("%w: %w", ctx.Err(), cause)
	}
	return ctx.Err()
}
