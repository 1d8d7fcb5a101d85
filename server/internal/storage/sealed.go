package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
)

// sealed puts in front of a snapshot's content what raft's store notes beside it without a checksum, above all the
// members of the ensemble: so the checksum of the content covers it, and a description that was damaged is found.
type sealed struct {
	raft.SnapshotStore
	dir string // of the snapshots
}

var errDescription = errors.New("its description is not what was written")

// description is what a snapshot begins with: magic, length, and what must stand in meta.json.
func description(m *raft.SnapshotMeta) []byte {
	b := append([]byte("docentM1"), 0, 0, 0, 0)
	for _, v := range []uint64{uint64(m.Version), m.Index, m.Term, m.ConfigurationIndex} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = append(b, raft.EncodeConfiguration(m.Configuration)...)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-12))
	return b
}

// Create begins a snapshot.
func (s *sealed) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, cIndex uint64, t raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.SnapshotStore.Create(v, index, term, c, cIndex, t)
	if err != nil {
		return nil, err
	}
	_, err = sink.Write(description(&raft.SnapshotMeta{Version: v, Index: index, Term: term, Configuration: c, ConfigurationIndex: cIndex}))
	if err != nil {
		return nil, errors.Join(err, sink.Cancel())
	}
	return pace(sink, filepath.Join(s.dir, sink.ID()+".tmp", "state.bin"))
}

// List returns the snapshots, newest first, each with the size of what was put into it.
func (s *sealed) List() ([]*raft.SnapshotMeta, error) {
	list, err := s.SnapshotStore.List()
	for _, m := range list {
		m.Size -= int64(len(description(m)))
	}
	return list, err
}

// Open checks a snapshot and reads what was put into it.
func (s *sealed) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	m, r, err := s.SnapshotStore.Open(id)
	if err != nil {
		return nil, nil, err
	}
	st, err := os.Stat(filepath.Join(s.dir, id, "state.bin"))
	if err == nil && st.Size() != m.Size {
		err = fmt.Errorf("it has %d bytes and not %d", st.Size(), m.Size)
	}
	if err == nil {
		err = cutDescription(r, m)
	}
	if err != nil {
		return nil, nil, errors.Join(err, r.Close())
	}
	return m, r, nil
}

// cutDescription takes the description off a snapshot and compares it with m, whose size becomes that of the rest.
func cutDescription(r io.Reader, m *raft.SnapshotMeta) error {
	want := description(m)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errDescription
	}
	m.Size -= int64(len(want))
	return nil
}
