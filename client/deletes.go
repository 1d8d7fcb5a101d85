package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/docent-io/docent/internal/zpath"
)

// deleteList is what a session has still to delete.
type deleteList struct {
	mu      sync.Mutex // guards the rest
	items   []*deletion
	busy    bool // a goroutine works on the list
	closing bool // no goroutine is started any more
}

// deletion is one node to delete, or those that a guard finds.
type deletion struct {
	s          *Session
	path       string // or the beginning of it
	guard      *guard
	background bool // for the goroutine to do; else its caller does it
}

// Pending returns the paths of guaranteed deletions that are not confirmed yet, those of other namespaces included,
// each as its caller gave it. A path that ends in a dash is the beginning of the name of a protected node that was
// given up before its create was answered.
func (s *Session) Pending() []string {
	l := &s.s.deletes
	l.mu.Lock()
	defer l.mu.Unlock()
	paths := make([]string, len(l.items))
	for i, d := range l.items {
		paths[i] = d.path
	}
	return paths
}

// DeleteGuaranteed deletes a node, whatever its version. It returns nil when that is confirmed; that there is no such
// node counts as well. If ctx ends first, or has ended before, the deletion goes on in the background until it is
// confirmed or the session ends, stays in Pending meanwhile, and the error matches ErrDeletePending. What the server
// refuses (ErrNotEmpty, ErrNoAuth) is not repeated; a read-only server only makes it wait for another one.
func (s *Session) DeleteGuaranteed(ctx context.Context, path string) error {
	_, shown, err := s.c.resolve(path, false)
	if err != nil {
		return &OpError{Op: "delete", Path: shown, Session: s.s.id, Err: err}
	}
	d := &deletion{s: s, path: shown}
	l := &s.s.deletes
	l.add(d)
	err = d.run(ctx)
	if err == nil || ctx.Err() == nil || s.s.ctx.Err() != nil || !undecided(err) {
		l.remove(d)
		return err
	}
	l.delegate(d)
	return &OpError{Op: "delete", Path: shown, Session: s.s.id, Err: pendingError{err}}
}

// DeleteGuarded deletes in the background, as DeleteGuaranteed does, the children of dir whose names begin with prefix:
// for who has named nodes in Curator's way (_c_<uuid>-) in a transaction, and does not know whether it was carried out.
func (s *Session) DeleteGuarded(dir, prefix string) {
	s.s.deletes.search(s, guard{dir: zpath.Join("/", dir), prefix: prefix})
}

// pendingError is ErrDeletePending with the reason.
type pendingError struct{ cause error }

func (e pendingError) Error() string   { return ErrDeletePending.Error() + ": " + e.cause.Error() }
func (e pendingError) Unwrap() []error { return []error{ErrDeletePending, e.cause} }

// search deletes in the background what a guard finds.
func (l *deleteList) search(s *Session, g guard) {
	d := &deletion{s: s, path: g.dir + "/" + g.prefix, guard: &g}
	if g.dir == "/" {
		d.path = "/" + g.prefix
	}
	l.add(d)
	l.delegate(d)
}

func (l *deleteList) add(d *deletion) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, d)
}

func (l *deleteList) remove(d *deletion) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.items, d); i >= 0 {
		l.items = slices.Delete(l.items, i, i+1)
	}
}

// delegate leaves a deletion to the goroutine of the session, and starts it if it does not run.
func (l *deleteList) delegate(d *deletion) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.background = true
	if !l.busy && !l.closing {
		l.busy = true
		d.s.s.workers.Go(func() { l.work(d.s.s.ctx) })
	}
}

// close makes delegate start nothing any more. The session has ended.
func (l *deleteList) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closing = true
}

// work carries out what was delegated until nothing is left or the session ends: then its ephemerals go without us.
func (l *deleteList) work(ctx context.Context) {
	for {
		d := l.next()
		if d == nil {
			return
		}
		err := d.run(ctx)
		l.remove(d)
		if err != nil && ctx.Err() == nil {
			d.s.s.core.log.Error("a guaranteed deletion was refused", "path", d.path, "error", err)
		}
	}
}

func (l *deleteList) next() *deletion {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.items {
		if d.background {
			return d
		}
	}
	l.busy = false
	return nil
}

// run deletes until that is confirmed or refused, ctx ends or the session does. A repetition waits for a connection by
// itself; behind a server's answer that it does not do it now, there is a pause, or another state.
func (d *deletion) run(ctx context.Context) error {
	s := d.s.s
	pauses := s.core.cfg.Retry.pauses()
	for {
		_, changed := s.core.state.get()
		err := d.once(ctx)
		if !undecided(err) || ctx.Err() != nil || s.ctx.Err() != nil {
			return err
		}
		if notNow(err) {
			pause := time.NewTimer(pauses.NextBackOff())
			select {
			case <-pause.C:
			case <-changed:
			case <-ctx.Done():
			case <-s.ctx.Done():
			}
			pause.Stop()
		}
	}
}

func (d *deletion) once(ctx context.Context) error {
	if d.guard == nil {
		return ignoreNoNode(d.s.Delete(ctx, d.path, -1))
	}
	paths, err := d.s.findAll(ctx, *d.guard)
	for _, path := range paths {
		err = errors.Join(err, ignoreNoNode(d.s.Delete(ctx, path, -1)))
	}
	return err
}

func ignoreNoNode(err error) error {
	if errors.Is(err, ErrNoNode) {
		return nil
	}
	return err
}

// undecided tells whether a deletion may still succeed: there is an error, and it is not a server's last word.
func undecided(err error) bool {
	var code Code
	return err != nil && (!errors.As(err, &code) || notNow(err))
}

// notNow tells whether a server may do later what it has refused: it has too much to do, or has lost its majority.
func notNow(err error) bool { return errors.Is(err, ErrThrottled) || errors.Is(err, ErrReadOnly) }

// count returns the number of deletions not confirmed yet.
func (l *deleteList) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.items)
}
