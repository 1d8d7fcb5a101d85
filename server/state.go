package server

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/replica"
	"github.com/docent-io/docent/server/internal/tree"
	"github.com/docent-io/docent/server/internal/watch"
)

// fewWoken is to how many connections the goroutine that applies an entry writes itself, if that does not make it wait. A lone
// request is answered without another goroutine being woken; of many, each connection has its own do it.
const fewWoken = 4

// state is what the log is applied to, with those who wait for it: the replica's Machine.
type state struct {
	srv     *Server
	watches *watch.Table[*conn]

	// mu guards the fields below. Apply holds it once per entry; reads share it.
	mu    sync.RWMutex
	tree  *tree.Tree
	conns map[int64]*conn // the attached connection of each session that has one here

	snapZxid int64 // of the last snapshot taken
	snapTime time.Time

	// Used by the applying goroutine alone.
	txn    tree.Txn
	events []tree.Event
	woken  []*conn
}

// Apply carries out the transactions of one entry, on every server alike; answers and events go to the connections
// that are here.
func (st *state) Apply(now int64, batches []replica.Batch) {
	if wait := st.srv.cfg.Lab.BeforeApply; wait != nil {
		wait()
	}
	st.mu.Lock()
	for _, b := range batches {
		for i, cmd := range b.Commands() {
			var w any
			if b.Waiters != nil {
				w = b.Waiters[i]
			}
			s, _ := w.(*slot) // nil: a transaction of the server's own
			res := st.apply(now, cmd, s)
			if a, ok := w.(*asked); ok {
				a.result <- res
			}
		}
	}
	st.mu.Unlock()
	few := len(st.woken) <= fewWoken
	for i, c := range st.woken {
		if few {
			c.flushOrSignal()
		} else {
			c.signal()
		}
		st.woken[i] = nil
	}
	st.woken = st.woken[:0]
}

func (st *state) apply(now int64, cmd []byte, s *slot) (res tree.Result) {
	x := &st.txn
	if err := x.Decode(cmd); err != nil {
		// Cannot come from a server of this version; skipping it is the same on every server.
		st.srv.log.Error("transaction in the log cannot be decoded, skipped", "error", err)
		res = tree.Result{Zxid: st.tree.Zxid(), Err: wire.ErrMarshalling}
		if s != nil {
			st.complete(s, res)
		}
		return res
	}
	res, st.events = st.tree.Apply(now, x, st.events[:0])
	st.srv.cfg.Lab.tell(x, &res, st.events)
	for i := range st.events {
		e := &st.events[i]
		st.watches.Fire(e.Type, e.Path, func(c *conn, typ wire.EventType, path string) {
			c.deliver(e, typ, path)
			st.wake(c)
		})
	}
	switch {
	case res.Err == wire.OK:
		st.applied(x, &res, s)
	case x.Op == wire.OpCloseSession:
		st.stays(x.Session)
	}
	if res.OverQuota != "" && s != nil {
		st.srv.log.Warn("soft quota passed", "path", res.OverQuota, "session", sessionID(x.Session))
	}
	if res.Err != wire.ErrSessionMoved {
		st.srv.lead.touch(x.Session)
	}
	if s != nil {
		st.complete(s, res)
	}
	return res
}

// applied does what a change of a session means for the connections here, and for the leader's clock.
func (st *state) applied(x *tree.Txn, res *tree.Result, s *slot) {
	switch x.Op {
	case wire.OpCreateSession, tree.OpAttach:
		st.srv.lead.add(x.Session, time.Duration(res.Timeout)*time.Millisecond)
		if s == nil {
			return // elsewhere; an older connection here learns of it at its next write
		}
		if old := st.conns[x.Session]; old != nil {
			old.close() // the newer connection wins
		}
		c := s.conn
		if c.ended() {
			return // the client did not wait; nobody would take the entry out again
		}
		c.session, c.epoch, c.timeout = x.Session, res.Epoch, time.Duration(res.Timeout)*time.Millisecond
		st.conns[x.Session] = c
	case tree.OpRestore:
		if x.Part.Last { // as after a snapshot: clients come back and ask
			for _, c := range st.conns {
				c.close()
			}
			clear(st.conns)
			st.srv.lead.restored(st.tree, st.srv.cfg.Tick)
		}
	case wire.OpCloseSession:
		st.srv.lead.remove(x.Session)
		c := st.conns[x.Session]
		if c == nil {
			return
		}
		delete(st.conns, x.Session)
		if s == nil || s.conn != c {
			c.close() // expired, or closed by somebody else: the client learns it when it comes back
		}
	}
}

// stays gives a session that was not closed after all its full timeout again.
func (st *state) stays(id int64) {
	if sess, ok := st.tree.Session(id); ok {
		st.srv.lead.add(id, time.Duration(sess.Timeout)*time.Millisecond)
	}
}

// complete hands a write its result.
func (st *state) complete(s *slot, res tree.Result) {
	s.complete(res)
	st.wake(s.conn)
}

// wake notes that a connection has something to write; it is told when the entry is done.
func (st *state) wake(c *conn) {
	if n := len(st.woken); n == 0 || st.woken[n-1] != c {
		st.woken = append(st.woken, c)
	}
}

// forget removes a connection that has ended from the table, unless its session is attached elsewhere by now.
func (st *state) forget(c *conn) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.conns[c.session] == c {
		delete(st.conns, c.session)
	}
}

// Snapshot takes references to the state; the function it returns writes them while later entries are applied.
func (st *state) Snapshot() (func(io.Writer) error, error) {
	st.mu.Lock()
	snap := st.tree.Snapshot()
	st.snapZxid, st.snapTime = snap.Zxid(), time.Now()
	st.mu.Unlock()
	return func(w io.Writer) error {
		_, err := snap.WriteTo(w)
		if errors.Is(err, tree.ErrDigest) {
			err = fmt.Errorf("%w: %w", replica.ErrDiffers, err)
		}
		return err
	}, nil
}

// Restore replaces the state by a snapshot's. Connections miss the events and answers that are inside, so they are
// closed without a word: their clients come back and ask.
func (st *state) Restore(r io.Reader) error {
	t, err := tree.Restore(r)
	if err != nil {
		return fmt.Errorf("restore snapshot: %w", err)
	}
	st.srv.closeConns()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.tree = t
	clear(st.conns)
	return nil
}

// Digest returns the tree's digest and the zxid it belongs to.
func (st *state) Digest() replica.Digest {
	st.mu.RLock()
	defer st.mu.RUnlock()
	return replica.Digest{Version: tree.DigestVersion, Zxid: st.tree.Zxid(), Sum: st.tree.Digest()}
}
