package tree_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

func BenchmarkApply(b *testing.B) {
	// Each is decoded and applied, as it comes out of the log.
	run := func(name string, x func(i int) *tree.Txn) {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			w.must(create("/a", 0))
			w.must(create("/a/b", 0))
			var decoded tree.Txn
			var events []tree.Event
			var buf []byte
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				buf = x(i).Append(buf[:0])
				if err := decoded.Decode(buf); err != nil {
					b.Fatal(err)
				}
				var r tree.Result
				if r, events = w.Apply(int64(i), &decoded, events[:0]); r.Err != wire.OK {
					b.Fatal(r.Err)
				}
			}
		})
	}
	ids := []wire.ID{{Scheme: "ip", ID: "127.0.0.1"}}
	head := func(m wire.MultiOp) *tree.Txn { return &tree.Txn{Session: 1, Epoch: 1, IDs: ids, Op: m.Op, One: m} }
	change := head(set("/a/b", string(make([]byte, 100)), -1))
	sequential := head(create("/a/n", wire.FlagSequential))
	sequential.One.Create.Data = make([]byte, 100)
	made, gone := head(create("/a/b/x", wire.FlagEphemeral)), head(del("/a/b/x", -1))
	multi := &tree.Txn{Session: 1, Epoch: 1, IDs: ids, Op: wire.OpMulti, Multi: []wire.MultiOp{check("/a", -1), made.One, gone.One}}
	large := head(set("/a/b", string(make([]byte, 1024)), -1))
	largeNew := head(create("/a/n", wire.FlagSequential))
	largeNew.One.Create.Data = make([]byte, 1024)
	run("set", func(int) *tree.Txn { return change })
	run("set 1 KiB", func(int) *tree.Txn { return large })
	run("create 1 KiB", func(int) *tree.Txn { return largeNew })
	run("create", func(int) *tree.Txn { return sequential })
	run("create+delete", func(i int) *tree.Txn {
		if i%2 == 0 {
			return made
		}
		return gone
	})
	run("multi", func(int) *tree.Txn { return multi })
}

// million returns a tree of a million nodes of 100 bytes, a thousand below each of a thousand.
func million(b *testing.B) *world {
	w := newWorld(b)
	data := make([]byte, 100)
	for i := range 1000 {
		parent := fmt.Sprintf("/app-%04d", i)
		w.must(create(parent, 0))
		for j := range 1000 {
			m := create(fmt.Sprintf("%s/node-%04d", parent, j), 0)
			m.Create.Data = data
			w.Apply(1, &tree.Txn{Session: 1, Epoch: 1, Op: m.Op, One: m}, nil)
		}
	}
	return w
}

// BenchmarkMillion measures a tree of a million nodes: memory per node, how long a snapshot holds the lock, and how
// long writing and restoring it takes.
func BenchmarkMillion(b *testing.B) {
	if testing.Short() {
		b.Skip("takes half a gigabyte")
	}
	for b.Loop() {
		before := heap()
		w := million(b)
		n := float64(w.Counts().Nodes)
		b.ReportMetric(float64(heap()-before)/n, "B/node")

		start := time.Now()
		snap := w.Snapshot()
		b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "ms/snapshot")
		w.must(set("/app-0000", "x", -1))

		start = time.Now()
		var file bytes.Buffer
		file.Grow(300 << 20)
		if _, err := snap.WriteTo(&file); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/write")
		b.ReportMetric(float64(file.Len())/n, "file-B/node")

		start = time.Now()
		restored, err := tree.Restore(&file)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/restore")

		if snap.Digest() != restored.Digest() {
			b.Error("the digests differ")
		}
		runtime.KeepAlive(w)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkSnapshot_Write(b *testing.B) {
	w := furnished(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Snapshot().WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
