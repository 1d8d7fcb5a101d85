package recipes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
)

// Hold is something owned through an ephemeral node of a session: as long as its context lives, it is ours. The methods
// may be called by several goroutines at once.
type Hold struct {
	line  Line
	s     *client.Session
	path  string
	token uint64
	ctx   context.Context // derived from the session's lease, so both end in one step
	end   context.CancelCauseFunc

	keepers sync.WaitGroup // goroutines that keep it, those to come included

	mu      sync.Mutex // guards the rest
	retired bool
	stop    [2]func() bool // of keepers to come, by atEnd and atEvent: it reports whether one comes no more
}

func newHold(t *Ticket) (*Hold, error) {
	ctx, end := context.WithCancelCause(t.s.Lease())
	if ctx.Err() != nil {
		end(nil)
		return nil, context.Cause(ctx)
	}
	h := &Hold{line: t.line, s: t.s, path: t.path, token: t.token, ctx: ctx, end: end}
	h.keep(t.own)
	return h, nil
}

// Context ends when this is no longer ours, at the latest right before it can become somebody else's. Its cause is
// ErrReleased after Release, ErrGone when the node was deleted by somebody, client.ErrSuspended in a strict line, ErrNotAlive
// if Line.Alive failed, and otherwise the end of the session or of its lease: client.ErrSessionDeadline, ErrSessionExpired or ErrClosed.
func (h *Hold) Context() context.Context { return h.ctx }

// Token grows from holder to holder, also when the directory was deleted and made anew in between: it is the number of
// the transaction that created our node (zk-ruby #34: sequence numbers start again). Let the resource check it.
func (h *Hold) Token() uint64 { return h.token }

// Session is the session that owns the node.
func (h *Hold) Session() *client.Session { return h.s }

// Path is the path of the node.
func (h *Hold) Path() string { return h.path }

// Valid tells whether this is ours at this moment, as far as can be known without asking anybody. It costs no request.
func (h *Hold) Valid() bool { return h.ctx.Err() == nil && h.s.Remaining() > 0 }

// Lost tells whether it has ended otherwise than by Release.
func (h *Hold) Lost() bool {
	return h.ctx.Err() != nil && !errors.Is(context.Cause(h.ctx), ErrReleased)
}

// Txn begins a transaction that is refused when this is no longer ours: its first operation checks for our node, whose
// name is never used again.
func (h *Hold) Txn() *client.Txn { return h.s.Txn().Check(h.path, -1) }

// Set changes the data of our node.
func (h *Hold) Set(ctx context.Context, data []byte) error {
	_, err := h.s.Set(ctx, h.path, data, -1)
	return err
}

// Retire ends the context, with the cause ErrReleased, and leaves the node: for who replaces it in a transaction. Release
// still deletes it.
func (h *Hold) Retire() {
	h.mu.Lock()
	first := !h.retired
	h.retired = true
	for _, stop := range h.stop {
		if first && stop() {
			h.keepers.Done()
		}
	}
	h.mu.Unlock()
	h.end(ErrReleased)
	h.keepers.Wait()
	if first {
		h.leave() // if it was lost, and nobody has yet
	}
}

// Release ends the context, with the cause ErrReleased, and then deletes the node. Nil means that the node is gone, or
// goes with its session, which has ended. An error that matches client.ErrDeletePending means that this was not
// confirmed before ctx ended: the deletion goes on in the background. It may be called again.
func (h *Hold) Release(ctx context.Context) error {
	h.Retire() // before anybody else can be let in
	if err := remove(ctx, h.s, h.path); err != nil {
		return fmt.Errorf("release %s: %w", h.path, err)
	}
	return nil
}

// Bind returns a context with the values of ctx that ends when either ctx or the hold ends, with the cause of whichever
// came first. An end of the hold shows in it without any delay.
func (h *Hold) Bind(ctx context.Context) (context.Context, context.CancelFunc) {
	both, end := context.WithCancelCause(h.ctx)
	stop := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	return bound{both, ctx}, func() { stop(); end(context.Canceled) }
}

// bound is a hold's context that knows the caller's values too.
type bound struct {
	context.Context
	caller context.Context
}

func (b bound) Value(key any) any {
	if v := b.Context.Value(key); v != nil {
		return v
	}
	return b.caller.Value(key)
}

// keep watches over the node until the hold ends, and ends it when the node is gone. As long as nothing happens that
// takes no goroutine, unless the line wants more.
func (h *Hold) keep(own *client.Watch) {
	if h.line.Strict {
		h.keepers.Go(h.endWhenSuspended)
	}
	if h.line.Alive != nil {
		h.keepers.Go(func() { h.end(h.ask()) })
	}
	h.when(atEnd, func(f func()) func() bool { return context.AfterFunc(h.ctx, f) }, h.leave)
	if own != nil {
		h.when(atEvent, own.AfterFunc, func() { h.wake(own) })
		return
	}
	h.when(atEvent, func(f func()) func() bool { return time.AfterFunc(unwatched, f).Stop }, func() { h.look(0) })
}

// unwatched is how long a new hold goes without a watch on its node. Most locks of programs in a loop are over by then, and
// the watch, with the event that ends it, would be half of what they ask of the server.
const unwatched = 5 * time.Millisecond

// The two things that may call for a keeper.
const (
	atEnd   = iota // the hold is lost
	atEvent        // the watch on our node has ended, or it is time to set one
)

// when makes do a keeper to come, unless the hold is retired.
func (h *Hold) when(which int, start func(f func()) (stop func() bool), do func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.retired {
		return
	}
	h.keepers.Add(1)
	h.stop[which] = start(func() { defer h.keepers.Done(); do() })
}

// leave deletes the node of a hold that was lost: it is never found again, if its session lives on after all.
func (h *Hold) leave() {
	if h.Lost() && !errors.Is(context.Cause(h.ctx), ErrGone) {
		// With a context that is over, this only leaves word with the session, which goes on until it is confirmed.
		_ = h.s.DeleteGuaranteed(h.ctx, h.path)
	}
}

// wake finds out what has ended the watch on our node. That the node was deleted needs no look at it, for its name is never
// used again.
func (h *Hold) wake(own *client.Watch) {
	ev, err := own.Wait(h.ctx)
	switch {
	case h.ctx.Err() != nil:
	case err == nil && ev.Type == client.EventDeleted || errors.Is(err, client.ErrNoNode):
		h.end(ErrGone)
	default:
		h.look(-1)
	}
}

// look sets the next watch on our node, and passes on what stands in it, if its version is not the one known.
func (h *Hold) look(known int32) {
	node, next, err := h.s.GetW(h.ctx, h.path)
	switch {
	case errors.Is(err, client.ErrNoNode):
		h.end(ErrGone)
	case err != nil:
		h.end(err)
	default:
		if h.line.Notice != nil && node.Stat.Version != known {
			h.line.Notice(node.Data)
		}
		h.when(atEvent, next.AfterFunc, func() { h.wake(next) })
	}
}

func (h *Hold) endWhenSuspended() {
	for state := range h.s.Client().States(h.ctx) {
		if state == client.Suspended || state == client.Connecting {
			h.end(client.ErrSuspended)
		}
	}
}

// ask asks the program whether it is alive, and returns why the hold ends.
func (h *Hold) ask() error {
	for {
		ctx, stop := context.WithTimeout(h.ctx, h.s.Timeout()/3)
		said := make(chan error, 1)
		go func() { said <- h.line.Alive(ctx) }()
		var err error
		select {
		case err = <-said:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err == nil {
			<-ctx.Done() // the time of the next question
		}
		stop()
		switch {
		case h.ctx.Err() != nil:
			return context.Cause(h.ctx)
		case err != nil:
			return fmt.Errorf("%w: %w", ErrNotAlive, err)
		}
	}
}
