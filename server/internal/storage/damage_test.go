package storage_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"github.com/docent-io/docent/server/internal/storage"
	"github.com/docent-io/docent/server/internal/storage/memdisk"
	"github.com/hashicorp/raft"
)

// logDisk is a disk with a folder for a log.
func logDisk(t testing.TB) *memdisk.Disk {
	t.Helper()
	d := memdisk.New(1)
	m := d.Mount()
	if err := errors.Join(m.Mkdir("log"), m.SyncDir(".")); err != nil {
		t.Fatal(err)
	}
	return d
}

func logOn(t testing.TB, d *memdisk.Disk, size int64) *storage.SegLog {
	t.Helper()
	l, err := storage.OpenLog("log", size, d.Mount())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// batchEnd is where a batch ends that begins at off, without what it is padded with.
func batchEnd(off int, entries ...*raft.Log) int {
	off += 40
	for _, e := range entries {
		off += 32 + len(e.Data) + len(e.Extensions)
	}
	return off
}

func padded(off int) int { return (off + 7) / 8 * 8 }

// Whatever a torn tail leaves, at whichever byte it is cut, the log has exactly the entries whose batches are whole, and goes on
// from there.
func TestTornTailAtEveryByte(t *testing.T) {
	for _, size := range []int{300, 64 << 10} {
		for _, behind := range []string{"nothing", "zeros", "garbage", "older content"} {
			t.Run(fmt.Sprintf("%d, %s behind", size, behind), func(t *testing.T) { testTornTail(t, size, behind) })
		}
	}
}

func testTornTail(t *testing.T, size int, behind string) {
	d, rnd := logDisk(t), rand.New(rand.NewPCG(1, 2))
	l := logOn(t, d, 1<<20)
	var want []*raft.Log
	ends := []int{64} // of the batches, the header first
	for index := uint64(1); ends[len(ends)-1] < 64+size; {
		batch := []*raft.Log{entry(index, 1, rnd.IntN(size/8)), entry(index+1, 1, rnd.IntN(9))}
		store(t, l, batch...)
		want, index = append(want, batch...), index+2
		ends = append(ends, batchEnd(padded(ends[len(ends)-1]), batch...))
	}
	l.Crash()
	name := d.Files()[0]
	img, err := d.Content(name)
	if err != nil {
		t.Fatal(err)
	}
	earlier := logDisk(t) // an earlier use of the same file
	store(t, logOn(t, earlier, 1<<20), want...)
	old, err := earlier.Content(earlier.Files()[0])
	if err != nil {
		t.Fatal(err)
	}
	old = append(old, make([]byte, max(0, len(img)-len(old)))...)
	end, step := padded(ends[len(ends)-1]), sized(9, 1, 1)
	if size > 1<<10 {
		step = sized(3989, 197, 1)
	}
	starts := 0
	for cut := 64; cut <= end; cut += step {
		torn := bytes.Clone(img[:cut])
		switch behind {
		case "zeros":
			torn = append(torn, make([]byte, len(img)-cut)...)
		case "garbage":
			for len(torn) < end {
				torn = append(torn, byte(rnd.Uint32()))
			}
		case "older content":
			torn = append(torn, old[cut:len(img)]...)
		}
		whole := 0
		for whole+1 < len(ends) && len(torn) >= padded(ends[whole+1]) && bytes.Equal(torn[:ends[whole+1]], img[:ends[whole+1]]) {
			whole++
		}
		c := d.Clone(uint64(cut))
		if err := c.Replace(name, torn); err != nil {
			t.Fatal(err)
		}
		if err := goesOn(t, c, want[:2*whole:2*whole]); err != nil {
			t.Fatalf("cut at byte %d: %v", cut, err)
		}
		starts++
	}
	t.Logf("%d starts", starts)
}

// goesOn opens a log, compares it, appends to it, and opens it once more.
func goesOn(t *testing.T, d *memdisk.Disk, want []*raft.Log) error {
	t.Helper()
	l, err := storage.OpenLog("log", 1<<20, d.Mount())
	if err != nil {
		return err
	}
	if err := equal(contents(t, l), want); err != nil {
		return err
	}
	next := entry(uint64(len(want))+1, 3, 9)
	if err := l.StoreLog(next); err != nil {
		return err
	}
	d.PowerCut()
	if l, err = storage.OpenLog("log", 1<<20, d.Mount()); err != nil {
		return fmt.Errorf("then written: %w", err)
	}
	return equal(contents(t, l), append(want, next))
}

// furnished is a member's disk with a small log, a snapshot and values, and what is in them. Its log was closed cleanly,
// so every entry has something behind it.
func furnished(t testing.TB) (*memdisk.Disk, state) {
	m := newMember(t, 3)
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	for i := range uint64(6) {
		store(t, m.store.Log(), entry(i+1, 2, 30))
	}
	sink, err := m.store.Snapshots().Create(1, 3, 2, raft.Configuration{Servers: []raft.Server{{ID: "1", Address: "127.0.0.1:1"}}}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(sink, strings.Repeat("the state ", 20)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sink.Close(), m.store.Log().DeleteRange(1, 2)); err != nil {
		t.Fatal(err)
	}
	if !m.vote() {
		t.Fatal(m.store.Err())
	}
	s := m.read()
	if err := m.store.Close(); err != nil {
		t.Fatal(err)
	}
	return m.disk, s
}

// Of every file of a member every bit is flipped. Each time the member starts with exactly what it had, or is refused with the
// damaged file's name.
func TestBitFlips(t *testing.T) {
	disk, want := furnished(t)
	for _, file := range disk.Files() {
		img, err := disk.Content(file)
		if err != nil {
			t.Fatal(err)
		}
		end := len(bytes.TrimRight(img, "\x00")) + 16 // what lies behind are zeros, written ahead
		found, harmless := 0, 0
		step := sized(61, 5, 1)
		for bit := 0; bit < 8*min(end, len(img)); bit += step {
			bad := bytes.Clone(img)
			bad[bit/8] ^= 1 << (bit % 8)
			c := disk.Clone(uint64(bit))
			if err := c.Replace(file, bad); err != nil {
				t.Fatal(err)
			}
			m := &member{t: t, disk: c}
			if err := m.open(); err != nil {
				named := path.Base(file)
				if path.Base(path.Dir(path.Dir(file))) == "snapshots" {
					named = path.Dir(file) // a sum in meta.json that is wrong cannot be told from a state.bin that is
				}
				if !errors.Is(err, storage.ErrDamaged) || !strings.Contains(err.Error(), named) {
					t.Fatalf("%s, bit %d: %v", file, bit, err)
				}
				found++
				continue
			}
			if err := m.read().differs(want); err != nil {
				t.Fatalf("%s, bit %d passed: %v", file, bit, err)
			}
			harmless++
		}
		t.Logf("%s: %d bits, %d refused, %d harmless", file, found+harmless, found, harmless)
	}
}

// While a member runs, too, a damaged entry or snapshot is not read.
func TestDamageWhileRunning(t *testing.T) {
	disk, _ := furnished(t)
	m := &member{t: t, disk: disk}
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	for _, file := range disk.Files() {
		img, err := disk.Content(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range img {
			img[i] ^= 0x10
		}
		if err := disk.Replace(file, img); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.store.Log().GetLog(5, new(raft.Log)); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("an entry: %v", err)
	}
	list, err := m.store.Snapshots().List()
	if err != nil || len(list) != 1 {
		t.Fatalf("snapshots %v: %v", list, err)
	}
	if _, _, err := m.store.Snapshots().Open(list[0].ID); !errors.Is(err, storage.ErrDamaged) {
		t.Errorf("the snapshot: %v", err)
	}
}

// A file or folder that is missing is named, whatever else is there.
func TestMissingFiles(t *testing.T) {
	disk, want := furnished(t)
	for _, file := range append(disk.Files(), memberDir+"/log", path.Dir(snapshotOf(disk))) {
		c := disk.Clone(1)
		if err := c.Delete(file); err != nil {
			t.Fatal(err)
		}
		m := &member{t: t, disk: c}
		if err := m.open(); err == nil {
			if err := m.read().differs(want); err != nil {
				t.Errorf("without %s: %v", file, err)
			}
		} else if !errors.Is(err, storage.ErrDamaged) {
			t.Errorf("without %s: %v", file, err)
		}
	}
}

func snapshotOf(d *memdisk.Disk) string {
	for _, f := range d.Files() {
		if strings.HasSuffix(f, "state.bin") {
			return f
		}
	}
	return ""
}

// FuzzOpenLog opens any bytes as the last segment of a log: what is taken can be read, written to and opened again.
func FuzzOpenLog(f *testing.F) {
	d := logDisk(f)
	l := logOn(f, d, 1<<16)
	store(f, l, entry(1, 1, 20), entry(2, 1, 3))
	if err := errors.Join(l.DeleteRange(2, 2), l.Shut()); err != nil {
		f.Fatal(err)
	}
	name := d.Files()[0]
	img, _ := d.Content(name)
	f.Add(img[:600], 0, byte(0))
	f.Add(img[:600], 100, byte(7))
	f.Fuzz(func(t *testing.T, b []byte, at int, xor byte) {
		if at >= 0 && at < len(b) {
			b = bytes.Clone(b)
			b[at] ^= xor
		}
		c := d.Clone(1)
		if err := c.Replace(name, b); err != nil {
			t.Fatal(err)
		}
		l, err := storage.OpenLog("log", 1<<16, c.Mount())
		if err != nil {
			if !strings.Contains(err.Error(), path.Base(name)) {
				t.Errorf("%v does not name the file", err)
			}
			return
		}
		had := contents(t, l)
		last, _ := l.LastIndex()
		next := entry(last+1, 9, 1)
		store(t, l, next)
		c.PowerCut()
		if err := equal(contents(t, logOn(t, c, 1<<16)), append(had, next)); err != nil {
			t.Errorf("opened again: %v", err)
		}
	})
}

// FuzzOpenStable starts a member on any bytes as its values.
func FuzzOpenStable(f *testing.F) {
	m := &member{t: f, disk: memdisk.New(1)}
	if err := m.open(); err != nil {
		f.Fatal(err)
	}
	for i := range byte(3) {
		if err := m.store.Stable().Set([]byte("LastVoteCand"), []byte{'a' + i}); err != nil {
			f.Fatal(err)
		}
	}
	if err := m.store.Close(); err != nil {
		f.Fatal(err)
	}
	const name = memberDir + "/stable"
	img, _ := m.disk.Content(name)
	f.Add(img[:200], img[4096:4296])
	f.Add(img[:200], []byte{})
	f.Add([]byte{}, []byte("docentS1"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		c := m.disk.Clone(1)
		b := make([]byte, 8192)
		copy(b[:4096], first)
		copy(b[4096:], second)
		if err := c.Replace(name, b); err != nil {
			t.Fatal(err)
		}
		m := &member{t: t, disk: c}
		if err := m.open(); err != nil {
			if wrong := new(storage.WrongMemberError); !errors.As(err, &wrong) && !strings.Contains(err.Error(), "stable") && !strings.Contains(err.Error(), "value") {
				t.Errorf("%v does not name the file", err)
			}
			return
		}
		begun := m.store.Incarnation()
		c.PowerCut()
		if err := m.open(); err != nil {
			t.Fatalf("started again: %v", err)
		}
		if m.store.Incarnation() <= begun {
			t.Errorf("incarnation %d after %d", m.store.Incarnation(), begun)
		}
	})
}

// FuzzOpenSnapshot starts a member on any bytes as its snapshot: what is taken is what the sum was made of.
func FuzzOpenSnapshot(f *testing.F) {
	disk, _ := furnished(f)
	state := snapshotOf(disk)
	meta := path.Dir(state) + "/meta.json"
	a, _ := disk.Content(meta)
	b, _ := disk.Content(state)
	f.Add(a, b)
	f.Add(bytes.Replace(a, []byte(`"Size":`), []byte(`"Size":9`), 1), b)
	f.Add([]byte("{}"), b)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		c := disk.Clone(1)
		if err := errors.Join(c.Replace(meta, a), c.Replace(state, b)); err != nil {
			t.Fatal(err)
		}
		m := &member{t: t, disk: c}
		if err := m.open(); err != nil {
			return
		}
		if got := readSnapshot(t, m.store); !bytes.HasSuffix(b, []byte(got)) {
			t.Errorf("served %q out of %q", got, b)
		}
	})
}
