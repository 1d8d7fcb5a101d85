package client

import (
	"context"
	"slices"
	"sync"

	"github.com/docent-io/docent/internal/wire"
)

// Watch waits for one change of a node, or of its list of children. It ends exactly once: with the event, with the end
// of its session (ErrSessionExpired, ErrSessionDeadline, ErrClosed), or by its own Close (ErrWatchClosed). It survives
// reconnects; what changed meanwhile fires at once.
type Watch struct {
	s      *session
	key    watchKey
	path   string // as the caller knows it
	absent bool   // set on a node that is absent; such watches are set again in another way. The table's
	done   chan struct{}

	once sync.Once
	ev   Event // both written before done is closed
	err  error

	mu    sync.Mutex // guards the rest
	after []*func()  // to be run when it has ended
}

// Done is closed when the watch has ended; Wait then returns the outcome at once.
func (w *Watch) Done() <-chan struct{} { return w.done }

// Wait returns the outcome of the watch, waiting for it until ctx ends. The end of ctx does not consume the outcome:
// Wait may be called again, and by many.
func (w *Watch) Wait(ctx context.Context) (Event, error) {
	select {
	case <-w.done:
		return w.ev, w.err
	default:
	}
	select {
	case <-w.done:
		return w.ev, w.err
	case <-ctx.Done():
		return Event{}, &OpError{Op: "wait", Path: w.path, Session: w.s.id, Err: contextError(ctx)}
	}
}

// AfterFunc runs f in a goroutine of its own when the watch has ended, as context.AfterFunc does with contexts: it spares
// one that waits. The function it returns stops that, and reports whether it did: if not, f has been started.
func (w *Watch) AfterFunc(f func()) (stop func() bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.done:
		go f()
		return func() bool { return false }
	default:
	}
	w.after = append(w.after, &f)
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		i := slices.Index(w.after, &f)
		if i >= 0 {
			w.after = slices.Delete(w.after, i, i+1)
		}
		return i >= 0
	}
}

// Close ends the watch. The last watch of its kind on a node takes it off the server, too, without waiting for that.
// It may be called often, and after the watch has ended; it returns nil.
func (w *Watch) Close() error {
	w.drop()
	return nil
}

func (w *Watch) drop() {
	if w.end(Event{}, ErrWatchClosed) {
		w.s.watches.leave(w.key, w)
	}
}

// end gives the watch its outcome, and tells whether it had none yet.
func (w *Watch) end(ev Event, err error) (first bool) {
	w.once.Do(func() {
		first = true
		w.ev, w.err = ev, err
		close(w.done)
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, f := range w.after {
			go (*f)() // owned by who called AfterFunc
		}
		w.after = nil
	})
	return first
}

func (w *Watch) deliver(ev Event) (stays bool) {
	ev.Path = w.path
	w.end(ev, nil)
	return false
}

func (w *Watch) fail(err error) {
	w.end(Event{}, &OpError{Op: "watch", Path: w.path, Session: w.s.id, Err: err})
}

// watchKind is one of the four sets of watches a server keeps for a connection.
type watchKind uint8

const (
	dataWatch watchKind = iota
	childWatch
	persistentWatch
	recursiveWatch
)

// serverType is how a removal names the kind.
func (k watchKind) serverType() wire.WatcherType {
	return [...]wire.WatcherType{wire.WatcherData, wire.WatcherChildren, wire.WatcherPersistent, wire.WatcherRecursive}[k]
}

type watchKey struct {
	kind watchKind
	path string // with the chroot
}

// member is a Watch or a Stream: what an event is delivered to. None of its methods blocks.
type member interface {
	deliver(ev Event) (stays bool) // the event's path is the server's
	fail(err error)                // the session has ended
	drop()                         // closed by its owner
}

// registration is a watch on its way: it counts from before the request is queued until the answer is there, so that
// closing another watch of the node does not take off the server what this one is about to need.
type registration struct {
	key    watchKey
	member member
	exists *Watch // the member, if it waits for an absent node, too
}

// armedBy tells whether a server that answers with this code has set the watch.
func (r *registration) armedBy(code Code) bool {
	if code == ErrNoNode && r.exists != nil {
		r.exists.absent = true
		return true
	}
	return code == 0
}

// GetW reads a node and sets a watch on it: on its data and its existence. If there is no such node, there is no watch.
func (s *Session) GetW(ctx context.Context, path string) (Node, *Watch, error) {
	k, w, shown, err := s.startW(wire.OpGetData, path)
	if err != nil {
		return Node{}, nil, err
	}
	defer s.s.release(k)
	s.s.run(ctx, k)
	if err := s.failure(k, shown); err != nil {
		return Node{}, nil, err
	}
	return Node{Path: shown, Data: k.rep.data, Stat: Stat(k.rep.stat)}, w, nil
}

// ExistsW tells whether there is such a node, and sets a watch either way: it fires when the node is created, changed
// or deleted.
func (s *Session) ExistsW(ctx context.Context, path string) (Stat, bool, *Watch, error) {
	k, w, shown, err := s.startW(wire.OpExists, path)
	if err != nil {
		return Stat{}, false, nil, err
	}
	defer s.s.release(k)
	s.s.run(ctx, k)
	stat, ok, err := existsResult(k, s.failure(k, shown))
	if err != nil {
		return Stat{}, false, nil, err
	}
	return stat, ok, w, nil
}

// ChildrenW reads the names of a node's children and sets a watch on that list, and on the node's existence. If there
// is no such node, there is no watch.
func (s *Session) ChildrenW(ctx context.Context, path string) ([]string, Stat, *Watch, error) {
	k, w, shown, err := s.startW(wire.OpGetChildren2, path)
	if err != nil {
		return nil, Stat{}, nil, err
	}
	defer s.s.release(k)
	s.s.run(ctx, k)
	if err := s.failure(k, shown); err != nil {
		return nil, Stat{}, nil, err
	}
	return k.rep.names, Stat(k.rep.stat), w, nil
}

// startW returns a reading call that sets a watch.
func (s *Session) startW(op wire.Op, path string) (*call, *Watch, string, error) {
	k, shown, err := s.start(op, path)
	if err != nil {
		return nil, nil, shown, err
	}
	w := &Watch{s: s.s, path: shown, key: watchKey{dataWatch, k.req.path}, done: make(chan struct{})}
	if op == wire.OpGetChildren2 {
		w.key.kind = childWatch
	}
	k.req.watch = true
	k.reg = &registration{key: w.key, member: w}
	if op == wire.OpExists {
		k.reg.exists = w
	}
	return k, w, shown, nil
}
