package storage_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docent-io/docent/server/internal/storage"
	"github.com/hashicorp/raft"
)

func open(t testing.TB, dir string, id uint64) *storage.Store {
	t.Helper()
	s, err := storage.Open(dir, id, storage.Options{SegmentBytes: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStableValuesAndIncarnation(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet", "there")
	last := uint64(0)
	for start := uint64(1); start <= 3; start++ {
		s := open(t, dir, 5)
		if got := s.Incarnation(); start > 1 && got != last+1 {
			t.Errorf("incarnation = %d, want %d", got, last+1)
		}
		last = s.Incarnation()
		if got, err := s.Stable().GetUint64([]byte("term")); err != nil || got != start-1 {
			t.Errorf("term = %d, %v, want %d", got, err, start-1)
		}
		if v, err := s.Stable().Get([]byte("nothing")); err != nil || v != nil {
			t.Errorf("a key never set: %q, %v", v, err)
		}
		if err := s.Stable().SetUint64([]byte("term"), start); err != nil {
			t.Fatal(err)
		}
		end := s.Close
		if start == 2 {
			end = s.Kill
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
}

// The starts of a folder that was lost do not put its successor behind.
func TestIncarnationOfAnEmptyFolder(t *testing.T) {
	old := filepath.Join(t.TempDir(), "old")
	last := uint64(0)
	for range 5 {
		s := open(t, old, 5)
		last = s.Incarnation()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, filepath.Join(t.TempDir(), "new"), 5)
	defer s.Close()
	if got := s.Incarnation(); got <= last {
		t.Errorf("incarnation %d with an empty folder, %d before", got, last)
	}
}

func TestMemoryStoreIncarnationGrows(t *testing.T) {
	if a, b := storage.Memory(1), storage.Memory(1); b.Incarnation() <= a.Incarnation() {
		t.Errorf("incarnations %d, then %d", a.Incarnation(), b.Incarnation())
	}
}

func TestOpenRefusals(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1)
	_, err := storage.Open(dir, 1, storage.Options{})
	if !errors.Is(err, storage.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a folder in use: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var wrong *storage.WrongMemberError
	if _, err := storage.Open(dir, 2, storage.Options{}); !errors.As(err, &wrong) || wrong.Found != 1 || wrong.Want != 2 {
		t.Errorf("another member's folder: %v", err)
	}
	open(t, dir, 1).Close() // the refusals left nothing locked
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Open(file, 1, storage.Options{}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file for a folder: %v", err)
	}
	if _, err := storage.Open(dir, 0, storage.Options{}); err == nil {
		t.Error("member 0 was accepted")
	}
}

func snapshot(t testing.TB, s *storage.Store, index uint64, content string) {
	t.Helper()
	_, trans := raft.NewInmemTransport("x")
	sink, err := s.Snapshots().Create(1, index, 1, raft.Configuration{}, 1, trans)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(sink, content); err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
}

func readSnapshot(t testing.TB, s *storage.Store) string {
	t.Helper()
	list, err := s.Snapshots().List()
	if err != nil || len(list) != 1 {
		t.Fatalf("snapshots: %v, %v", list, err)
	}
	_, r, err := s.Snapshots().Open(list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSnapshots(t *testing.T) {
	dir := t.TempDir()
	for name, s := range map[string]*storage.Store{"disk": open(t, dir, 1), "memory": storage.Memory(1)} {
		snapshot(t, s, 10, "ten")
		snapshot(t, s, 20, "twenty")
		if got := readSnapshot(t, s); got != "twenty" {
			t.Errorf("%s: the newest snapshot is %q", name, got)
		}
		_, trans := raft.NewInmemTransport("x")
		sink, err := s.Snapshots().Create(1, 30, 1, raft.Configuration{}, 1, trans)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(sink, "half")
		if got := readSnapshot(t, s); got != "twenty" {
			t.Errorf("%s: while another is written, the newest snapshot is %q", name, got)
		}
		if err := sink.Cancel(); err != nil {
			t.Error(err)
		}
		if got := readSnapshot(t, s); got != "twenty" {
			t.Errorf("%s: after another was given up, the newest snapshot is %q", name, got)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
