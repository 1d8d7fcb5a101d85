package storage_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"

	"github.com/docent-io/docent/server/internal/storage"
	"github.com/docent-io/docent/server/internal/storage/memdisk"
	"github.com/hashicorp/raft"
)

// Of a large log and a large snapshot bits are flipped at random. What was acknowledged is found whole, or the damaged file is
// named; wrong data are never served.
func TestFlipsInLargeFiles(t *testing.T) {
	size, n := sized(64<<10, 1<<20, 16<<20), sized(20, 100, 10_000)
	t.Run("log", func(t *testing.T) { flipLog(t, size, n) })
	t.Run("snapshot", func(t *testing.T) { flipSnapshot(t, size, n) })
}

// flipLog flips bits of what the entries take up in a segment.
func flipLog(t *testing.T, size, n int) {
	rnd := rand.New(rand.NewPCG(7, 7))
	d := logDisk(t)
	l := logOn(t, d, 2*int64(size))
	var want []*raft.Log
	for index, used := uint64(1), 0; used < size; index++ {
		e := entry(index, 1, 1000+rnd.IntN(60_000))
		store(t, l, e)
		want, used = append(want, e), used+len(e.Data)
	}
	if err := l.Shut(); err != nil {
		t.Fatal(err)
	}
	file := d.Files()[0]
	flips(t, d, file, path.Base(file), n, size, rnd, func(c *memdisk.Disk) error {
		l, err := storage.OpenLog("log", 2*int64(size), c.Mount())
		if err != nil {
			return err
		}
		defer l.Crash()
		if err := equal(contents(t, l), want); err != nil {
			return fmt.Errorf("%w: %w", errWrongData, err)
		}
		return nil
	})
}

// flipSnapshot flips bits of the state of a snapshot.
func flipSnapshot(t *testing.T, size, n int) {
	rnd := rand.New(rand.NewPCG(8, 8))
	m := newMember(t, 8)
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	state := make([]byte, size)
	for i := range state {
		state[i] = byte(rnd.Uint32())
	}
	sink, err := m.store.Snapshots().Create(1, 1, 1, raft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sink.Write(state); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sink.Close(), m.store.Close()); err != nil {
		t.Fatal(err)
	}
	file := snapshotOf(m.disk)
	flips(t, m.disk, file, path.Dir(file), n, size, rnd, func(c *memdisk.Disk) error {
		s, err := storage.Open(memberDir, 1, storage.Options{SegmentBytes: 4 << 10, Disk: c.Mount()})
		if err != nil {
			return err
		}
		defer s.Kill()
		if got := readSnapshot(t, s); got != string(state) {
			return fmt.Errorf("%w: %d bytes of a snapshot", errWrongData, len(got))
		}
		return nil
	})
}

// flips flips one bit of a file after the other, and opens the disk each time. It counts what was refused by the file's or the
// folder's name, and what was not refused, for then it was whole. A disk that opens writes to it, and is used no more.
func flips(t *testing.T, d *memdisk.Disk, file, named string, n, within int, rnd *rand.Rand, open func(*memdisk.Disk) error) {
	t.Helper()
	img, err := d.Content(file)
	if err != nil {
		t.Fatal(err)
	}
	within = min(within, len(img))
	fresh := func() *memdisk.Disk {
		c := d.Clone(1)
		if err := c.Replace(file, img); err != nil {
			t.Fatal(err)
		}
		return c
	}
	found, harmless := 0, 0
	for c := fresh(); found+harmless < n; {
		at, bit := rnd.IntN(within), byte(1)<<rnd.IntN(8)
		if err := c.Flip(file, at, bit); err != nil {
			t.Fatal(err)
		}
		err := open(c)
		switch {
		case errors.Is(err, errWrongData):
			t.Fatalf("byte %d, bit %#x: %v", at, bit, err)
		case err == nil:
			harmless++
			c = fresh()
			continue
		case !errors.Is(err, storage.ErrDamaged) || !strings.Contains(err.Error(), named):
			t.Fatalf("byte %d, bit %#x: %v", at, bit, err)
		}
		found++
		if err := c.Flip(file, at, bit); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d flips in %d bytes of %s: %d refused by its name, %d harmless", n, within, named, found, harmless)
}

var errWrongData = errors.New("wrong data are served")
