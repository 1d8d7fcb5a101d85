package storage

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Each snapshot is a folder with two files, as raft's own store makes them. That store is not used: it does not make the
// names in the folder durable before it gives the folder its name, and a crash while it removes an older snapshot leaves
// half of one that looks like damage.
//
//	meta.json   raft's description, and the sum of state.bin
//	state.bin   the description once more, see describe, and the content
//
// The folder is named TERM-INDEX-TIME, and has .tmp behind it while it is made or removed. One snapshot is kept: the log is
// cut behind it, so an older one would be of no use.
type snapshots struct {
	disk Disk
	dir  string

	mu     sync.Mutex         // guards newest
	newest *raft.SnapshotMeta // Size is that of what was put into it; nil if there is none. It does not change.
}

const (
	metaName, stateName, tmpSuffix = "meta.json", "state.bin", ".tmp"

	// paceBytes is how much of a snapshot is written between two syncs. Synced only at its end, a large one would have the
	// disk write all of it at once, and every sync of the log wait behind it.
	paceBytes = 2 << 20
)

// snapMeta is what meta.json holds. Size and CRC (ECMA) are those of state.bin.
type snapMeta struct {
	raft.SnapshotMeta
	CRC []byte
}

func sums() hash.Hash64 { return crc64.New(crc64.MakeTable(crc64.ECMA)) }

// openSnapshots removes what a crash left half made or half removed, and checks the rest: to pass over a snapshot that cannot be
// read, and go on with an older one or none, would leave a hole in front of the log.
func openSnapshots(d Disk, dir string) (*snapshots, error) {
	s := &snapshots{disk: d, dir: filepath.Join(dir, "snapshots")}
	names, err := s.names(true)
	if err != nil {
		return nil, err
	}
	// The log is cut behind a snapshot that is seen here, so its name must stay.
	if err := d.SyncDir(s.dir); err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, tmpSuffix) {
			if err := removeTree(d, filepath.Join(s.dir, name)); err != nil {
				return nil, err
			}
			continue
		}
		m, r, err := s.Open(name)
		if err != nil {
			return nil, err
		}
		if err := r.Close(); err != nil {
			return nil, err
		}
		if s.newest == nil || m.Term > s.newest.Term || m.Term == s.newest.Term && m.Index >= s.newest.Index {
			s.newest = m
		}
	}
	return s, nil
}

// names lists the snapshots; whatever else lies there is none of ours.
func (s *snapshots) names(tmp bool) (names []string, err error) {
	all, err := s.disk.Names(s.dir)
	for _, name := range all {
		plain, isTmp := strings.CutSuffix(name, tmpSuffix)
		var term, index, ms uint64
		n, _ := fmt.Sscanf(plain, "%d-%d-%d", &term, &index, &ms)
		if n == 3 && (tmp || !isTmp) {
			names = append(names, name)
		}
	}
	return names, err
}

func (s *snapshots) damaged(id, file string, why error) error {
	return fmt.Errorf("snapshot %s: %w (%w)", filepath.Join(s.dir, id, file), ErrDamaged, why)
}

// meta reads meta.json, whose Size is then that of state.bin.
func (s *snapshots) meta(id string) (m snapMeta, err error) {
	b, err := readFile(s.disk, filepath.Join(s.dir, id, metaName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m, s.damaged(id, metaName, err)
	case err != nil:
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, s.damaged(id, metaName, err)
	}
	if m.ID != id || m.Index == 0 || m.Term == 0 || m.Version != 1 {
		return m, s.damaged(id, metaName, errDescription)
	}
	return m, nil
}

// List returns the newest snapshot, with the size of what was put into it.
func (s *snapshots) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest == nil {
		return nil, nil
	}
	m := *s.newest
	return []*raft.SnapshotMeta{&m}, nil
}

// Open checks a snapshot and reads what was put into it.
func (s *snapshots) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	m, err := s.meta(id)
	if err != nil {
		return nil, nil, err
	}
	f, size, err := openSized(s.disk, filepath.Join(s.dir, id, stateName))
	if errors.Is(err, fs.ErrNotExist) {
		err = s.damaged(id, stateName, err)
	}
	if err != nil {
		return nil, nil, err
	}
	if err := s.check(f, size, &m); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	head := int64(len(describe(&m.SnapshotMeta)))
	m.Size -= head
	content := bufio.NewReaderSize(io.NewSectionReader(f, head, m.Size), 64<<10)
	return &m.SnapshotMeta, readCloser{content, f}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// check compares state.bin with meta.json. If the sum is right, what else differs is meta.json's.
func (s *snapshots) check(f File, size int64, m *snapMeta) error {
	sum, all := sums(), io.NewSectionReader(f, 0, size)
	want := describe(&m.SnapshotMeta)
	got := make([]byte, min(int64(len(want)), size))
	_, err := io.ReadFull(all, got)
	if err == nil {
		sum.Write(got)
		_, err = io.CopyBuffer(sum, all, make([]byte, min(256<<10, 1+size)))
	}
	switch {
	case err != nil:
		return fmt.Errorf("snapshot %s: %w", filepath.Join(s.dir, m.ID, stateName), err)
	case !bytes.Equal(sum.Sum(nil), m.CRC):
		return s.damaged(m.ID, stateName, errors.New("its checksum is not that of meta.json"))
	case size != m.Size:
		return s.damaged(m.ID, metaName, fmt.Errorf("there are %d bytes and not %d", size, m.Size))
	case !bytes.Equal(got, want):
		return s.damaged(m.ID, metaName, errDescription)
	}
	return nil
}

var errDescription = errors.New("its description is not what was written")

// describe is what a snapshot begins with: magic, length, and what must stand in meta.json. Above all the members of the ensemble
// are covered by the sum that way, and a description that was damaged is found.
func describe(m *raft.SnapshotMeta) []byte {
	b := append([]byte("docentM1"), 0, 0, 0, 0)
	for _, v := range []uint64{uint64(m.Version), m.Index, m.Term, m.ConfigurationIndex} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = append(b, raft.EncodeConfiguration(m.Configuration)...)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(b)-12))
	return b
}

// Create begins a snapshot. Nothing shows of it before it is closed.
func (s *snapshots) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, cIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	if v != 1 {
		return nil, fmt.Errorf("snapshot version %d is not supported", v)
	}
	id, err := s.free(term, index)
	if err != nil {
		return nil, err
	}
	k := &sink{store: s, sum: sums(), path: filepath.Join(s.dir, id+tmpSuffix)}
	k.meta.SnapshotMeta = raft.SnapshotMeta{
		Version: v, ID: id, Index: index, Term: term, Configuration: c, ConfigurationIndex: cIndex,
	}
	if err := s.disk.Mkdir(k.path); err != nil {
		return nil, err
	}
	if k.f, err = s.disk.Create(filepath.Join(k.path, stateName)); err != nil {
		return nil, errors.Join(err, removeTree(s.disk, k.path))
	}
	if _, err = k.Write(describe(&k.meta.SnapshotMeta)); err != nil {
		return nil, errors.Join(err, k.Cancel())
	}
	return k, nil
}

// free finds a name that no other snapshot has.
func (s *snapshots) free(term, index uint64) (string, error) {
	all, err := s.disk.Names(s.dir)
	taken := make(map[string]bool)
	for _, name := range all {
		taken[strings.TrimSuffix(name, tmpSuffix)] = true
	}
	for ms := time.Now().UnixMilli(); ; ms++ {
		if id := fmt.Sprintf("%d-%d-%d", term, index, ms); !taken[id] {
			return id, err
		}
	}
}
