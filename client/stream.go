package client

import (
	"context"
	"sync"

	"github.com/docent-io/docent/internal/wire"
)

// streamMax bounds the events a stream keeps for a slow reader.
const streamMax = 4096

// Stream is a lasting watch: events come until it is closed or the session ends. The goroutine that reads from the
// server is never blocked by it: events wait in a queue, and if the reader of the stream falls more than 4096 events
// behind, all that wait are replaced by one EventResync. So nothing is lost silently.
//
// Servers do not tell what changed while there was no connection: after each reconnect there is an EventResync.
type Stream struct {
	s     *session
	c     *Client
	key   watchKey
	path  string
	ready chan struct{} // of one: there is something to take, or an end

	mu    sync.Mutex // guards the rest
	queue []Event
	err   error
}

// AddWatch sets a lasting watch. The node need not exist. ZooKeeper before 3.9 keeps a single mode for each node: there,
// do not set one-shot watches (GetW and the like) on the very node of a lasting one in the same session.
func (s *Session) AddWatch(ctx context.Context, path string, m WatchMode) (*Stream, error) {
	k, shown, err := s.start(wire.OpAddWatch, path)
	if err != nil {
		return nil, err
	}
	defer s.s.release(k)
	st := &Stream{s: s.s, c: s.c, path: shown, key: watchKey{persistentWatch, k.req.path}, ready: make(chan struct{}, 1)}
	switch m {
	case Persistent:
	case PersistentRecursive:
		st.key.kind = recursiveWatch
	default:
		return nil, &OpError{Op: wire.OpAddWatch.String(), Path: shown, Session: s.s.id, Err: ErrBadArguments}
	}
	k.req.mode = wire.WatchMode(m)
	k.reg = &registration{key: st.key, member: st}
	s.s.run(ctx, k)
	if err := s.failure(k, shown); err != nil {
		return nil, err
	}
	return st, nil
}

// Next returns the next event, waiting for it until ctx ends. After the end of the session or of the stream it returns
// what is left in the queue, and then why it ended.
func (st *Stream) Next(ctx context.Context) (Event, error) {
	for {
		if ev, ok, err := st.take(); ok || err != nil {
			return ev, err
		}
		select {
		case <-st.ready:
		case <-ctx.Done():
			return Event{}, &OpError{Op: "next", Path: st.path, Session: st.s.id, Err: contextError(ctx)}
		}
	}
}

func (st *Stream) take() (ev Event, ok bool, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.queue) > 0 {
		ev = st.queue[0]
		st.queue = st.queue[1:]
		if len(st.queue) == 0 {
			st.queue = nil
		}
		ok = true
	} else {
		err = st.err
	}
	if len(st.queue) > 0 || st.err != nil {
		st.signal() // for the next reader
	}
	return ev, ok, err
}

// Close ends the stream. The last one of its mode on a node takes the watch off the server, too, without waiting for
// that. It may be called often; it returns nil.
func (st *Stream) Close() error {
	st.drop()
	return nil
}

func (st *Stream) drop() {
	if st.end(ErrWatchClosed, true) {
		st.s.watches.leave(st.key, st)
	}
}

func (st *Stream) fail(err error) {
	st.end(&OpError{Op: "watch", Path: st.path, Session: st.s.id, Err: err}, false)
}

// end notes why the stream ended, and tells whether it had not before.
func (st *Stream) end(err error, forget bool) (first bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.err != nil {
		return false
	}
	if forget {
		st.queue = nil
	}
	st.err = err
	st.signal()
	return true
}

func (st *Stream) deliver(ev Event) (stays bool) {
	ev.Path = st.c.show(ev.Path)
	st.push(ev)
	return true
}

// resync tells the reader that events may be missing here.
func (st *Stream) resync() { st.push(Event{Type: EventResync, Path: st.path, Zxid: -1}) }

func (st *Stream) push(ev Event) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.err != nil {
		return
	}
	if len(st.queue) >= streamMax {
		st.queue, ev = nil, Event{Type: EventResync, Path: st.path, Zxid: -1}
	}
	st.queue = append(st.queue, ev)
	st.signal()
}

func (st *Stream) signal() {
	select {
	case st.ready <- struct{}{}:
	default:
	}
}
