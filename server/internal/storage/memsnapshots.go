package storage

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"
)

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
