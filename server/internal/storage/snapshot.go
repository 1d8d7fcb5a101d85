package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/hashicorp/raft"
)

// openSnapshots opens raft's own snapshot files under dir, after a look at them that raft does not take: it would pass
// over a snapshot that it cannot read and go on with an older one, or none, though the log was cut behind the newest.
func openSnapshots(dir string, log io.Writer) (raft.SnapshotStore, error) {
	path := filepath.Join(dir, "snapshots")
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	whole := make(map[string]bool)
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasSuffix(name, ".tmp"):
			// left by a crash in the middle of writing
			if err := os.RemoveAll(filepath.Join(path, name)); err != nil {
				return nil, err
			}
		case e.IsDir():
			whole[name] = true
		}
	}
	// One is kept: the log is cut behind it, so an older one would be of no use.
	files, err := raft.NewFileSnapshotStore(dir, 1, log)
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", dir, err)
	}
	store := &sealed{files, path}
	for name := range whole {
		if err := checkSnapshot(store, name); err != nil {
			return nil, fmt.Errorf("snapshot %s: %w (%w)", filepath.Join(path, name), ErrDamaged, err)
		}
	}
	return store, nil
}

// checkSnapshot opens a snapshot, by which its checksum and description are checked.
func checkSnapshot(store raft.SnapshotStore, name string) error {
	meta, r, err := store.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	if meta.ID != name || meta.Index == 0 || meta.Term == 0 || meta.Version != 1 {
		return errors.New("its description is not one of ours")
	}
	return nil
}

// memSnapshots keeps the newest snapshot in memory. Unlike raft's own it shows a snapshot only when it is complete.
type memSnapshots struct {
	mu     sync.Mutex // guards latest and its place only; a finished snapshot does not change
	latest *memSnapshot
}

type memSnapshot struct {
	store *memSnapshots
	meta  raft.SnapshotMeta
	buf   bytes.Buffer
	done  bool
}

func (m *memSnapshots) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, cIndex uint64,
	_ raft.Transport) (raft.SnapshotSink, error) {
	return &memSnapshot{store: m, meta: raft.SnapshotMeta{
		Version: v, ID: fmt.Sprintf("%d-%d", term, index), Index: index, Term: term,
		Configuration: c, ConfigurationIndex: cIndex,
	}}, nil
}

func (m *memSnapshots) get() *memSnapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.latest
}

func (m *memSnapshots) List() ([]*raft.SnapshotMeta, error) {
	s := m.get()
	if s == nil {
		return nil, nil
	}
	meta := s.meta
	return []*raft.SnapshotMeta{&meta}, nil
}

func (m *memSnapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	s := m.get()
	if s == nil || s.meta.ID != id {
		return nil, nil, fmt.Errorf("there is no snapshot %s", id)
	}
	meta := s.meta
	return &meta, io.NopCloser(bytes.NewReader(s.buf.Bytes())), nil
}

func (s *memSnapshot) Write(p []byte) (int, error) { return s.buf.Write(p) }
func (s *memSnapshot) ID() string                  { return s.meta.ID }

func (s *memSnapshot) Cancel() error {
	s.done = true
	return nil
}

func (s *memSnapshot) Close() error {
	if s.done {
		return nil
	}
	s.done = true
	s.meta.Size = int64(s.buf.Len())
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.latest = s
	return nil
}
