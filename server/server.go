package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/replica"
	"github.com/docent-io/docent/server/internal/storage"
	"github.com/docent-io/docent/server/internal/tree"
	"github.com/docent-io/docent/server/internal/watch"
)

// DialFunc connects to the peer port of another member.
type DialFunc func(ctx context.Context, addr string) (net.Conn, error)

// ErrClosed is returned by a server that was closed.
var ErrClosed = errors.New("server is closed")

// ErrDiffers says that this server's tree is not what the others made of the same log, or not what its own transactions
// made it: it has stopped, and what it holds cannot be relied on.
var ErrDiffers = replica.ErrDiffers

// Server is a running server.
type Server struct {
	cfg      Config
	log      *slog.Logger
	listener net.Listener
	secure   net.Listener // nil without a port for TLS
	replica  *replica.Replica
	opened   chan struct{} // closed when replica is set
	state    state
	lead     lead
	toucher  toucher
	sessions sessionCounter
	features tree.Features // sent along with each transaction
	stats    serverStats
	started  time.Time
	admin    *admin // nil without a listener for operators

	backingUp     sync.Mutex // held while a backup is sent
	reconfiguring sync.Mutex // held while a client's reconfiguration is carried out

	readOnly atomic.Bool // serving without a leader; changed under mu

	cancel context.CancelFunc // ends the loops
	loops  *errgroup.Group    // share a fate: when one fails the server stops
	wg     sync.WaitGroup     // the goroutines of connections
	ending atomic.Bool        // somebody closes it
	closed chan struct{}
	err    error // of Close

	mu      sync.Mutex         // guards conns and perHost
	conns   map[*conn]struct{} // open connections; nil once the server is closing
	perHost map[string]int
}

// Start checks cfg, opens the data folder, and starts to serve. It does not wait for an ensemble to come together:
// Ready does. What is wrong with cfg or the folder is told in the error.
func Start(cfg Config) (*Server, error) {
	cfg = cfg.WithDefaults()
	cfg.Peers = maps.Clone(cfg.Peers) // read later, while the caller may use theirs
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: cfg.Logger, started: time.Now(), closed: make(chan struct{}), opened: make(chan struct{}),
		conns: make(map[*conn]struct{}), perHost: make(map[string]int)}
	s.state = state{srv: s, tree: tree.New(), watches: watch.New[*conn](), conns: make(map[int64]*conn)}
	s.lead.pace, s.lead.began = cfg.Lab.Pace, s.started
	s.toucher = toucher{srv: s, wake: make(chan struct{}, 1)}
	s.sessions.start(cfg.ID, s.started)
	if cfg.ExtendedTypes {
		s.features |= tree.FeatureTTL
	}
	if cfg.EnforceQuota {
		s.features |= tree.FeatureQuota
	}
	if cfg.TLS != nil {
		s.features |= tree.FeatureX509
	}
	if err := s.listen(); err != nil {
		return nil, err
	}
	if err := s.openAdmin(); err != nil {
		return nil, errors.Join(err, s.replica.Close(), s.closeListeners())
	}
	s.start()
	return s, nil
}

// start starts the loops, and sees to it that the server stops when one of them fails.
func (s *Server) start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.loops, ctx = errgroup.WithContext(ctx)
	s.loops.Go(func() error { return s.toucher.run(ctx) })
	s.loops.Go(func() error { return s.accept(s.listener) })
	if s.cfg.ReadOnlyMode {
		s.loops.Go(func() error { return s.followQuorum(ctx) })
	}
	if s.secure != nil {
		s.loops.Go(func() error { return s.accept(s.secure) })
	}
	if s.admin != nil {
		s.loops.Go(s.admin.serve)
	}
	s.loops.Go(func() error {
		<-s.replica.Done()
		return s.replica.Err()
	})
	context.AfterFunc(ctx, func() { s.Close() }) // its error is kept for whoever calls Close
}

// listen opens everything that can fail: ports, folder, replica. On an error nothing stays open.
func (s *Server) listen() (err error) {
	cfg := &s.cfg
	var opened []func() error
	defer func() {
		if err != nil {
			for _, f := range opened {
				if e := f(); !errors.Is(e, net.ErrClosed) { // the replica may have closed its own
					err = errors.Join(err, e)
				}
			}
		}
	}()
	if s.listener = cfg.Listener; s.listener == nil {
		if s.listener, err = net.Listen("tcp", cfg.Listen); err != nil {
			return fmt.Errorf("listen for clients: %w", err)
		}
	}
	opened = append(opened, s.listener.Close)
	if cfg.SecureListen != "" {
		if s.secure, err = net.Listen("tcp", cfg.SecureListen); err != nil {
			return fmt.Errorf("listen for clients with TLS: %w", err)
		}
		opened = append(opened, s.secure.Close)
	}
	store := cfg.Lab.Memory.open(cfg.ID)
	if cfg.Data != "" {
		if store, err = storage.Open(cfg.Data, cfg.ID, storage.Options{Disk: cfg.Lab.Disk}); err != nil {
			return err
		}
	}
	opened = append(opened, store.Close)
	if cfg.Lab.BeforeStore != nil {
		store.BeforeStore(cfg.Lab.BeforeStore)
	}
	if len(cfg.Peers) == 0 {
		addr, err := replica.Address(store)
		if err != nil {
			return err
		}
		if addr != "" { // of a member, which need not be told again who it is
			cfg.Peers = map[uint64]string{cfg.ID: addr}
		}
	}
	peer, dial := cfg.PeerListener, cfg.DialPeer
	if peer == nil && len(cfg.Peers) > 0 {
		if peer, err = net.Listen("tcp", cfg.Peers[cfg.ID]); err != nil {
			return fmt.Errorf("listen for peers: %w", err)
		}
	}
	if peer != nil {
		opened = append(opened, peer.Close)
		if cfg.PeerTLS != nil {
			peer, dial = securePeers(cfg.PeerTLS, peer, dial)
		}
	}
	var peers []replica.Peer
	for _, id := range peerIDs(cfg.Peers) {
		peers = append(peers, replica.Peer{ID: id, Addr: cfg.Peers[id], Observer: slices.Contains(cfg.Observers, id)})
	}
	var onRemoved func() // ZooKeeper's servers wait when a client removes them
	if cfg.ReconfigEnabled {
		onRemoved = s.closeConns
	}
	s.replica, err = replica.Open(replica.Config{
		ID: cfg.ID, Peers: peers, Join: cfg.Join, OnRemoved: onRemoved, Listener: peer, Store: store, Machine: &s.state, Handler: s.lead.handle,
		OnLeader: s.leading, Logger: cfg.Logger, ElectionTimeout: cfg.ElectionTimeout, SnapshotBytes: cfg.SnapshotBytes,
		Dial: dial, Now: cfg.Lab.Now,
	})
	if err != nil {
		if cfg.Data != "" {
			err = fmt.Errorf("data folder %s: %w", cfg.Data, err)
		}
		return err
	}
	close(s.opened)
	return nil
}

// Addr returns the address for clients, host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// SecureAddr returns the address on which TLS is a must, empty if there is none.
func (s *Server) SecureAddr() string {
	if s.secure == nil {
		return ""
	}
	return s.secure.Addr().String()
}

// ID returns the server's number in its ensemble.
func (s *Server) ID() uint64 { return s.cfg.ID }

// Leader returns the number of the server that leads, as far as this one knows; ok is false when it knows of none.
func (s *Server) Leader() (id uint64, ok bool) { return s.replica.Leader() }

// Ready returns when the server can carry out requests: a leader is known, and what had been committed when Ready was
// called is applied here. It returns ctx's error if that ends first, and ErrClosed if the server does.
func (s *Server) Ready(ctx context.Context) error {
	for {
		changed := s.replica.Changed()
		err := s.replica.Sync(ctx)
		if err == nil {
			return nil
		}
		retry := time.NewTimer(20 * time.Millisecond)
		select {
		case <-ctx.Done():
		case <-s.closed:
			err = ErrClosed
		case <-changed:
			retry.Stop()
			continue
		case <-retry.C:
			continue
		}
		retry.Stop()
		return errors.Join(context.Cause(ctx), err)
	}
}

// Done is closed when the server has stopped: by Close, or because its storage failed.
func (s *Server) Done() <-chan struct{} { return s.closed }

// Close stops the server: it hands the lead over if it has it, and closes all connections, whose clients move to
// another server with their sessions. It returns why the server had stopped by itself, if it had.
func (s *Server) Close() error { return s.stop(s.replica.Close) }

// Kill stops the server as the death of its process would: no lead is handed over, nothing is finished. It is for
// tests of what happens then.
func (s *Server) Kill() error { return s.stop(s.replica.Kill) }

func (s *Server) stop(stopReplica func() error) error {
	if s.ending.CompareAndSwap(false, true) { // not a sync.Once: waiting for a lock would stop the clock of testing/synctest
		s.cancel()
		err := s.closeListeners()
		if s.admin != nil {
			err = errors.Join(err, s.admin.http.Close())
		}
		err = errors.Join(err, stopReplica()) // before the connections: a client must not be refused by a leader
		if failed := s.loops.Wait(); failed != nil {
			if !errors.Is(failed, ErrRemoved) { // the replica has said that
				s.log.Error("the server had stopped by itself", "error", failed)
			}
			err = errors.Join(failed, err)
		}
		s.mu.Lock()
		conns := s.conns
		s.conns = nil
		s.mu.Unlock()
		for c := range conns {
			c.close()
		}
		s.wg.Wait()
		s.err = err
		close(s.closed)
	}
	<-s.closed
	return s.err
}

func (s *Server) closeListeners() error {
	err := s.listener.Close()
	if s.secure != nil {
		err = errors.Join(err, s.secure.Close())
	}
	return err
}

// ExpireSession ends a session as if it had been unheard for its timeout: its ephemerals vanish, its connection is
// closed. It returns when that is applied here; a session that does not exist is not an error.
func (s *Server) ExpireSession(ctx context.Context, id int64) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for proposed := int32(0); ; {
		s.state.mu.RLock()
		sess, ok := s.state.tree.Session(id)
		s.state.mu.RUnlock()
		if !ok {
			return nil
		}
		if sess.Epoch != proposed { // else it is on its way
			proposed = sess.Epoch
			if err := s.propose(nil, &tree.Txn{Op: wire.OpCloseSession, Session: id, Epoch: sess.Epoch}); err != nil {
				return fmt.Errorf("expire session %s: %w", sessionID(id), err)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("expire session %s: %w", sessionID(id), context.Cause(ctx))
		case <-s.closed:
			return fmt.Errorf("expire session %s: %w", sessionID(id), ErrClosed)
		case <-tick.C:
		}
	}
}

// propose sends a transaction on its way to the log. s, which may be nil, gets its result when it is applied here.
func (s *Server) propose(sl *slot, x *tree.Txn) error {
	buf := bufPool.Get().(*[]byte)
	defer bufPool.Put(buf)
	*buf = x.Append((*buf)[:0])
	var w any
	if sl != nil {
		w = sl
	}
	return s.replica.Propose(w, *buf)
}

var bufPool = sync.Pool{New: func() any { return new([]byte) }}

func (s *Server) hasLeader() bool {
	_, ok := s.replica.Leader()
	return ok
}

// accept owns one goroutine for each connection.
func (s *Server) accept(ln net.Listener) error {
	for {
		nc, err := ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			s.log.Warn("accept failed", "error", err) // out of descriptors, say: the next may go well
			select {
			case <-time.After(50 * time.Millisecond):
				continue
			case <-s.closed:
				return nil
			}
		}
		c := newConn(s, nc, ln == s.secure)
		if !s.admit(c) {
			nc.Close()
			continue
		}
		s.wg.Go(func() {
			defer s.dismiss(c)
			c.serve()
		})
	}
}

// admit counts a connection, unless there are too many.
func (s *Server) admit(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := host(c.nc.RemoteAddr())
	if why := s.refusal(h); why != "" {
		s.log.Debug("connection refused", "remote", c.remote, "cause", why)
		s.stats.rejected.Add(1)
		return false
	}
	s.conns[c] = struct{}{}
	s.perHost[h]++
	return true
}

func (s *Server) dismiss(c *conn) {
	s.state.forget(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.retire(c)
	h := host(c.nc.RemoteAddr())
	if s.perHost[h]--; s.perHost[h] == 0 {
		delete(s.perHost, h)
	}
}

// closeConns closes all client connections, with no word to the clients.
func (s *Server) closeConns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.close()
	}
}
