package servertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server"
)

// patience is how long a server is waited for before the test fails.
const patience = 30 * time.Second

// Option changes what New, NewCluster and MustStart start.
type Option func(*options)

type options struct {
	config []func(*server.Config)
	disk   bool
	pipes  bool
	faulty *uint64 // seed of the disks in memory
	lying  bool
	spares int // of a cluster
}

// OnDisk keeps the data in a temporary folder. Otherwise it is kept in memory, where a Restart finds it, too.
func OnDisk() Option { return func(o *options) { o.disk = true } }

// NoSockets connects clients and servers by buffers in this process instead of sockets, so that all of it, clusters
// included, runs in a bubble of testing/synctest: on virtual time. Only clients made by Dial, or with DialContext in
// their configuration, reach such a server. With the race detector, this sets GOMAXPROCS to 1; see race_on.go.
func NoSockets() Option { return func(o *options) { o.pipes = true } }

// FaultyDisk keeps the data on a disk in memory, where Kill loses what was not synced: of that, what chance decides, which
// the seed feeds. Server.FailSync makes it fail.
func FaultyDisk(seed uint64) Option { return func(o *options) { o.faulty = &seed } }

// LyingDisk makes the disks of FaultyDisk say that they have synced files when they have not: for tests of tests, which
// must notice what is lost then.
func LyingDisk() Option { return func(o *options) { o.lying = true } }

// WithConfig lets f change the configuration before each start of a server.
func WithConfig(f func(*server.Config)) Option {
	return func(o *options) { o.config = append(o.config, f) }
}

// WithLogger makes the servers log to l.
func WithLogger(l *slog.Logger) Option {
	return WithConfig(func(c *server.Config) { c.Logger = l })
}

// Server is a server of this process. Its methods fail the test if what they are asked for cannot be done.
type Server struct {
	fail   func(format string, args ...any)
	opts   options
	id     uint64
	addr   string // for clients; kept over a Restart
	data   string
	memory server.Memory // without OnDisk
	faulty *faultyDisk   // with FaultyDisk
	wire   *tap
	disk   atomic.Int64 // what a write to the log takes longer, in nanoseconds
	apply  gate         // shut by HoldApplies
	net    network
	member func(*server.Config) error // adds what a member of a cluster needs

	mu      sync.Mutex // guards the fields below
	srv     *server.Server
	ended   chan struct{}    // closed when srv is to end
	clients []*client.Client // of MustDial
	down    bool
	join    bool // it was begun anew, to be added
	forgot  bool // it was begun anew, and was not to
	cleanup []func()
}

// New starts a server of its own and waits until it serves. It is closed when the test ends.
func New(t testing.TB, o ...Option) *Server {
	t.Helper()
	s := newServer(o, fatalf(t))
	if s.opts.disk {
		s.data = t.TempDir()
	}
	t.Cleanup(s.Close)
	s.start()
	s.ready()
	return s
}

// MustStart starts a server for an Example, which has no testing.TB: what fails panics. Close it in the end.
func MustStart(o ...Option) *Server {
	s := newServer(o, func(format string, args ...any) { panic(fmt.Sprintf("servertest: "+format, args...)) })
	if s.opts.disk {
		dir, err := os.MkdirTemp("", "servertest-")
		if err != nil {
			s.fail("%v", err)
		}
		s.data = dir
		s.cleanup = append(s.cleanup, func() { os.RemoveAll(dir) })
	}
	s.start()
	s.ready()
	return s
}

func fatalf(t testing.TB) func(string, ...any) {
	return func(format string, args ...any) {
		t.Helper()
		t.Fatalf("servertest: "+format, args...)
	}
}

func newServer(o []Option, fail func(string, ...any)) *Server {
	s := &Server{fail: fail, id: 1, addr: "127.0.0.1:0", net: sockets{}}
	s.wire = newTap(s)
	for _, f := range o {
		f(&s.opts)
	}
	if s.opts.faulty != nil {
		s.faulty, s.data = newFaultyDisk(*s.opts.faulty), "/data"
		s.faulty.lies = s.opts.lying
	}
	if s.opts.pipes {
		oneProcessor()
		s.net = newPipes()
	}
	return s
}

// start starts the server on its address, new or as before.
func (s *Server) start() {
	ln, err := s.net.listen(s.addr)
	if err != nil {
		s.fail("%v", err)
	}
	ended := make(chan struct{})
	cfg := server.Config{ID: s.id, Data: s.data, Listener: s.wire.listen(ln), FourLetterWords: []string{"*"}, Lab: s.lab(ended)}
	if s.member != nil {
		if err := s.member(&cfg); err != nil {
			s.fail("%v", errors.Join(err, ln.Close()))
		}
	}
	for _, f := range s.opts.config {
		f(&cfg)
	}
	srv, err := server.Start(cfg)
	if err != nil {
		s.fail("start server %d: %v", s.id, err)
	}
	s.mu.Lock()
	s.srv, s.addr, s.down, s.ended = srv, ln.Addr().String(), false, ended
	s.mu.Unlock()
}

// lab is how a server that runs until ended is slowed down.
func (s *Server) lab(ended <-chan struct{}) server.Lab {
	return server.Lab{
		Memory: &s.memory,
		Disk:   s.faulty.mount(),
		BeforeStore: func() {
			if d := time.Duration(s.disk.Load()); d > 0 {
				pause(d, ended)
			}
		},
		BeforeApply: func() { s.apply.pass(ended) },
	}
}

func (s *Server) ready() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Server().Ready(ctx); err != nil {
		s.fail("server %d is not ready: %v", s.id, err)
	}
}

// Server returns the server itself.
func (s *Server) Server() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.srv
}

// Running tells whether the server has been started and neither killed nor stopped since.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.down && s.srv != nil
}

// Addr returns the address for clients, host:port. It stays the same over a Restart.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// ID returns the server's number in its cluster, from 1.
func (s *Server) ID() uint64 { return s.id }

// DSN returns the server's address in the form that client.ParseDSN reads.
func (s *Server) DSN() string { return "zk://" + s.Addr() }

// Dial connects a client, which is closed when the test ends. Options change its configuration first.
func (s *Server) Dial(t testing.TB, o ...func(*client.Config)) *client.Client {
	t.Helper()
	return dial(t, s.net, []string{s.Addr()}, o)
}

// DialContext connects to a server, for clients that Dial does not make: it is their client.Config.DialContext.
func (s *Server) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return s.net.dial(ctx, addr)
}

func dial(t testing.TB, n network, addrs []string, o []func(*client.Config)) *client.Client {
	t.Helper()
	c, err := dialConfig(n, addrs, o)
	if err != nil {
		t.Fatalf("servertest: %v", err)
	}
	t.Cleanup(func() { c.Close() }) // the server may be gone by then: no news
	return c
}

func dialConfig(n network, addrs []string, o []func(*client.Config)) (*client.Client, error) {
	cfg := client.Config{Servers: addrs, DialContext: n.clientDialer()}
	for _, f := range o {
		f(&cfg)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return client.Dial(ctx, cfg)
}

// MustDial connects a client for an Example. Close closes it, too.
func (s *Server) MustDial(o ...func(*client.Config)) *client.Client {
	c, err := dialConfig(s.net, []string{s.Addr()}, o)
	if err != nil {
		s.fail("%v", err)
	}
	s.mu.Lock()
	s.clients = append(s.clients, c)
	s.mu.Unlock()
	return c
}

// Expire ends the present session of c, as if it had been silent for its whole timeout, and returns when its
// ephemerals are gone. The client learns of it a little later: wait for the session's context.
func (s *Server) Expire(c *client.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	sess, err := c.Session(ctx)
	if err == nil {
		err = s.Server().ExpireSession(ctx, sess.ID())
	}
	if err != nil {
		s.fail("expire: %v", err)
	}
}

// Kill ends the server as SIGKILL would end its process: connections break, no lead is handed over, and what was not
// synced is lost.
func (s *Server) Kill() { s.end(s.kill) }

// Stop stops the server as SIGTERM would.
func (s *Server) Stop() { s.end((*server.Server).Close) }

func (s *Server) end(how func(*server.Server) error) {
	s.mu.Lock()
	down := s.down
	s.down = true
	srv := s.srv
	if srv != nil && !down {
		close(s.ended)
	}
	s.mu.Unlock()
	if down || srv == nil {
		return
	}
	if err := how(srv); err != nil && !s.excuses(err) {
		s.fail("stop server %d: %v", s.id, err)
	}
}

// Restart starts the server again, on its old address and with what it had stored, after killing it if it still runs.
// It waits until the server serves; in a cluster without a majority that would be for ever, so there it does not.
func (s *Server) Restart() {
	s.Kill()
	s.start()
	if s.member == nil {
		s.ready()
	}
}

// Close stops the server and the clients of MustDial. New's and NewCluster's servers need no Close.
func (s *Server) Close() {
	s.mu.Lock()
	clients := s.clients
	s.clients = nil
	s.mu.Unlock()
	for _, c := range clients {
		c.Close()
	}
	s.Thaw()
	s.apply.open()
	s.Stop()
	for _, f := range s.cleanup {
		f()
	}
	s.cleanup = nil
}
