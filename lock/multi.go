package lock

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
	"github.com/docent-io/docent/recipes"
)

// ErrRepeated: a path was given twice; it would wait for itself.
var ErrRepeated = errors.New("path given twice")

// parentTries bounds how often directories are made that the servers take away again before they are used.
const parentTries = 10

// MultiHeld is a number of locks that are held together, or were.
type MultiHeld struct {
	q     queue // for the client and options; without a path
	s     *client.Session
	holds []*recipes.Hold // in the order the paths were given
	ctx   context.Context
	end   context.CancelCauseFunc
	unify []func() bool // ends the ends of ctx by the holds
}

// LockAll waits for the locks at all paths, which are those of Mutex, and returns them together. It cannot deadlock,
// whatever others take in whatever order: the places in all queues are taken in one transaction, so whoever is ahead of
// another is so in every queue. In return, while one of the locks is held by somebody, our places already keep out those
// who come later to the other ones; ctx is the way out, and gives up all places.
//
// This covers what is asked for in one call. Who holds a lock while asking for others can deadlock as ever.
func LockAll(ctx context.Context, c *client.Client, paths []string, o ...Option) (*MultiHeld, error) {
	h := &MultiHeld{q: newQueue(c, "", o)}
	held, err := h.acquire(ctx, paths)
	if err != nil {
		return nil, fmt.Errorf("lock all of %s: %w", strings.Join(paths, ", "), err)
	}
	return held, nil
}

func (h *MultiHeld) acquire(ctx context.Context, paths []string) (*MultiHeld, error) {
	mutexes, err := h.mutexes(ctx, paths)
	if err != nil {
		return nil, err
	}
	if h.s, err = h.q.c.Session(ctx); err != nil {
		return nil, err
	}
	places, err := h.draw(ctx, mutexes)
	if err != nil {
		return nil, err
	}
	tickets := make([]*recipes.Ticket, len(places))
	for i, path := range places {
		line := mutexes[i].line()
		if i > 0 {
			line.Alive = nil // one heartbeat does for all
		}
		tickets[i] = line.TicketFor(h.s, path, 0)
	}
	for i, t := range tickets { // who is first in a queue stays first
		if err := t.Turn(ctx); err != nil {
			return nil, giveUpOthers(ctx, tickets, i, err)
		}
	}
	for i, t := range tickets {
		hold, err := t.Hold(ctx)
		if err != nil {
			h.retire()
			return nil, giveUpOthers(ctx, tickets, i, err)
		}
		h.holds = append(h.holds, hold)
	}
	h.begin(mutexes)
	return h, nil
}

// mutexes checks the paths.
func (h *MultiHeld) mutexes(ctx context.Context, paths []string) ([]*Mutex, error) {
	if len(paths) == 0 {
		return nil, errors.New("no path is given")
	}
	seen := make(map[string]bool)
	all := make([]*Mutex, len(paths))
	for i, path := range paths {
		m := &Mutex{queue{c: h.q.c, path: zpath.Join("/", path), opt: h.q.opt}}
		if seen[m.path] {
			return nil, fmt.Errorf("%w: %s", ErrRepeated, m.path)
		}
		if err := m.checkSelf(ctx, exclusive); err != nil {
			return nil, err
		}
		seen[m.path], all[i] = true, m
	}
	return all, nil
}

// draw takes a place in every queue at one moment, and returns the nodes' paths.
func (h *MultiHeld) draw(ctx context.Context, mutexes []*Mutex) ([]string, error) {
	data, err := h.q.tag()
	if err != nil {
		return nil, err
	}
	prefix := "_c_" + uuid.NewString() + "-"
	for try := 1; ; {
		txn := h.s.Txn()
		for _, m := range mutexes {
			txn.Create(zpath.Join(m.path, prefix+m.line().Kind), data, client.Ephemeral(), client.Sequential())
		}
		results, err := txn.Commit(ctx)
		switch {
		case err == nil:
			places := make([]string, len(results))
			for i, r := range results {
				places[i] = r.Path
			}
			return places, nil
		case errors.Is(err, client.ErrMaybeApplied):
			places, e := h.find(ctx, mutexes, prefix)
			if e != nil {
				for _, m := range mutexes {
					h.s.DeleteGuarded(m.path, prefix)
				}
				return nil, errors.Join(err, e)
			}
			if places != nil {
				return places, nil
			}
		case errors.Is(err, client.ErrNoNode) && try < parentTries:
			try++
			if err := h.makeDirs(ctx, mutexes); err != nil {
				return nil, err
			}
		case errors.Is(err, client.ErrNodeExists): // a fresh name cannot be taken: the counter is used up
			return nil, errors.Join(ErrSequenceExhausted, err)
		default:
			return nil, err
		}
	}
}

// find looks for the places after a lost reply, behind a sync; nil when there are none, and never will be. All were
// made or none, but one may have been deleted since: then the name given for it is of no node, and Turn says so.
func (h *MultiHeld) find(ctx context.Context, mutexes []*Mutex, prefix string) ([]string, error) {
	places, found := make([]string, len(mutexes)), false
	for i, m := range mutexes {
		names, _, err := h.s.Children(ctx, m.path, client.Fresh())
		if err != nil && !errors.Is(err, client.ErrNoNode) {
			return nil, err
		}
		places[i] = zpath.Join(m.path, prefix+"deleted")
		if at := slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, prefix) }); at >= 0 {
			places[i], found = zpath.Join(m.path, names[at]), true
		}
	}
	if !found {
		return nil, nil
	}
	return places, nil
}

// makeDirs makes the directories, as containers.
func (h *MultiHeld) makeDirs(ctx context.Context, mutexes []*Mutex) error {
	for _, m := range mutexes {
		_, err := h.s.Create(ctx, m.path, nil, client.Container(), client.Parents())
		if err != nil && !errors.Is(err, client.ErrNodeExists) && !errors.Is(err, client.ErrMaybeApplied) {
			return err
		}
	}
	return nil
}

// giveUpOthers gives up all tickets but the one whose error says that it has been.
func giveUpOthers(ctx context.Context, tickets []*recipes.Ticket, but int, why error) error {
	for i, t := range tickets {
		if i != but {
			why = t.GiveUp(ctx, why)
		}
	}
	return why
}

// begin makes one context of those of all holds. The session ends it at once, as it does each of them.
func (h *MultiHeld) begin(mutexes []*Mutex) {
	h.ctx, h.end = context.WithCancelCause(h.holds[0].Context())
	for _, hold := range h.holds[1:] {
		h.unify = append(h.unify, context.AfterFunc(hold.Context(), func() { h.end(context.Cause(hold.Context())) }))
	}
	for _, m := range mutexes {
		h.ctx = m.mark(h.ctx, exclusive)
	}
}

// Context ends when one of the locks is no longer ours; see Held.Context.
func (h *MultiHeld) Context() context.Context { return h.ctx }

// Token is the fencing token, which is the same for all the paths: the places were taken in one transaction.
func (h *MultiHeld) Token() uint64 { return h.holds[0].Token() }

// Session is the session the locks are held through.
func (h *MultiHeld) Session() *client.Session { return h.s }

// Valid tells whether all locks are ours at this moment, as far as can be known without asking a server. It is cheap.
func (h *MultiHeld) Valid() bool {
	for _, hold := range h.holds {
		if !hold.Valid() {
			return false
		}
	}
	return h.ctx.Err() == nil
}

// Lost tells whether one of the locks ended otherwise than by Unlock.
func (h *MultiHeld) Lost() bool {
	for _, hold := range h.holds {
		if hold.Lost() {
			return true
		}
	}
	return false
}

// Txn begins a transaction that fails, as a whole, if one of the locks is no longer ours.
func (h *MultiHeld) Txn() *client.Txn {
	txn := h.s.Txn()
	for _, hold := range h.holds {
		txn.Check(hold.Path(), -1)
	}
	return txn
}

// Unlock ends the context and releases all locks, in one transaction; see Held.Unlock. If one of the nodes is gone
// already, or the reply is lost, the others are released one by one.
func (h *MultiHeld) Unlock(ctx context.Context) error {
	h.end(ErrReleased)
	h.retire()
	txn := h.s.Txn()
	for _, hold := range h.holds {
		txn.Delete(hold.Path(), -1)
	}
	if _, err := txn.Commit(ctx); err == nil {
		return nil
	}
	var errs []error
	for _, hold := range h.holds {
		errs = append(errs, hold.Release(ctx))
	}
	return errors.Join(errs...)
}

// Close is Unlock within three seconds, for defer.
func (h *MultiHeld) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	return h.Unlock(ctx)
}

// retire ends the contexts of the holds.
func (h *MultiHeld) retire() {
	for _, stop := range h.unify {
		stop()
	}
	for _, hold := range h.holds {
		hold.Retire()
	}
}
