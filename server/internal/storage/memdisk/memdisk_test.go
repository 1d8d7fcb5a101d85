package memdisk_test

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"syscall"
	"testing"

	"github.com/docent-io/docent/server/internal/storage"
	"github.com/docent-io/docent/server/internal/storage/memdisk"
)

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// write makes a file and syncs what it is told to.
func write(t testing.TB, m *memdisk.Mount, name string, data []byte, file, dir bool) storage.File {
	t.Helper()
	f, err := m.Create(name)
	must(t, err)
	_, err = f.WriteAt(data, 0)
	must(t, err)
	if file {
		must(t, f.Datasync())
	}
	if dir {
		must(t, m.SyncDir("/"))
	}
	return f
}

func TestPowerCutForgetsWhatWasNotSynced(t *testing.T) {
	d := memdisk.New(1)
	m := d.Mount()
	write(t, m, "/both", []byte("both"), true, true)
	write(t, m, "/content", []byte("content"), false, true)
	write(t, m, "/name", []byte("name"), true, false)
	f, err := m.Open("/both")
	must(t, err)
	_, err = f.WriteAt([]byte("BOTH"), 0)
	must(t, err, m.Rename("/both", "/renamed"))
	d.Kill() // the process ends, and nothing is lost
	if b, err := d.Content("/renamed"); string(b) != "BOTH" || err != nil {
		t.Errorf("after a kill: %q, %v", b, err)
	}
	d.PowerCut()
	if got := d.Files(); !slices.Equal(got, []string{"/both", "/content"}) {
		t.Errorf("files %v", got)
	}
	for name, want := range map[string]string{"/both": "both", "/content": ""} {
		if b, err := d.Content(name); string(b) != want || err != nil {
			t.Errorf("%s holds %q, %v", name, b, err)
		}
	}
	if _, err := m.Names("/"); !errors.Is(err, memdisk.ErrCrashed) {
		t.Errorf("the process of before: %v", err)
	}
	if d.Used() != 4 {
		t.Errorf("%d bytes used", d.Used())
	}
}

// Chance keeps all, none or any of the sectors of a write, and of two renames either without the other.
func TestCrashTears(t *testing.T) {
	torn, whole, none := false, false, false
	names := make(map[string]bool)
	for seed := range uint64(200) {
		d := memdisk.New(seed)
		m := d.Mount()
		f := write(t, m, "/f", make([]byte, 2048), true, true)
		_, err := f.WriteAt(bytes.Repeat([]byte{1}, 2000), 40)
		must(t, err, m.Rename("/f", "/g"))
		write(t, m, "/h", []byte("h"), true, false)
		d.Crash()
		all := d.Files()
		kept := ""
		for _, n := range all {
			kept += n
		}
		names[kept] = true
		b, err := d.Content(all[0])
		must(t, err)
		ones := bytes.Count(b, []byte{1})
		whole, none = whole || ones == 2000, none || ones == 0
		if ones > 0 && ones < 2000 {
			torn = true
			for i := range 4 { // a sector is all or nothing
				if s := b[max(40, 512*i):min(2040, 512*(i+1))]; bytes.Count(s, s[:1]) != len(s) {
					t.Fatalf("seed %d: sector %d is torn", seed, i)
				}
			}
		}
	}
	if !torn || !whole || !none || len(names) != 4 {
		t.Errorf("torn %v, whole %v, none %v, names %v", torn, whole, none, names)
	}
}

// What a failed sync was to make durable is forgotten: a later one that succeeds does not bring it back.
func TestFailedSyncForgets(t *testing.T) {
	lost := false
	for seed := range uint64(20) {
		d := memdisk.New(seed)
		m := d.Mount()
		f := write(t, m, "/f", []byte("old"), true, true)
		_, err := f.WriteAt([]byte("new"), 0)
		must(t, err)
		d.Hook(func(op memdisk.Op) error {
			if op.Kind == memdisk.Sync && !op.Done {
				return syscall.EIO
			}
			return nil
		})
		if err := f.Datasync(); !errors.Is(err, syscall.EIO) {
			t.Fatalf("sync: %v", err)
		}
		d.Hook(nil)
		must(t, f.Datasync())
		d.PowerCut()
		b, err := d.Content("/f")
		must(t, err)
		lost = lost || string(b) == "old"
	}
	if !lost {
		t.Error("the second sync always brought it to the disk")
	}
}

func TestLimitHookAndLocks(t *testing.T) {
	d := memdisk.New(1)
	m := d.Mount()
	d.Limit(10)
	f := write(t, m, "/f", []byte("01234567"), true, true)
	if n, err := f.WriteAt([]byte("89ab"), 8); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("beyond the end: %d, %v", n, err)
	}
	if _, err := f.WriteAt([]byte("xx"), 0); err != nil {
		t.Errorf("within a full disk: %v", err)
	}
	must(t, m.Remove("/f"))
	if d.Used() != 0 {
		t.Errorf("%d bytes used by nothing", d.Used())
	}
	var ops []string
	d.Hook(func(op memdisk.Op) error {
		if op.Done {
			ops = append(ops, op.Kind.String()+" "+op.Path)
		}
		return nil
	})
	must(t, m.Mkdir("/a/b"))
	_, err := m.Open("/a/b/c")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if !slices.Equal(ops, []string{"mkdir /a/b"}) {
		t.Errorf("the hook saw %q", ops)
	}
	l, err := m.Lock("/lock")
	must(t, err)
	if _, err := m.Lock("/lock"); !errors.Is(err, storage.ErrInUse) {
		t.Errorf("locked twice: %v", err)
	}
	must(t, l.Close())
	_, err = m.Lock("/lock")
	must(t, err)
	d.Crash()
	next, err := d.Mount().Lock("/lock") // the dead hold none
	must(t, err)
	must(t, l.Close()) // and take none away
	if _, err := d.Mount().Lock("/lock"); !errors.Is(err, storage.ErrInUse) {
		t.Errorf("locked twice: %v", err)
	}
	must(t, next.Close())
}
