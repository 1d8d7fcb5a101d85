package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/internal/tree"
)

// million is a backup of a million nodes of 100 bytes each.
func million(b *testing.B) []byte {
	b.Helper()
	t := tree.New()
	apply := func(x *tree.Txn) {
		if r, _ := t.Apply(1, x, nil); r.Err != wire.OK {
			b.Fatal(r.Err)
		}
	}
	apply(&tree.Txn{Op: wire.OpCreateSession, Session: 1, Timeout: 1000, Password: make([]byte, 16)})
	x := &tree.Txn{Op: wire.OpCreate, Session: 1, Epoch: 1}
	x.One.Create.ACL, x.One.Create.Data = tree.OpenACL(), make([]byte, 100)
	for i := range 1000 {
		x.One.Create.Path = fmt.Sprintf("/d%03d", i)
		apply(x)
		for k := range 999 {
			x.One.Create.Path = fmt.Sprintf("/d%03d/n%03d", i, k)
			apply(x)
		}
	}
	apply(&tree.Txn{Op: wire.OpCloseSession, Session: 1, Epoch: 1})
	var backup bytes.Buffer
	if _, err := t.Snapshot().WriteTo(&backup); err != nil {
		b.Fatal(err)
	}
	return backup.Bytes()
}

// BenchmarkMillionNodes fills a server with a million nodes of 100 bytes, has it take a snapshot while 16 goroutines
// write, and starts it again from there. It reports the slowest request beside the snapshot, and the time to start.
func BenchmarkMillionNodes(b *testing.B) {
	backup := million(b)
	for b.Loop() {
		dir := b.TempDir()
		cfg := server.Config{Listen: "127.0.0.1:0", AdminListen: "0", Data: dir, SnapshotBytes: 32 << 20}
		srv := startFor(b, cfg)
		if code, _, text := command(b, srv, "POST", "restore", "", backup); code != 200 {
			b.Fatalf("restore: %d %s", code, text)
		}
		before, beside, took := writeBesideSnapshot(b, srv)
		b.ReportMetric(float64(before.Microseconds())/1000, "slowest-before-ms")
		b.ReportMetric(float64(beside.Microseconds())/1000, "slowest-ms")
		b.ReportMetric(took.Seconds(), "snapshot-s")
		if err := srv.Close(); err != nil {
			b.Fatal(err)
		}
		begin := time.Now()
		srv = startFor(b, cfg)
		b.ReportMetric(time.Since(begin).Seconds(), "start-s")
		if err := srv.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func startFor(t testing.TB, cfg server.Config) *server.Server {
	t.Helper()
	srv, err := server.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Ready(wait(t)); err != nil {
		t.Fatal(err)
	}
	return srv
}

// writeBesideSnapshot writes until a snapshot has been begun and finished meanwhile. It returns the slowest write
// before it, the slowest beside it, and how long it took.
func writeBesideSnapshot(t testing.TB, srv *server.Server) (before, beside, took time.Duration) {
	t.Helper()
	c, err := client.Dial(wait(t), client.Config{Servers: []string{srv.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	quiet := metricOf(t, srv, "docent_raft_snapshots_total")
	testkit.Eventually(t, "the restore's own snapshots are over", func() bool {
		was := quiet
		quiet = metricOf(t, srv, "docent_raft_snapshots_total")
		return was == quiet
	})
	var stop atomic.Bool
	var worst [2]atomic.Int64 // before the snapshot, beside it
	var phase atomic.Int32
	var wg sync.WaitGroup
	defer func() {
		stop.Store(true)
		wg.Wait()
		before, beside = time.Duration(worst[0].Load()), time.Duration(worst[1].Load())
	}()
	for w := range 16 {
		wg.Go(func() {
			data := make([]byte, 1000)
			for i := 0; !stop.Load(); i++ {
				begin := time.Now()
				if _, err := c.Set(t.Context(), fmt.Sprintf("/d%03d/n%03d", (i*16+w)%1000, i%999), data, -1); err != nil {
					t.Error(err)
					return
				}
				w := &worst[phase.Load()] // a write that the snapshot's begin stalled counts as beside it
				for d, was := int64(time.Since(begin)), w.Load(); d > was && !w.CompareAndSwap(was, d); was = w.Load() {
				}
			}
		})
	}
	begun := srvSnapshot(t, srv)
	for srvSnapshot(t, srv) == begun && !t.Failed() {
	}
	phase.Store(1)
	start := time.Now()
	ended := metricOf(t, srv, "docent_raft_snapshots_total") // the one that has just begun is the next to end
	for metricOf(t, srv, "docent_raft_snapshots_total") == ended && !t.Failed() {
	}
	return 0, 0, time.Since(start)
}

// srvSnapshot tells of which snapshot the server says that it is its last.
func srvSnapshot(t testing.TB, srv *server.Server) string {
	t.Helper()
	_, text := get(t, srv, "/commands/last_snapshot")
	for line := range strings.Lines(text) {
		if strings.Contains(line, "zxid") {
			return line
		}
	}
	return ""
}

// BenchmarkWatches is one transaction that changes 100 nodes, each watched by 1000 connections: how long until all
// 100,000 events have come, and how long the slowest write of a bystander takes meanwhile.
func BenchmarkWatches(b *testing.B) {
	const conns, nodes = 1000, 100
	srv := startFor(b, server.Config{Listen: "127.0.0.1:0"})
	defer srv.Close()
	c, err := client.Dial(wait(b), client.Config{Servers: []string{srv.Addr()}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	paths := make([]string, nodes)
	for i := range paths {
		paths[i] = fmt.Sprintf("/n%02d", i)
		if _, err := c.Create(wait(b), paths[i], nil); err != nil {
			b.Fatal(err)
		}
	}
	watchers := make([]*raw, conns)
	for i := range watchers {
		watchers[i] = connect(b, srv)
	}
	for b.Loop() {
		b.StopTimer()
		for _, w := range watchers {
			for _, p := range paths {
				w.want(wire.OK, wire.OpGetData, watchBody(p, true))
			}
		}
		var stop atomic.Bool
		var worst time.Duration
		var bystander, all sync.WaitGroup
		bystander.Go(func() {
			for !stop.Load() {
				begin := time.Now()
				if _, err := c.Set(b.Context(), "/", nil, -1); err != nil {
					b.Error(err)
					return
				}
				worst = max(worst, time.Since(begin))
			}
		})
		for _, w := range watchers {
			all.Go(func() {
				in, buf := bufio.NewReader(w.nc), make([]byte, 100)
				for range nodes {
					if _, err := wire.ReadFrame(in, buf, 1<<20); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		x := c.Txn()
		for _, p := range paths {
			x.Set(p, []byte("new"), -1)
		}
		b.StartTimer()
		if _, err := x.Commit(wait(b)); err != nil {
			b.Fatal(err)
		}
		all.Wait()
		b.StopTimer()
		stop.Store(true)
		bystander.Wait()
		b.ReportMetric(float64(worst.Microseconds())/1000, "slowest-write-ms")
		b.StartTimer()
	}
}
