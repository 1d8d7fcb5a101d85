package storage_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/docent-io/docent/server/internal/storage"
	"github.com/docent-io/docent/server/internal/storage/memdisk"
	"github.com/hashicorp/raft"
)

func entry(index, term uint64, size int) *raft.Log {
	data := bytes.Repeat([]byte{byte(index), byte(term), 'x'}, size/3+1)[:size]
	return &raft.Log{Index: index, Term: term, Type: raft.LogCommand, Data: data, AppendedAt: time.Unix(1700000000, int64(index))}
}

func openLog(t testing.TB, dir string, size int64) *storage.SegLog {
	t.Helper()
	l, err := storage.OpenLog(dir, size, nil)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func store(t testing.TB, l raft.LogStore, entries ...*raft.Log) {
	t.Helper()
	if err := l.StoreLogs(entries); err != nil {
		t.Fatal(err)
	}
}

// contents reads the whole log.
func contents(t testing.TB, l raft.LogStore) []*raft.Log {
	t.Helper()
	first, err1 := l.FirstIndex()
	last, err2 := l.LastIndex()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	var out []*raft.Log
	for i := first; i != 0 && i <= last; i++ {
		e := new(raft.Log)
		if err := l.GetLog(i, e); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		out = append(out, e)
	}
	return out
}

func equal(a, b []*raft.Log) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d entries, want %d", len(a), len(b))
	}
	for i := range a {
		x, y := a[i], b[i]
		if x.Index != y.Index || x.Term != y.Term || x.Type != y.Type || !bytes.Equal(x.Data, y.Data) ||
			!bytes.Equal(x.Extensions, y.Extensions) || !x.AppendedAt.Equal(y.AppendedAt) {
			return fmt.Errorf("entry %d is %v, want %v", i, x, y)
		}
	}
	return nil
}

// copyDir is what a crash at this moment would leave, if all that was written is on the disk.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return to
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestLogKeepsWhatItWasGiven(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, 1<<13)
	var want []*raft.Log
	for i := uint64(1); i <= 300; i += 3 {
		batch := []*raft.Log{entry(i, 1, 0), entry(i+1, 1, int(i)), {Index: i + 2, Term: 2, Type: raft.LogConfiguration, Extensions: []byte("ext")}}
		store(t, l, batch...)
		want = append(want, batch...)
	}
	if err := equal(contents(t, l), want); err != nil {
		t.Error(err)
	}
	if used, _ := l.Segments(); used < 2 {
		t.Errorf("%d segments, want several", used)
	}
	for _, end := range []func() error{l.Crash, nil} {
		if end == nil {
			end = l.Shut
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		l = openLog(t, dir, 1<<13)
		if err := equal(contents(t, l), want); err != nil {
			t.Errorf("opened again: %v", err)
		}
	}
	if err := l.StoreLog(entry(400, 2, 1)); err == nil {
		t.Error("a gap was accepted")
	}
	if err := l.GetLog(301, new(raft.Log)); err != raft.ErrLogNotFound {
		t.Errorf("an entry that is not there: %v, want %v", err, raft.ErrLogNotFound)
	}
	l.Crash()
}

func TestBatchLargerThanASegment(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, 1<<16)
	want := []*raft.Log{entry(1, 1, 10), entry(2, 1, 300<<10), entry(3, 1, 10)}
	for _, e := range want {
		store(t, l, e)
	}
	l.Crash()
	l = openLog(t, dir, 1<<16)
	defer l.Crash()
	if err := equal(contents(t, l), want); err != nil {
		t.Error(err)
	}
}

// The way raft-wal v0.4.0 lost members: a truncated tail, a crash, and the next start.
func TestTruncateCrashReopen(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, 4<<10)
	for i := uint64(1); i <= 100; i++ {
		store(t, l, entry(i, 1, 200))
	}
	if err := l.DeleteRange(41, 100); err != nil {
		t.Fatal(err)
	}
	crashed := copyDir(t, dir)
	store(t, l, entry(41, 2, 50))
	for _, d := range []struct {
		dir  string
		last uint64
	}{{crashed, 40}, {copyDir(t, dir), 41}} {
		l := openLog(t, d.dir, 4<<10)
		if last, _ := l.LastIndex(); last != d.last {
			t.Errorf("last = %d, want %d", last, d.last)
		}
		store(t, l, entry(d.last+1, 3, 1))
		if first, _ := l.FirstIndex(); first != 1 {
			t.Errorf("first = %d, want 1", first)
		}
		l.Crash()
	}
	l.Crash()
}

// Random operations, with crashes in between, against a plain slice.
func TestLogAgainstModel(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		disk := logDisk(t)
		l := logOn(t, disk, 8<<10)
		var model []*raft.Log
		next, term := uint64(1), uint64(1)
		for range 150 {
			switch op := rnd.IntN(10); {
			case op < 6:
				var batch []*raft.Log
				for range 1 + rnd.IntN(5) {
					batch = append(batch, entry(next, term, rnd.IntN(900)))
					next++
				}
				store(t, l, batch...)
				model = append(model, batch...)
			case op == 6 && len(model) > 0: // conflict
				cut := rnd.IntN(len(model))
				term++
				if err := l.DeleteRange(model[cut].Index, next-1); err != nil {
					t.Fatal(err)
				}
				next, model = model[cut].Index, model[:cut:cut]
			case op == 7 && len(model) > 0: // compaction
				cut := rnd.IntN(len(model))
				if err := l.DeleteRange(model[0].Index, model[cut].Index); err != nil {
					t.Fatal(err)
				}
				model = model[cut+1:]
			case op == 8 && rnd.IntN(4) == 0: // a snapshot installed: everything goes, and the index jumps
				if len(model) > 0 {
					if err := l.DeleteRange(model[0].Index, next-1); err != nil {
						t.Fatal(err)
					}
				}
				model, next = nil, next+uint64(rnd.IntN(50))
			case op == 9:
				if rnd.IntN(2) == 0 {
					l.Crash()
				} else {
					l.Shut()
				}
				l = logOn(t, disk, 8<<10)
			}
			if err := equal(contents(t, l), model); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			var size int64
			for _, e := range model {
				size += 32 + int64(len(e.Data))
			}
			if got := l.Size(); got != size {
				t.Fatalf("seed %d: size = %d, want %d", seed, got, size)
			}
		}
		if n := len(disk.Files()); n > 6+int(l.Size()/(4<<10)) {
			t.Errorf("seed %d: %d files for %d bytes", seed, n, l.Size())
		}
		l.Crash()
	}
}

var errDisk = errors.New("no space left on device")

func TestFailedWriteStopsTheLog(t *testing.T) {
	for nth := 1; nth < 120; nth++ {
		disk := memdisk.New(uint64(nth))
		m := disk.Mount()
		if err := errors.Join(m.Mkdir("log"), m.SyncDir(".")); err != nil {
			t.Fatal(err)
		}
		l, err := storage.OpenLog("log", 4<<10, m)
		if err != nil {
			t.Fatal(err)
		}
		store(t, l, entry(1, 1, 10))
		left, synced := nth, 0
		disk.Hook(func(op memdisk.Op) error {
			if !op.Changes() || op.Done {
				return nil
			}
			if left--; left == 0 {
				return errDisk
			}
			if left < 0 {
				synced++
			}
			return nil
		})
		acked := uint64(1)
		for i := uint64(2); i < 50; i++ {
			if err := l.StoreLog(entry(i, 1, 700)); err != nil {
				break
			}
			acked = i
		}
		if left <= 0 {
			if !errors.Is(l.Failed(), errDisk) {
				t.Fatalf("fault %d: failed = %v", nth, l.Failed())
			}
			if err := l.StoreLog(entry(acked+1, 1, 1)); !errors.Is(err, errDisk) {
				t.Errorf("fault %d: a write after the failure: %v", nth, err)
			}
			if err := l.DeleteRange(1, 1); !errors.Is(err, errDisk) {
				t.Errorf("fault %d: a deletion after the failure: %v", nth, err)
			}
		}
		l.Crash()
		if synced > 0 {
			t.Errorf("fault %d: %d changes after it", nth, synced)
		}
		disk.Hook(nil)
		disk.Crash()
		if l, err = storage.OpenLog("log", 4<<10, disk.Mount()); err != nil {
			t.Fatalf("fault %d: %v", nth, err)
		}
		if last, _ := l.LastIndex(); last < acked || last > acked+1 {
			t.Errorf("fault %d: last = %d after %d were acknowledged", nth, last, acked)
		}
		contents(t, l)
		l.Crash()
	}
}

// A log that is always cut when it has so many segments makes no new files; when it is cut sooner, it gives back what it had.
func TestSparesAreAsManyAsTheLogNeeds(t *testing.T) {
	disk := logDisk(t)
	l := logOn(t, disk, 4<<10)
	made, next := 0, uint64(1)
	disk.Hook(func(op memdisk.Op) error {
		if op.Kind == memdisk.Create && op.Done {
			made++
		}
		return nil
	})
	cycle := func(entries uint64) {
		t.Helper()
		for range entries {
			store(t, l, entry(next, 1, 300))
			next++
		}
		if err := l.DeleteRange(1, next-2); err != nil {
			t.Fatal(err)
		}
	}
	cycle(100) // ten to a segment
	cycle(100)
	made = 0
	for range 5 {
		cycle(100)
	}
	if made > 0 {
		t.Errorf("%d new files", made)
	}
	used := disk.Used()
	for range 5 {
		cycle(10)
	}
	if _, spare := l.Segments(); spare > 2 || disk.Used() > used/2 {
		t.Errorf("%d spares and %d bytes once the log is small again, of %d", spare, disk.Used(), used)
	}
	l.Crash()
	l = logOn(t, disk, 4<<10)
	if err := equal(contents(t, l), []*raft.Log{entry(next-1, 1, 300)}); err != nil {
		t.Error(err)
	}
	l.Crash()
}

func TestMissingSegment(t *testing.T) {
	dir := t.TempDir()
	l := openLog(t, dir, 4<<10)
	for i := uint64(1); i <= 60; i++ {
		store(t, l, entry(i, 1, 300))
	}
	l.Crash()
	names := segments(t, dir)
	if err := os.Remove(names[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.OpenLog(dir, 4<<10, nil); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("err = %v, want %v", err, storage.ErrDamaged)
	}
}

// Entries may be read while others are written, and the oldest deleted and their segments reused.
func TestReadsBesideWritesAndCompaction(t *testing.T) {
	l := logOn(t, logDisk(t), 16<<10)
	store(t, l, entry(1, 1, 100))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := uint64(2); i <= 3000; i++ {
			if err := l.StoreLog(entry(i, 1, 100)); err != nil {
				t.Error(err)
			}
			if i%100 == 0 {
				if err := l.DeleteRange(1, i-50); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		first, _ := l.FirstIndex()
		var e raft.Log
		switch err := l.GetLog(first, &e); {
		case err == raft.ErrLogNotFound:
		case err != nil:
			t.Fatal(err)
		case equal([]*raft.Log{&e}, []*raft.Log{entry(first, 1, 100)}) != nil:
			t.Fatalf("entry %d is wrong", first)
		}
	}
	if used, spare := l.Segments(); used+spare > 8 {
		t.Errorf("%d segments and %d spares", used, spare)
	}
	l.Crash()
}

func BenchmarkStoreLogs(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 256 << 10} {
		for name, mk := range map[string]func(b *testing.B) raft.LogStore{
			"segments": func(b *testing.B) raft.LogStore {
				l := openLog(b, b.TempDir(), 64<<20)
				b.Cleanup(func() { l.Crash() })
				return l
			},
			"memory":     func(b *testing.B) raft.LogStore { return storage.Memory(1).Log() },
			"raft-inmem": func(b *testing.B) raft.LogStore { return raft.NewInmemStore() },
		} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				l := mk(b)
				b.SetBytes(int64(size))
				i := uint64(0)
				for b.Loop() {
					i++
					if err := l.StoreLog(entry(i, 1, size)); err != nil {
						b.Fatal(err)
					}
					if i%256 == 0 {
						l.DeleteRange(1, i-128)
					}
				}
			})
		}
	}
}
