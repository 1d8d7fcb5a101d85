package tree_test

import (
	"bytes"
	"hash/crc32"
	"runtime"
	"testing"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

// FuzzRestoreBytes reads anything as a snapshot or a backup, block lengths and checksums included: no memory beyond what
// the bytes can hold, and what is taken is what a tree writes.
func FuzzRestoreBytes(f *testing.F) {
	w := newWorld(f)
	w.must(create("/a", 0))
	w.must(create("/a/b", wire.FlagEphemeral))
	good := bytesOf(f, w.Snapshot())
	f.Add(good)
	for i := 0; i < len(good); i += 7 {
		bad := bytes.Clone(good)
		bad[i] ^= 0xff
		f.Add(bad)
		f.Add(good[:i])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := tree.Restore(bytes.NewReader(b))
		if crc32.ChecksumIEEE(b)%16 == 0 { // to measure stops the world
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			tree.Restore(bytes.NewReader(b)) // as before
			runtime.ReadMemStats(&after)
			if n := after.TotalAlloc - before.TotalAlloc; n > uint64(1000*len(b)+4<<20) {
				t.Errorf("%d bytes allocated for %d", n, len(b))
			}
		}
		if err == nil && restored(t, got).Digest() != got.Digest() {
			t.Error("what was restored does not survive a second time")
		}
	})
}

// FuzzQuota puts anything into the nodes that hold quotas and their sums, which clients may write, and works under them:
// the tree does the same every time and can be restored.
func FuzzQuota(f *testing.F) {
	for _, s := range []string{"count=1,bytes=2=;byteHardLimit=3;countHardLimit=4", "count=-1,bytes=-1", "", "=;=,", "count=9223372036854775807,bytes=-9223372036854775808"} {
		f.Add([]byte(s), []byte(s), []byte("data"))
	}
	f.Fuzz(func(t *testing.T, limits, stats, data []byte) {
		work := func() *tree.Tree {
			w := newWorld(t)
			for _, p := range []string{"/q", "/zookeeper/quota/q"} {
				w.must(create(p, 0))
			}
			put := func(path string, data []byte) {
				m := create(path, 0)
				m.Create.Data = data
				x := tree.Txn{Session: 1, Epoch: 1, Op: wire.OpCreate, One: m}
				w.Apply(7, &x, nil)
			}
			put("/zookeeper/quota/q/zookeeper_limits", limits)
			put("/zookeeper/quota/q/zookeeper_stats", stats)
			put("/q/a", data)
			put("/q/a/b", data)
			x := tree.Txn{Session: 1, Epoch: 1, Op: wire.OpDelete, One: wire.MultiOp{Op: wire.OpDelete, Check: wire.PathVersionRequest{Path: "/q/a/b", Version: -1}}}
			w.Apply(8, &x, nil)
			return w.Tree
		}
		a, b := work(), work()
		if a.Digest() != b.Digest() || restored(t, a).Digest() != a.Digest() {
			t.Error("the trees differ")
		}
	})
}
