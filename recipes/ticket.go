package recipes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// patience bounds how long a caller who gives up is kept for the confirmation that its place is gone: a round trip and
// a bit. What is unconfirmed by then is deleted in the background.
const patience = time.Second

// Ticket is a place in a line, not yet a hold. It is used by one goroutine. Wait, Try, Hold and GiveUp spend it, and
// so does every error: what they return either holds, or has given the place up.
type Ticket struct {
	line  Line
	s     *client.Session
	path  string
	token uint64        // 0: that of the node, when it has been read
	own   *client.Watch // on our own node: deletion by others, requests; nil when it has to be set (again)
	first []string      // the directory as it was when the place was taken, to be looked at once; or nil
	since int64         // how often the client had connected before the line was last looked at
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
func (t *Ticket) Wait(ctx context.Context) (*Hold, error) {
	if err := t.wait(ctx); err != nil {
		return nil, t.GiveUp(ctx, err)
	}
	return t.hold(ctx)
}

// Turn is Wait, but what comes is not held yet: the ticket stays, for who has more to wait for. While Stirred does not
// fire nobody else can have the turn, as long as the session lives.
func (t *Ticket) Turn(ctx context.Context) error {
	err := t.wait(ctx)
	if err == nil {
		err = t.watch(ctx)
	}
	if err != nil {
		return t.GiveUp(ctx, err)
	}
	return nil
}

// wait is Turn for who watches over the node by himself.
//
// Reads need no sync: our session has seen its own place, so every state it is shown from then on holds whoever came
// before. A lagging server makes us wait longer, never enter early.
func (t *Ticket) wait(ctx context.Context) error {
	for {
		line, err := t.look(ctx)
		if err != nil {
			return err
		}
		ahead, err := t.line.blocker(line, t.name())
		if err != nil || ahead == nil {
			return err
		}
		second := t.line.Orderly && len(line) > 1 && line[1].Name == t.name()
		if gone, err := t.sleep(ctx, t.line.Path(*ahead)); err != nil || gone && second && t.still() {
			return err
		}
	}
}

// note begins a time of which still tells whether it was undisturbed.
func (t *Ticket) note() { t.since = t.s.Client().Stats().Attached }

// still tells whether our place is certain to be there, when an event has come: the connection was the same all the
// time, so that events have come in order, and none was about our place. After another connection our place may have
// gone earlier than what we were told of first.
func (t *Ticket) still() bool {
	select {
	case <-t.own.Done():
		return false
	default: // in this order: the count changes before the state does
		c := t.s.Client()
		return c.State() == client.Connected && c.Stats().Attached == t.since
	}
}

// Stirred fires, after Turn, when something has happened to the ticket's node or session: call Turn again, to go on or
// to learn why not.
func (t *Ticket) Stirred() <-chan struct{} { return t.own.Done() }

// Path is the path of the ticket's node.
func (t *Ticket) Path() string { return t.path }

// Try is Wait without waiting: when it is not the ticket's turn now, it gives the place up and returns a *BusyError.
func (t *Ticket) Try(ctx context.Context) (*Hold, error) {
	if err := t.now(ctx); err != nil {
		return nil, t.GiveUp(ctx, err)
	}
	return t.hold(ctx)
}

// TurnNow is Turn without waiting: when it is not the ticket's turn now, it gives the place up and returns a *BusyError.
func (t *Ticket) TurnNow(ctx context.Context) error {
	err := t.now(ctx)
	if err == nil {
		err = t.watch(ctx)
	}
	if err != nil {
		return t.GiveUp(ctx, err)
	}
	return nil
}

func (t *Ticket) now(ctx context.Context) error {
	line, err := t.look(ctx)
	if err != nil {
		return err
	}
	ahead, err := t.line.blocker(line, t.name())
	if err == nil && ahead != nil {
		err = &BusyError{Line: slices.DeleteFunc(line, func(p Place) bool { return p.Name == t.name() })}
	}
	return err
}

func (t *Ticket) name() string {
	_, name := zpath.Split(t.path)
	return name
}

// look lists the line and, in the same flight, sets the watch on our own node if it is not set. The first look is at
// what came with the place; then there is no watch yet.
func (t *Ticket) look(ctx context.Context) ([]Place, error) {
	if names := t.first; names != nil {
		t.first = nil
		return t.line.order(names), t.line.check(names)
	}
	t.note()
	if t.own != nil {
		select {
		case <-t.own.Done():
			t.own = nil
		default:
		}
	}
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
		if err := t.accept(own); err != nil {
			return nil, err
		}
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

// sleep waits until the node of whoever is ahead, or our own, has changed in any way, and tells whether the one ahead is
// certain to have gone while we slept. It reads the node to watch it, for exists would leave a watch behind where there
// is no node any more (Curator TN9).
func (t *Ticket) sleep(ctx context.Context, ahead string) (gone bool, err error) {
	w, err := t.watchBoth(ctx, ahead)
	if errors.Is(err, client.ErrNoNode) {
		return false, nil // gone since we looked
	}
	if err != nil {
		return false, err
	}
	defer w.Close()
	select {
	case <-w.Done():
		ev, err := w.Wait(ctx)
		return ev.Type == client.EventDeleted, err
	case <-t.own.Done():
		_, err = t.own.Wait(ctx) // look sets it again, and finds out what happened
	case <-ctx.Done():
		err = ended(ctx)
	}
	return false, err
}

// watchBoth sets the watch on the node of whoever is ahead and, in the same flight and before it, that on our own if it
// is not set. ErrNoNode is about the one ahead.
func (t *Ticket) watchBoth(ctx context.Context, ahead string) (*client.Watch, error) {
	if t.own != nil {
		_, w, err := t.s.GetW(ctx, ahead)
		return w, err
	}
	b := t.s.Batch()
	own, other := b.GetW(t.path), b.GetW(ahead)
	err := b.Do(ctx)
	reading, otherErr := other.Get()
	if err == nil {
		err = t.accept(own)
	}
	if err == nil {
		return reading.Watch, otherErr
	}
	if otherErr == nil {
		reading.Watch.Close()
	}
	return nil, err
}

// watch sets the watch on our own node if it is not set.
func (t *Ticket) watch(ctx context.Context) error {
	if t.own != nil {
		return nil
	}
	b := t.s.Batch()
	own := b.GetW(t.path)
	if err := b.Do(ctx); err != nil {
		return err
	}
	return t.accept(own)
}

// accept takes over the reading of our own node, which is an error if it has gone.
func (t *Ticket) accept(own *client.Future[client.Reading]) error {
	reading, err := own.Get()
	if errors.Is(err, client.ErrNoNode) {
		return fmt.Errorf("%w: %s", ErrGone, t.path) // and not the code, which is about others
	}
	if err != nil {
		return err
	}
	return t.recognise(reading.Node, reading.Watch)
}

// Hold turns the ticket into a hold without asking whose turn it is: after Turn, or on terms of the caller's. It fails
// when the session's lease has run out meanwhile (etcd #11456), or the node is gone.
func (t *Ticket) Hold(ctx context.Context) (*Hold, error) {
	if err := t.watch(ctx); err != nil {
		return nil, t.GiveUp(ctx, err)
	}
	return t.hold(ctx)
}

// hold is Hold, but a watch that is not set yet is set later.
func (t *Ticket) hold(ctx context.Context) (*Hold, error) {
	h, err := newHold(t)
	if err != nil {
		return nil, t.GiveUp(ctx, err)
	}
	return h, nil
}

// recognise takes note of our own node as it was read.
func (t *Ticket) recognise(node client.Node, own *client.Watch) error {
	if node.Stat.EphemeralOwner != t.s.ID() {
		own.Close()
		return fmt.Errorf("%w: %s is owned by session %#x", ErrGone, t.path, uint64(node.Stat.EphemeralOwner))
	}
	if t.own = own; t.token == 0 {
		t.token = uint64(node.Stat.Czxid)
	}
	return nil
}

// GiveUp leaves the line, although ctx may be over, and returns why with what stood in the way of that: it matches
// client.ErrDeletePending when it was not confirmed within a second, and goes on in the background. Once the session has
// ended there is nothing to do.
func (t *Ticket) GiveUp(ctx context.Context, why error) error {
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
