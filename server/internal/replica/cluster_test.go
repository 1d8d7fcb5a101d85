package replica_test

import (
	"context"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/internal/replica"
	"github.com/docent-io/docent/server/internal/storage"
)

// counters is a Machine: each command is (client, number), and a client's numbers must come as 1, 2, 3…
type counters struct {
	mu       sync.Mutex
	last     map[uint64]uint64
	wrong    []string
	entries  int
	restores int
	skew     uint64 // makes it differ from the others
	version  uint8  // of its digests
	ballast  int    // bytes that its snapshots have behind the state
}

func newCounters() *counters { return &counters{last: make(map[uint64]uint64)} }

func command(client, n uint64) []byte {
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, client), n)
}

func (c *counters) Apply(now int64, batches []replica.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries++
	for _, b := range batches {
		for i, cmd := range b.Commands() {
			client, n := binary.LittleEndian.Uint64(cmd), binary.LittleEndian.Uint64(cmd[8:])
			if want := c.last[client] + 1; n != want {
				c.wrong = append(c.wrong, fmt.Sprintf("client %d: %d where %d was next", client, n, want))
			}
			c.last[client] = n
			if b.Waiters != nil && b.Waiters[i] != nil {
				close(b.Waiters[i].(chan struct{}))
			}
		}
	}
}

func (c *counters) Snapshot() (func(io.Writer) error, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	image, ballast := maps.Clone(c.last), make([]byte, c.ballast)
	return func(w io.Writer) error {
		if err := gob.NewEncoder(w).Encode(image); err != nil {
			return err
		}
		_, err := w.Write(ballast)
		return err
	}, nil
}

func (c *counters) Restore(r io.Reader) error {
	last := make(map[uint64]uint64)
	if err := gob.NewDecoder(r).Decode(&last); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = last
	c.restores++
	return nil
}

func (c *counters) Digest() replica.Digest {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := replica.Digest{Version: c.version, Sum: c.skew}
	for client, n := range c.last {
		d.Zxid += int64(n)
		d.Sum += client * n * 0x9e3779b97f4a7c15
	}
	return d
}

// load makes its snapshots so much larger.
func (c *counters) load(bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ballast = bytes
}

// differ makes the machine differ from the next entry on.
func (c *counters) differ(skew uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skew = skew
}

func (c *counters) state() map[uint64]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.last)
}

// node is one member under test; it can be stopped and started again on the same port and folder.
type node struct {
	id   uint64
	addr string
	dir  string // "": in memory
	disk storage.Disk
	join bool // it waits to be added
	r    *replica.Replica
	m    *counters
}

type cluster struct {
	t     testing.TB
	nodes []*node
	peers []replica.Peer
	tweak func(*replica.Config)

	mu  sync.Mutex // guards cut
	cut map[[2]uint64]map[net.Conn]struct{}
}

func newCluster(t testing.TB, n int, disk bool, tweak func(*replica.Config)) *cluster {
	testkit.CheckLeaks(t)
	c := &cluster{t: t, tweak: tweak, cut: make(map[[2]uint64]map[net.Conn]struct{})}
	lns := make([]net.Listener, n)
	for i := range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		lns[i] = ln
		nd := &node{id: uint64(i + 1), addr: ln.Addr().String()}
		if disk {
			nd.dir = filepath.Join(t.TempDir(), fmt.Sprint(i+1))
		}
		c.nodes = append(c.nodes, nd)
		c.peers = append(c.peers, replica.Peer{ID: nd.id, Addr: nd.addr})
	}
	t.Cleanup(func() {
		for _, nd := range c.nodes {
			if nd.r != nil {
				nd.r.Kill()
			}
		}
	})
	for i, nd := range c.nodes {
		c.start(nd, lns[i])
	}
	return c
}

func logger() *slog.Logger {
	if os.Getenv("REPLICA_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return nil
}

func (c *cluster) start(nd *node, ln net.Listener) {
	c.t.Helper()
	if ln == nil {
		testkit.Eventually(c.t, "port free again", func() bool {
			var err error
			ln, err = net.Listen("tcp", nd.addr)
			return err == nil
		})
	}
	store := storage.Memory(nd.id)
	if nd.dir != "" {
		var err error
		if store, err = storage.Open(nd.dir, nd.id, storage.Options{SegmentBytes: 1 << 20, Disk: nd.disk}); err != nil {
			c.t.Fatal(err)
		}
	}
	nd.m = newCounters()
	cfg := replica.Config{
		ID: nd.id, Peers: c.peers, Listener: ln, Store: store, Machine: nd.m, Logger: logger(), Dial: c.dialer(nd.id),
		Handler: func(from uint64, req []byte) ([]byte, error) {
			return fmt.Appendf(nil, "%d from %d: %s", nd.id, from, req), nil
		},
	}
	if nd.join {
		cfg.Join, cfg.Peers = true, []replica.Peer{{ID: nd.id, Addr: nd.addr}}
	}
	if c.tweak != nil {
		c.tweak(&cfg)
	}
	r, err := replica.Open(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	nd.r = r
}

// dialer refuses links that are cut, and breaks them when they are.
func (c *cluster) dialer(from uint64) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		var to uint64
		c.mu.Lock()
		for _, p := range c.peers {
			if p.Addr == addr {
				to = p.ID
			}
		}
		pair := [2]uint64{min(from, to), max(from, to)}
		_, isCut := c.cut[pair]
		c.mu.Unlock()
		if isCut && from != to {
			return nil, errors.New("link is cut")
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return &cuttable{Conn: conn, c: c, pair: pair}, nil
	}
}

// cuttable lets nothing through while its link is cut, and says nothing about it. What was lost breaks the connection when
// the link is whole again, as TCP would.
type cuttable struct {
	net.Conn
	c    *cluster
	pair [2]uint64
}

func (k *cuttable) Write(b []byte) (int, error) {
	k.c.mu.Lock()
	broken, isCut := k.c.cut[k.pair]
	if isCut {
		broken[k.Conn] = struct{}{}
	}
	k.c.mu.Unlock()
	if isCut {
		return len(b), nil // lost on the way
	}
	return k.Conn.Write(b)
}

func (k *cuttable) Read(b []byte) (int, error) {
	n, err := k.Conn.Read(b)
	k.c.mu.Lock()
	_, isCut := k.c.cut[k.pair]
	k.c.mu.Unlock()
	if err == nil && isCut {
		return 0, errors.New("link is cut")
	}
	return n, err
}

// isolate cuts a member off from all others, or joins it again.
func (c *cluster) isolate(nd *node, off bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.peers {
		pair := [2]uint64{min(nd.id, p.ID), max(nd.id, p.ID)}
		if !off {
			for conn := range c.cut[pair] {
				conn.Close()
			}
			delete(c.cut, pair)
		} else if p.ID != nd.id {
			c.cut[pair] = make(map[net.Conn]struct{})
		}
	}
}

// leader waits for an established leader among the members that run.
func (c *cluster) leader() *node {
	c.t.Helper()
	var found *node
	testkit.Eventually(c.t, "a leader", func() bool {
		for _, nd := range c.nodes {
			if nd.r != nil && nd.r.IsLeader() {
				found = nd
				return true
			}
		}
		return false
	})
	return found
}

func (c *cluster) other(than ...*node) *node {
	for _, nd := range c.nodes {
		taken := false
		for _, x := range than {
			taken = taken || x == nd
		}
		if !taken {
			return nd
		}
	}
	return nil
}

func (c *cluster) kill(nd *node) {
	nd.r.Kill()
	nd.r = nil
}

// same waits until all running members have the same state, and checks it.
func (c *cluster) same(want map[uint64]uint64) {
	c.t.Helper()
	for _, nd := range c.nodes {
		if nd.r == nil {
			continue
		}
		testkit.Eventually(c.t, fmt.Sprintf("member %d has everything", nd.id), func() bool {
			return maps.Equal(nd.m.state(), want)
		})
		nd.m.mu.Lock()
		for _, w := range nd.m.wrong {
			c.t.Errorf("member %d: %s", nd.id, w)
		}
		nd.m.mu.Unlock()
	}
}

// write proposes n commands of a client at a member, and waits for the last.
func write(t testing.TB, nd *node, client, from, n uint64) {
	t.Helper()
	var last chan struct{}
	for i := from; i < from+n; i++ {
		last = make(chan struct{})
		if err := nd.r.Propose(last, command(client, i)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, last)
}

func await(t testing.TB, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(20 * time.Second):
		t.Fatal("no answer within 20 s")
	}
}

func withTimeout(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}
