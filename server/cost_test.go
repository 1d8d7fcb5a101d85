package server_test

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/internal/storage/memdisk"
)

// What a request costs, in things that do not depend on how fast the machine is: allocations, bytes allocated, writes and
// syncs of the log. The bounds are what was measured and some room; a change that passes one has made every request dearer.

// logCounter counts what is done to the files of a log.
type logCounter struct{ writes, syncs, bytes atomic.Int64 }

func (c *logCounter) count(op memdisk.Op) error {
	if !strings.HasSuffix(op.Path, ".seg") || !op.Done {
		return nil
	}
	switch op.Kind {
	case memdisk.Write:
		c.writes.Add(1)
		c.bytes.Add(int64(op.Len))
	case memdisk.Sync:
		c.syncs.Add(1)
	}
	return nil
}

func (c *logCounter) reset() {
	c.writes.Store(0)
	c.syncs.Store(0)
	c.bytes.Store(0)
}

// withCounter starts a server of its own whose disk counts.
func withCounter(t *testing.T, change ...func(*server.Config)) (*server.Server, *logCounter) {
	disk, n := memdisk.New(1), new(logCounter)
	disk.Hook(n.count)
	srv := start(t, append(change, func(cfg *server.Config) {
		cfg.Data, cfg.Lab.Disk, cfg.SnapshotBytes = "/data", disk.Mount(), 1<<40
	})...)
	return srv, n
}

// costLoad makes a node of 1 KiB and what sends op to it.
func costLoad(t *testing.T, srv *server.Server, path string, op wire.Op) *load {
	t.Helper()
	l, err := newLoad(srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.nc.Close() })
	data := make([]byte, 1024)
	create := wire.CreateRequest{Path: path, Data: data, ACL: openACL}
	if err := l.run(1, 1, wire.OpCreate, create.Append(nil, wire.OpCreate)); err != nil {
		t.Fatal(err)
	}
	if l.body = watchBody(path, false); op == wire.OpSetData {
		l.body = (&wire.SetDataRequest{Path: path, Data: data, Version: -1}).Append(nil)
	}
	return l
}

// A write alone is one write and one sync of the log, and what goes with it is little.
func TestCosts_LoneWrites(t *testing.T) {
	srv, n := withCounter(t)
	l := costLoad(t, srv, "/alone", wire.OpSetData)
	const writes = 500
	n.reset()
	if err := l.run(writes, 1, wire.OpSetData, l.body); err != nil {
		t.Fatal(err)
	}
	if syncs := n.syncs.Load(); syncs < writes || syncs > writes+writes/50 {
		t.Errorf("%d writes took %d syncs", writes, syncs)
	}
	if w := n.writes.Load(); w < writes || w > writes+writes/10 { // some fill the file ahead
		t.Errorf("%d writes took %d writes of the log", writes, w)
	}
	t.Logf("a lone write: %.2f syncs, %.2f writes and %d bytes of the log", float64(n.syncs.Load())/writes, float64(n.writes.Load())/writes, n.bytes.Load()/writes)
}

// Writes that come while the log is being synced share the next sync.
func TestCosts_WritesShareASync(t *testing.T) {
	const conns, flight, writes = 4, 100, 2000 // by each
	srv, n := withCounter(t, func(cfg *server.Config) {
		cfg.Lab.BeforeStore = func() { time.Sleep(2 * time.Millisecond) } // as long as a disk takes
	})
	var loads []*load
	for i := range conns {
		loads = append(loads, costLoad(t, srv, "/shared"+string(rune('a'+i)), wire.OpSetData))
	}
	n.reset()
	var wg sync.WaitGroup
	for _, l := range loads {
		wg.Go(func() {
			if err := l.run(writes, flight, wire.OpSetData, l.body); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	each := float64(conns*writes) / float64(n.syncs.Load())
	t.Logf("%.0f writes share a sync", each)
	if each < 40 { // of 400 under way
		t.Errorf("%.1f writes share a sync, want at least 40", each)
	}
}

// What requests allocate, with the load's own: a frame for each reply.
func TestCosts_Allocations(t *testing.T) {
	testkit.Unraced(t, "it allocates by itself")
	for _, c := range []struct {
		name          string
		op            wire.Op
		flight        int
		allocs, bytes float64
	}{
		{"reads, pipelined", wire.OpGetData, 100, 6.5, 1900},
		{"reads, alone", wire.OpGetData, 1, 7.5, 2000},
		{"writes, pipelined", wire.OpSetData, 100, 9, 6500},
		{"writes, alone", wire.OpSetData, 1, 60, 12000},
	} {
		dir := t.TempDir()
		srv := start(t, func(cfg *server.Config) { cfg.Data = dir })
		l := costLoad(t, srv, "/counted", c.op)
		const n = 5000
		if err := l.run(n/5, c.flight, c.op, l.body); err != nil { // buffers grow
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := l.run(n, c.flight, c.op, l.body); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		allocs, bytes := float64(after.Mallocs-before.Mallocs)/n, float64(after.TotalAlloc-before.TotalAlloc)/n
		t.Logf("%s: %.1f allocations and %.0f bytes each", c.name, allocs, bytes)
		if allocs > c.allocs || bytes > c.bytes {
			t.Errorf("%s: %.1f allocations and %.0f bytes each, want at most %v and %v", c.name, allocs, bytes, c.allocs, c.bytes)
		}
	}
}
