package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/docent-io/docent/server/internal/storage"
)

const (
	defaultElection = 250 * time.Millisecond
	defaultCompare  = time.Second
	defaultSnapshot = 64 << 20
	raftTimeout     = 10 * time.Second
	never           = 1000 * time.Hour
	maxMembers      = 256
	localAddr       = "local" // of a single server, which nobody else reaches
)

// Replica is one member of the ensemble, running.
type Replica struct {
	cfg       Config
	log       *slog.Logger
	raft      *raft.Raft
	transport raft.Transport
	ahead     *ahead
	port      *port // nil for a single server without one
	out       *outbox
	joiner    *joiner
	fsm       *fsm
	confirmer confirmer
	comparer  comparer
	inbound   inbound
	births    *births
	members   atomic.Pointer[members] // nil until raft has told
	removed   atomic.Bool             // and waiting to be added again
	changing  sync.Mutex              // held while this member, leading, carries out a change of members
	view      atomic.Pointer[view]
	lost      chan uint64   // a peer's process died
	linkUp    chan struct{} // a peer was reached
	snap      chan struct{} // the log has grown enough

	stoodAgainst uint64 // used by hurryLoop
	highest      uint64 // used by send

	elections, resends, snapshots atomic.Uint64

	mu       sync.Mutex // guards changed and stopping, and who may replace members
	changed  chan struct{}
	stopping bool // loops takes nobody new

	closing context.Context // ends when the replica begins to stop
	cancel  context.CancelCauseFunc
	loops   sync.WaitGroup
	stopped atomic.Bool // somebody shuts it down
	done    chan struct{}
	err     error // set before done is closed
}

// Open starts the member. It returns as soon as its snapshot is restored; a leader is found afterwards.
func Open(cfg Config) (*Replica, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	if err := cfg.refuseDifferent(); err != nil {
		return nil, err
	}
	births, err := cfg.bootstrap()
	if err == nil {
		err = cfg.remember()
	}
	if err != nil {
		return nil, fmt.Errorf("form the ensemble: %w", err)
	}
	r := &Replica{
		births: births,
		cfg:    cfg, log: cfg.Logger, out: newOutbox(cfg.ID, cfg.Store.Incarnation()),
		inbound: inbound{conns: make(map[net.Conn]struct{})}, confirmer: confirmer{wake: make(chan struct{}, 1)},
		lost: make(chan uint64, maxMembers), linkUp: make(chan struct{}, 1), snap: make(chan struct{}, 1), changed: make(chan struct{}), done: make(chan struct{}),
	}
	r.closing, r.cancel = context.WithCancelCause(context.Background())
	r.ahead = newAhead(cfg.Store.Log())
	r.ahead.leads, r.ahead.stored, r.ahead.onFail = r.leadsOthers, r.nudgeEarly, func(err error) { r.cancel(err) }
	r.fsm = newFSM(r.closing, cfg.Machine, r.out)
	r.fsm.onDisk = r.ahead.write
	r.fsm.onFail = func(err error) { r.cancel(err) }
	r.fsm.onApply = r.applied
	r.joiner = newJoiner(r.dropped, cfg.Now)
	if err := r.startRaft(); err != nil {
		return nil, err
	}
	if err := r.join(); err != nil {
		r.cancel(ErrClosed)
		return nil, errors.Join(err, r.raft.Shutdown().Error(), r.closePort())
	}
	r.start()
	return r, nil
}

func (c *Config) check() error {
	switch {
	case c.ID == 0:
		return errors.New("member id 0 is not allowed")
	case c.Store == nil || c.Machine == nil:
		return errors.New("a replica needs a store and a machine")
	case c.Store.ID() != c.ID:
		return fmt.Errorf("the store is member %d's, not member %d's", c.Store.ID(), c.ID)
	case c.Listener == nil && (len(c.Peers) > 0 || c.Join):
		return errors.New("a member of an ensemble needs a listener for its peer port")
	}
	ids, addrs := make(map[uint64]bool), make(map[string]bool)
	for _, p := range c.Peers {
		if p.ID == 0 || p.Addr == "" || ids[p.ID] || addrs[p.Addr] {
			return fmt.Errorf("peer list: %d=%s is empty or there twice", p.ID, p.Addr)
		}
		ids[p.ID], addrs[p.Addr] = true, true
	}
	if (len(c.Peers) > 0 || c.Join) && !ids[c.ID] {
		return fmt.Errorf("the peer list does not contain member %d", c.ID)
	}
	if len(c.Peers) > 0 && !c.Join && !slices.ContainsFunc(c.Peers, func(p Peer) bool { return !p.Observer }) {
		return errors.New("the peer list has observers only, and nobody who votes")
	}
	return nil
}

// Address returns the peer address under which a store's member was last started, empty if that was none of an ensemble.
func Address(s *storage.Store) (string, error) {
	addr, err := s.Stable().Get(addressKey())
	if err != nil {
		return "", fmt.Errorf("own peer address: %w", err)
	}
	return string(addr), nil
}

func addressKey() []byte { return []byte("address") }

// remember keeps the peer address for later starts that are not told.
func (c *Config) remember() error {
	if c.Listener == nil {
		return nil
	}
	switch last, err := Address(c.Store); {
	case err != nil:
		return err
	case last == c.addr():
		return nil
	}
	return c.Store.Stable().Set(addressKey(), []byte(c.addr()))
}

func (c *Config) setDefaults() {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ElectionTimeout == 0 {
		c.ElectionTimeout = defaultElection
	}
	if c.CompareEvery == 0 {
		c.CompareEvery = defaultCompare
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.SnapshotBytes == 0 {
		c.SnapshotBytes = defaultSnapshot
	}
	if c.Dial == nil {
		var d net.Dialer
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	}
	if len(c.Peers) == 0 {
		addr := localAddr
		if c.Listener != nil {
			addr = c.Listener.Addr().String()
		}
		c.Peers = []Peer{{ID: c.ID, Addr: addr}}
	}
}

// addr is where the other members reach us.
func (c *Config) addr() string {
	for _, p := range c.Peers {
		if p.ID == c.ID {
			return p.Addr
		}
	}
	return ""
}

// bootstrap makes an empty store the beginning of the ensemble: an entry that lists all members, the same on each of them.
// The term comes last, and either step is taken again if a crash came before it.
func (c *Config) bootstrap() (*births, error) {
	log, stable := c.Store.Log(), c.Store.Stable()
	last, err := log.LastIndex()
	if err != nil {
		return nil, err
	}
	snaps, err := c.Store.Snapshots().List()
	if err != nil {
		return nil, err
	}
	blank := last == 0 && len(snaps) == 0
	births, err := c.openBirths(blank)
	if err != nil || c.Join {
		return births, err
	}
	term, err := stable.GetUint64([]byte("CurrentTerm"))
	if err != nil {
		return nil, err
	}
	if blank {
		if term > 1 {
			return nil, errors.New("the store knows a term, but its log is gone")
		}
		var servers raft.Configuration
		for _, p := range c.Peers {
			s := raft.Server{ID: serverID(p.ID), Address: raft.ServerAddress(p.Addr)}
			if p.Observer {
				s.Suffrage = raft.Nonvoter
			}
			servers.Servers = append(servers.Servers, s)
		}
		entry := raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(servers)}
		if err := log.StoreLog(&entry); err != nil {
			return nil, err
		}
	}
	if term == 0 {
		return births, stable.SetUint64([]byte("CurrentTerm"), 1)
	}
	return births, nil
}

// startRaft makes the transport and the raft node; on an error it leaves nothing behind.
func (r *Replica) startRaft() error {
	conf := raft.DefaultConfig()
	conf.LocalID = serverID(r.cfg.ID)
	conf.HeartbeatTimeout = r.cfg.ElectionTimeout
	conf.ElectionTimeout = r.cfg.ElectionTimeout
	conf.LeaderLeaseTimeout = r.cfg.ElectionTimeout
	conf.CommitTimeout = 5 * time.Millisecond // a safety net: the nudge is quicker
	conf.MaxAppendEntries = 64
	conf.NoLegacyTelemetry = true
	conf.ShutdownOnRemove = false
	// Snapshots are taken by the bytes of the log, which only we know; see snapLoop.
	conf.SnapshotInterval, conf.SnapshotThreshold = never, math.MaxUint64
	lines := raftLines{r.log}
	conf.LogOutput, conf.LogLevel = lines, lines.level()

	cache, err := raft.NewLogCache(512, r.ahead)
	if err != nil {
		return err
	}
	r.makeTransport(lines)
	r.raft, err = raft.NewRaft(conf, r.fsm, cache, r.cfg.Store.Stable(), r.cfg.Store.Snapshots(), r.transport)
	if err == nil {
		r.joiner.raft = r.raft
		return nil
	}
	r.cancel(ErrClosed)
	if closer, ok := r.transport.(raft.WithClose); ok {
		err = errors.Join(err, closer.Close())
	}
	return errors.Join(err, r.closePort())
}

func (r *Replica) closePort() error {
	if r.port == nil {
		return nil
	}
	return r.port.close()
}

func (r *Replica) makeTransport(lines raftLines) {
	addr := r.cfg.addr()
	if r.cfg.Listener == nil {
		_, t := raft.NewInmemTransport(raft.ServerAddress(addr))
		t.Connect(t.LocalAddr(), t) // to be able to tell ourselves to stand
		r.transport = t
		return
	}
	r.port = newPort(r.cfg.ID, r.cfg.Listener, r.cfg.Dial, r.log)
	r.port.births, r.port.meet = r.births, r.acquaint
	r.port.serve[forCalls] = r.serveCalls
	r.port.serve[forBatches] = r.serveBatches
	s := newStreams(r.port, addr, r.idOf)
	serveRaft := r.port.serve[forRaft]
	r.port.serve[forRaft] = func(ctx context.Context, c net.Conn, from uint64) {
		// A leader of whose adding we have not heard yet must get through, once we miss the one we know. A stranger, of another
		// ensemble by mistake, must not: our raft would believe its terms.
		if !r.isMember(from) && r.view.Load().leader != 0 {
			c.Close()
			return
		}
		serveRaft(ctx, c, from)
	}
	n := network{raft.NewNetworkTransport(s, 4, raftTimeout, lines), make(chan raft.RPC), r.early, r.stored}
	sieve := &sieve{log: r.ahead, applied: r.fsm.index.Load, in: n.NetworkTransport.Consumer(), out: n.sieved, cancel: r.cancel}
	r.loops.Go(func() { sieve.run(r.closing) })
	r.transport = n
}

// join reads from raft who belongs to the ensemble, and prepares what each of the others needs. A store of a single
// server is refused to a member and the other way round: it would go on as what it was, beside the ensemble meant.
func (r *Replica) join() error {
	formed := r.configuration()
	alone := len(formed) == 1 && formed[0].Address == localAddr
	switch {
	case len(formed) > 0 && !alone && r.port == nil:
		return fmt.Errorf("formed by a member of an ensemble of %d, and started without peers", len(formed))
	case alone && r.port != nil:
		return fmt.Errorf("formed by a server of its own, and started as a member of an ensemble of %d", len(r.cfg.Peers))
	}
	r.compare(formed)
	m := r.compose(formed, nil)
	for id := range m.others {
		if err := r.births.load(id); err != nil {
			return err
		}
	}
	r.members.Store(m)
	v := new(view)
	v.ctx, v.cancel = context.WithCancel(r.closing)
	r.view.Store(v)
	return nil
}

// compare warns of a list of peers that is not the store's, which counts.
func (r *Replica) compare(formed []raft.Server) {
	if r.cfg.Join || len(formed) == 0 || len(r.cfg.Peers) == 1 && r.cfg.Peers[0].ID == r.cfg.ID && len(formed) > 1 {
		return // only told its own address, or nothing
	}
	given, kept := make(map[uint64]string), make(map[uint64]string)
	for _, p := range r.cfg.Peers {
		given[p.ID] = p.Addr
	}
	for _, s := range formed {
		kept[memberID(s.ID)], _ = unmark(s.Address)
	}
	if !maps.Equal(given, kept) {
		r.log.Warn("the list of peers differs from the members in the data folder, which count", "member", r.cfg.ID,
			"given", given, "members", kept)
	}
}

// start runs all loops. DESIGN.md lists them.
func (r *Replica) start() {
	bell := make(chan raft.Observation, 1)
	r.raft.RegisterObserver(raft.NewObserver(bell, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	}))
	ctx := r.closing
	r.loops.Go(func() { r.watch(ctx, bell) })
	r.loops.Go(func() { r.send(ctx) })
	r.loops.Go(func() { r.ahead.run(ctx) })
	r.loops.Go(func() { r.joiner.reap(ctx) })
	r.loops.Go(func() { r.confirmLoop(ctx) })
	r.loops.Go(func() { r.hurryLoop(ctx) })
	r.loops.Go(func() { r.snapLoop(ctx) })
	for _, o := range r.members.Load().others {
		r.keep(o)
	}
	r.loops.Go(func() { r.memberLoop(ctx) })
	r.loops.Go(func() { r.compareLoop(ctx) })
	if r.port != nil {
		r.port.start()
	}
	go r.supervise()
}

// peerUp and peerLost are called by the links.
func (r *Replica) peerUp(uint64) { signal(r.linkUp) }

func (r *Replica) peerLost(id uint64) {
	select {
	case r.lost <- id:
	default: // enough notices wait
	}
}
