package replica_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/internal/replica"
	"github.com/docent-io/docent/server/internal/storage"
	"github.com/docent-io/docent/server/internal/storage/memdisk"
)

func TestLeaderKilledAndRestarted(t *testing.T) {
	c := newCluster(t, 3, true, nil)
	lead := c.leader()
	f := c.other(lead)
	write(t, f, 1, 1, 100)
	start := time.Now()
	c.kill(lead)
	write(t, f, 1, 101, 1)
	t.Logf("first write after the leader's death: %v", time.Since(start))
	write(t, f, 1, 102, 99)
	c.start(lead, nil)
	c.same(map[uint64]uint64{1: 200})
	// and all of them at once
	for _, nd := range c.nodes {
		c.kill(nd)
	}
	for _, nd := range c.nodes {
		c.start(nd, nil)
	}
	write(t, c.nodes[0], 2, 1, 10)
	c.same(map[uint64]uint64{1: 200, 2: 10})
}

func TestGracefulStopHandsTheLeadOver(t *testing.T) {
	c := newCluster(t, 3, false, nil)
	lead := c.leader()
	start := time.Now()
	if err := lead.r.Close(); err != nil {
		t.Fatal(err)
	}
	lead.r = nil
	write(t, c.other(lead), 1, 1, 1)
	t.Logf("first write after the stop began: %v", time.Since(start))
}

// Nothing is lost, repeated or reordered while leaders come and go under load.
func TestLeadersComeAndGo(t *testing.T) {
	for seed := range uint64(2) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		c := newCluster(t, 3, true, func(cfg *replica.Config) { cfg.SnapshotBytes = 64 << 10 })
		c.leader()
		stop := make(chan struct{})
		var wg sync.WaitGroup
		life := uint64(0)
		client := func(nd *node) {
			life++
			id := life
			r := nd.r
			wg.Go(func() {
				for n := uint64(1); ; n++ {
					done := make(chan struct{})
					if err := r.Propose(done, command(id, n)); err != nil {
						return // killed: a new client starts with it
					}
					if n%20 == 0 {
						select {
						case <-done:
						case <-r.Done():
							return
						case <-stop:
							return
						}
					}
				}
			})
		}
		for _, nd := range c.nodes {
			client(nd)
		}
		alive := func() *node { return c.nodes[rnd.IntN(3)] }
		for range 8 {
			switch nd := alive(); rnd.IntN(3) {
			case 0:
				if nd.r.IsLeader() {
					nd.r.TransferLeadership(withTimeout(t, 5*time.Second))
				}
			case 1:
				c.kill(nd)
				c.start(nd, nil)
				client(nd)
			case 2:
				lead := c.leader()
				c.isolate(lead, true)
				testkit.Eventually(t, "another leader", func() bool {
					for _, nd := range c.nodes {
						if nd != lead && nd.r.IsLeader() {
							return true
						}
					}
					return false
				})
				c.isolate(lead, false)
			}
			progress(t, c)
		}
		close(stop)
		wg.Wait()
		// Members that were killed may have lost the end of what they proposed: compare with what came through.
		testkit.Eventually(t, "all members equal", func() bool {
			a, b, d := c.nodes[0].m.state(), c.nodes[1].m.state(), c.nodes[2].m.state()
			return sameMaps(a, b) && sameMaps(b, d) && c.nodes[0].r.Stats().PendingBytes+c.nodes[1].r.Stats().PendingBytes+
				c.nodes[2].r.Stats().PendingBytes == 0
		})
		c.same(c.nodes[0].m.state())
		for _, nd := range c.nodes {
			c.kill(nd)
		}
	}
}

func sameMaps(a, b map[uint64]uint64) bool {
	for k, v := range a {
		if b[k] != v {
			return false
		}
	}
	return len(a) == len(b)
}

// progress waits until every member applies something new.
func progress(t *testing.T, c *cluster) {
	t.Helper()
	for _, nd := range c.nodes {
		before := nd.r.Stats().AppliedIndex
		testkit.Eventually(t, "progress", func() bool { return nd.r.Stats().AppliedIndex > before })
	}
}

func TestFollowerBehindGetsASnapshot(t *testing.T) {
	c := newCluster(t, 3, true, func(cfg *replica.Config) { cfg.SnapshotBytes = 32 << 10 })
	lead := c.leader()
	late := c.other(lead)
	write(t, late, 9, 1, 10)
	c.kill(late)
	for i := range uint64(200) {
		write(t, lead, 1, 1+40*i, 40)
	}
	// 200 entries of 700 bytes, or some more that are smaller; 64 stay at least, and what came since the last snapshot
	testkit.Eventually(t, "log cut", func() bool { return lead.r.Stats().LogBytes < 100<<10 })
	c.start(late, nil)
	c.same(map[uint64]uint64{1: 8000, 9: 10})
	if late.r.Stats().Restores == 0 {
		t.Error("no snapshot was installed")
	}
	// the table of what was applied came with it
	write(t, late, 9, 11, 10)
	c.same(map[uint64]uint64{1: 8000, 9: 20})
}

// A large state is not written as often as a small one: only after as much log as it takes itself, after a restart too.
func TestSnapshotsAreAsFarApartAsTheyAreLarge(t *testing.T) {
	const state = 256 << 10
	c := newCluster(t, 1, true, func(cfg *replica.Config) { cfg.SnapshotBytes = 16 << 10 })
	nd, next := c.leader(), uint64(1)
	grow := func(bytes int) { // commands have 16 bytes each, and some more around them in an entry
		for range bytes / (40 * 16) {
			write(t, nd, 1, next, 40)
			next += 40
		}
	}
	nd.m.load(state)
	grow(20 << 10)
	testkit.Eventually(t, "first snapshot", func() bool { return nd.r.Stats().Snapshots == 1 })
	grow(state / 2)
	if n := nd.r.Stats().Snapshots; n != 1 {
		t.Fatalf("%d snapshots of %d bytes after half as much log", n, state)
	}
	c.kill(nd)
	c.start(nd, nil)
	nd = c.leader()
	nd.m.load(state)
	grow(state / 4)
	if n := nd.r.Stats().Snapshots; n != 0 {
		t.Fatalf("%d snapshots of %d bytes after three quarters as much log and a restart", n, state)
	}
	grow(state / 4)
	testkit.Eventually(t, "second snapshot", func() bool { return nd.r.Stats().Snapshots == 1 })
	c.same(map[uint64]uint64{1: next - 1})
}

// A member that missed its own batches because they came inside a snapshot neither repeats them nor answers for them.
func TestOwnBatchesInsideASnapshot(t *testing.T) {
	c := newCluster(t, 3, false, func(cfg *replica.Config) { cfg.SnapshotBytes = 16 << 10 })
	lead := c.leader()
	off := c.other(lead)
	write(t, off, 5, 1, 5)
	// Only what the cut-off member says gets through: it hears nothing of what becomes of it.
	c.isolate(off, true)
	lost := make(chan struct{})
	if err := off.r.Propose(lost, command(5, 6)); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(150) {
		write(t, lead, 1, 1+20*i, 20)
	}
	testkit.Eventually(t, "log cut", func() bool { return lead.r.Stats().LogBytes < 50<<10 })
	c.isolate(off, false)
	await(t, lost) // it was not in the snapshot, so it was sent again
	write(t, off, 5, 7, 3)
	c.same(map[uint64]uint64{1: 3000, 5: 9})
	if off.m.restores == 0 {
		t.Error("no snapshot was installed")
	}
}

func TestCallIsAnsweredByTheLeader(t *testing.T) {
	c := newCluster(t, 3, false, nil)
	lead := c.leader()
	for _, nd := range c.nodes {
		testkit.Eventually(t, "the leader is known", func() bool { id, _ := nd.r.Leader(); return id == lead.id })
		got, err := nd.r.Call(withTimeout(t, 5*time.Second), []byte("hello"))
		want := []byte{byte('0' + lead.id)}
		if err != nil || len(got) < 1 || got[0] != want[0] {
			t.Errorf("call through %d: %q, %v", nd.id, got, err)
		}
	}
}

// A leader that is cut off answers nobody, though it believes to lead.
func TestCutOffLeaderConfirmsNothing(t *testing.T) {
	c := newCluster(t, 3, false, func(cfg *replica.Config) { cfg.ElectionTimeout = 500 * time.Millisecond })
	lead := c.leader()
	if _, err := lead.r.Call(withTimeout(t, 5*time.Second), nil); err != nil {
		t.Fatalf("before the cut: %v", err)
	}
	c.isolate(lead, true)
	calls := 0
	for lead.r.IsLeader() {
		calls++
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		if _, err := lead.r.Call(ctx, nil); err == nil {
			t.Error("a leader without a majority answered")
		}
		if err := lead.r.Sync(ctx); err == nil {
			t.Error("a leader without a majority confirmed a sync")
		}
		cancel()
	}
	if calls == 0 {
		t.Error("it never believed to lead after the cut")
	}
	if _, err := lead.r.Call(withTimeout(t, 5*time.Second), nil); !errors.Is(err, replica.ErrNoLeader) {
		t.Errorf("no longer leader: %v, want %v", err, replica.ErrNoLeader)
	}
	c.isolate(lead, false)
	testkit.Eventually(t, "healed", func() bool {
		_, err := lead.r.Call(withTimeout(t, time.Second), nil)
		return err == nil
	})
}

// What one member has applied, any other has after a sync.
func TestSyncSeesWhatWasAnsweredElsewhere(t *testing.T) {
	c := newCluster(t, 3, false, nil)
	c.leader()
	for i := uint64(1); i <= 200; i++ {
		w, reader := c.nodes[i%3], c.nodes[(i+1)%3]
		write(t, w, 1, i, 1)
		testkit.Eventually(t, "sync", func() bool { return reader.r.Sync(withTimeout(t, time.Second)) == nil })
		if got := reader.m.state()[1]; got < i {
			t.Fatalf("member %d has %d after a sync, %d were answered", reader.id, got, i)
		}
	}
}

// Whatever a stranger sends to the peer port, the ensemble goes on.
func TestHostileBytesAtThePeerPort(t *testing.T) {
	c := newCluster(t, 3, false, nil)
	for i, nd := range c.nodes { // the first election is over, also where two stood
		write(t, nd, uint64(100+i), 1, 1)
	}
	lead := c.leader()
	hello := func(use byte, from, to uint64) []byte {
		b := append([]byte("docent"), 1, use)
		b = append(b, command(from, to)...)
		return b
	}
	other := c.other(lead)
	rnd := rand.New(rand.NewPCG(3, 3))
	junk := make([]byte, 4096)
	for i := range junk {
		junk[i] = byte(rnd.Uint32())
	}
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	for _, b := range [][]byte{
		nil, junk, []byte("GET / HTTP/1.1\r\n\r\n"), {0}, {1, 2, 3},
		hello('c', 99, lead.id), hello('c', other.id, 99), hello('?', other.id, lead.id),
		append(hello('c', other.id, lead.id), junk...), append(hello('c', other.id, lead.id), huge...),
		append(hello('b', other.id, lead.id), junk...), append(hello('b', other.id, lead.id), huge...),
		append(hello('b', other.id, lead.id), 40, 0, 0, 0, 1, 2, 3),
		append(hello('r', other.id, lead.id), junk...), append(hello('r', other.id, lead.id), huge...),
	} {
		conn, err := net.Dial("tcp", lead.addr)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write(b)
		conn.(*net.TCPConn).CloseWrite()
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		buf := make([]byte, 1024)
		for err = nil; err == nil; {
			_, err = conn.Read(buf)
		}
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Errorf("%q…: not closed", b[:min(len(b), 16)])
		}
		conn.Close()
	}
	for i, nd := range c.nodes {
		write(t, nd, uint64(i), 1, 10)
	}
	if l := c.leader(); l != lead {
		t.Error("the leader changed")
	}
}

func TestConfigIsChecked(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	good := replica.Config{ID: 1, Store: storage.Memory(1), Machine: newCounters(), Listener: ln}
	two := []replica.Peer{{ID: 1, Addr: "127.0.0.1:1"}, {ID: 2, Addr: "127.0.0.1:2"}}
	for name, spoil := range map[string]func(c *replica.Config){
		"no id":          func(c *replica.Config) { c.ID = 0 },
		"no store":       func(c *replica.Config) { c.Store = nil },
		"no machine":     func(c *replica.Config) { c.Machine = nil },
		"another's":      func(c *replica.Config) { c.ID, c.Peers = 2, two },
		"no listener":    func(c *replica.Config) { c.Peers, c.Listener = two, nil },
		"not in list":    func(c *replica.Config) { c.Peers = two[1:] },
		"the same twice": func(c *replica.Config) { c.Peers = []replica.Peer{two[0], two[0]} },
		"address twice":  func(c *replica.Config) { c.Peers = []replica.Peer{two[0], {ID: 2, Addr: two[0].Addr}} },
		"no address":     func(c *replica.Config) { c.Peers = []replica.Peer{two[0], {ID: 2}} },
	} {
		cfg := good
		spoil(&cfg)
		if r, err := replica.Open(cfg); err == nil {
			t.Errorf("%s: accepted", name)
			r.Kill()
		}
	}
}

// A machine that cannot take a snapshot in stops its replica, and says why.
func TestFailedRestoreStopsTheReplica(t *testing.T) {
	testkit.CheckLeaks(t)
	dir := t.TempDir()
	start := func(m replica.Machine) (*replica.Replica, error) {
		store, err := storage.Open(dir, 1, storage.Options{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := replica.Open(replica.Config{ID: 1, Store: store, Machine: m})
		if err != nil {
			store.Kill()
		}
		return r, err
	}
	m := newCounters()
	r, err := start(m)
	if err != nil {
		t.Fatal(err)
	}
	nd := &node{id: 1, r: r, m: m}
	write(t, nd, 1, 1, 10)
	if err := r.Snapshot(); err != nil {
		t.Fatal(err)
	}
	write(t, nd, 1, 11, 10)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Propose(nil, nil); !errors.Is(err, replica.ErrClosed) {
		t.Errorf("propose after close: %v", err)
	}
	if _, err := start(broken{newCounters()}); err == nil {
		t.Error("opened with a machine that cannot restore")
	}
	m = newCounters()
	if r, err = start(m); err != nil {
		t.Fatal(err)
	}
	nd = &node{id: 1, r: r, m: m}
	write(t, nd, 1, 21, 1)
	if got := m.state()[1]; got != 21 || len(m.wrong) > 0 {
		t.Errorf("after the restart the counter is %d, want 21; %v", got, m.wrong)
	}
	r.Kill()
}

type broken struct{ *counters }

func (broken) Restore(io.Reader) error { return errors.New("no") }

// A disk that fails takes its member out of the ensemble, with a reason; the others go on, and nothing is lost.
func TestFailedDiskStopsItsMemberOnly(t *testing.T) {
	for _, role := range []string{"leader", "follower"} {
		t.Run(role, func(t *testing.T) {
			c := newCluster(t, 3, true, nil)
			var disks [4]*memdisk.Disk
			for _, nd := range c.nodes {
				c.kill(nd)
				disks[nd.id] = memdisk.New(nd.id)
				nd.disk = disks[nd.id].Mount()
			}
			for _, nd := range c.nodes {
				c.start(nd, nil)
			}
			bad := c.leader()
			good := c.other(bad)
			if role == "follower" {
				bad, good = good, bad
			}
			write(t, good, 1, 1, 100)
			disks[bad.id].Hook(full)
			write(t, good, 1, 101, 100)
			await(t, bad.r.Done())
			if err := bad.r.Err(); !errors.Is(err, errFull) {
				t.Errorf("err = %v, want %v", err, errFull)
			}
			disks[bad.id].Hook(nil)
			c.start(bad, nil)
			write(t, bad, 2, 1, 10)
			c.same(map[uint64]uint64{1: 200, 2: 10})
		})
	}
}

var errFull = errors.New("no space left on device")

// full is the hook of a disk that takes no more.
func full(op memdisk.Op) error {
	if op.Kind == memdisk.Write && !op.Done {
		return errFull
	}
	return nil
}
