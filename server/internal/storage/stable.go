package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// stable keeps a few values in one file, which holds all of them twice. A change writes and syncs first one copy, then the
// other, and only then it is done. So one copy is whole at any moment, and if one is torn by a crash or has gone bad since,
// the other has everything that was ever acknowledged. A copy is
//
//	0 magic · 8 crc of the rest · 12 length of the values · 16 version · 24 for each value: length of its key, its own
//	length, key, value
//
// and is padded to copySize.
type stable struct {
	f      File
	failed *failure

	mu      sync.Mutex // guards the rest; held while writing, for a reader must not see what is not yet durable
	values  map[string][]byte
	version uint64
	next    int64 // the copy that is written first: the one that is older, or not whole
}

const (
	stableName  = "stable"
	stableMagic = "docentS1"
	copyHeader  = 24
	copySize    = 4096
)

// encode makes a copy: its header, and each value with its key, in the order of keys.
func encode(values map[string][]byte, version uint64) ([]byte, error) {
	le := binary.LittleEndian
	b := make([]byte, copyHeader, copySize)
	copy(b, stableMagic)
	le.PutUint64(b[16:], version)
	for _, k := range slices.Sorted(maps.Keys(values)) {
		b = le.AppendUint16(b, uint16(len(k)))
		b = le.AppendUint16(b, uint16(len(values[k])))
		b = append(append(b, k...), values[k]...)
		if len(b) > copySize {
			return nil, fmt.Errorf("values of %d bytes do not fit", len(b))
		}
	}
	le.PutUint32(b[12:], uint32(len(b)-copyHeader))
	le.PutUint32(b[8:], crc32.Checksum(b[12:], castagnoli))
	return append(b, make([]byte, copySize-len(b))...), nil
}

// decode is encode's other half. ok is false if the copy is not whole.
func decode(b []byte) (values map[string][]byte, version uint64, ok bool) {
	le := binary.LittleEndian
	if len(b) < copyHeader || !bytes.Equal(b[:8], []byte(stableMagic)) {
		return nil, 0, false
	}
	size := le.Uint32(b[12:])
	if int64(size) > int64(len(b)-copyHeader) || crc32.Checksum(b[12:copyHeader+size], castagnoli) != le.Uint32(b[8:]) {
		return nil, 0, false
	}
	values = make(map[string][]byte)
	for rest := b[copyHeader : copyHeader+size]; len(rest) > 0; {
		if len(rest) < 4 {
			return nil, 0, false
		}
		k, v := int(le.Uint16(rest)), int(le.Uint16(rest[2:]))
		if rest = rest[4:]; len(rest) < k+v {
			return nil, 0, false
		}
		values[string(rest[:k])] = bytes.Clone(rest[k : k+v])
		rest = rest[k+v:]
	}
	return values, le.Uint64(b[16:]), true
}

// readStable reads the newest whole copy in a file. fs.ErrNotExist, or ErrDamaged with the file's name.
func readStable(d Disk, path string) (*stable, error) {
	f, err := d.Open(path)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 2*copySize)
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	s := &stable{f: f}
	found := false
	for i := range 2 {
		values, version, ok := decode(b[min(n, i*copySize):min(n, (i+1)*copySize)])
		if ok && (!found || version > s.version) {
			found, s.values, s.version, s.next = true, values, version, int64(1-i)
		}
	}
	if !found {
		return nil, errors.Join(fmt.Errorf("%s: %w (neither of its copies is whole)", path, ErrDamaged), f.Close())
	}
	return s, nil
}

// openStable opens the member's values, making them if the folder is new, and counts this start.
func openStable(d Disk, dir string, id uint64, failed *failure) (*stable, uint64, error) {
	path := filepath.Join(dir, stableName)
	s, err := readStable(d, path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeStable(d, dir, id); err == nil {
			s, err = readStable(d, path)
		}
	}
	if err != nil {
		return nil, 0, err
	}
	s.failed = failed
	err = s.rewrite()
	var incarnation uint64
	if err == nil {
		incarnation, err = s.identify(dir, id)
	}
	if err != nil {
		return nil, 0, errors.Join(err, s.f.Close())
	}
	return s, incarnation, nil
}

// rewrite writes the copy that was read again, in its place, and syncs it, before the other one is touched. After a failed
// sync that ended the process it may be in the page cache only, and even seem clean there; then the other one is what the
// disk has. If it is on the disk, too, the same bytes do it no harm.
func (s *stable) rewrite() error {
	b, err := encode(s.values, s.version)
	if err != nil {
		return err
	}
	if _, err := s.f.WriteAt(b, (1-s.next)*copySize); err != nil {
		return fmt.Errorf("write stable store: %w", err)
	}
	if err := s.f.Datasync(); err != nil {
		return fmt.Errorf("write stable store: %w", err)
	}
	return nil
}

// makeStable writes the values of a member's first start, under another name until they are durable.
func makeStable(d Disk, dir string, id uint64) error {
	values, err := readOldStable(d, dir)
	if err != nil {
		return err
	}
	before := values != nil
	if !before {
		if err := neverUsed(d, dir); err != nil {
			return err
		}
		// Who lost its folder and begins anew under its number must not count from 1 again: the others would take what it
		// sends for repeats of its earlier life.
		values = map[string][]byte{"member": number(id), "born": number(uint64(time.Now().UnixMilli()))}
	}
	b, err := encode(values, 1)
	if err != nil {
		return err
	}
	if err := syncAbove(d, dir); err != nil {
		return err
	}
	path := filepath.Join(dir, stableName)
	if err := writeFile(d, path+".tmp", append(b, b...)); err != nil {
		return err
	}
	if err := d.Rename(path+".tmp", path); err != nil {
		return err
	}
	if err := d.SyncDir(dir); err != nil || !before {
		return err
	}
	return d.Rename(filepath.Join(dir, oldName), filepath.Join(dir, oldName+".old"))
}

// syncAbove makes the names of a folder and of all above it durable, some of which may have been made with it. Once the folder
// has its values, that has been done.
func syncAbove(d Disk, dir string) error {
	for p := dir; p != filepath.Dir(p); p = filepath.Dir(p) {
		switch err := d.SyncDir(filepath.Dir(p)); {
		case errors.Is(err, fs.ErrPermission):
			return nil // not a folder that we could have made one in
		case err != nil:
			return err
		}
	}
	return nil
}

// neverUsed refuses a folder that has a log or snapshots though it has no member yet: its values were lost, and with them
// the votes given.
func neverUsed(d Disk, dir string) error {
	for _, sub := range []string{"log", "snapshots"} {
		switch names, err := d.Names(filepath.Join(dir, sub)); {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		case len(names) > 0:
			return fmt.Errorf("%s is there and %s is not: %w", names[0], filepath.Join(dir, stableName), ErrDamaged)
		}
	}
	return nil
}

// startBits is how much of an incarnation counts the starts; above is the time of the first, in milliseconds since 1970.
const startBits = 20

// identify checks that the folder is the member's, and counts the start.
func (s *stable) identify(dir string, id uint64) (incarnation uint64, err error) {
	found, err1 := s.GetUint64([]byte("member"))
	birth, err2 := s.GetUint64([]byte("born")) // 0 in folders of before
	n, err3 := s.GetUint64([]byte("incarnation"))
	if err := errors.Join(err1, err2, err3); err != nil {
		return 0, err
	}
	if found != id {
		return 0, &WrongMemberError{Dir: dir, Want: id, Found: found}
	}
	return birth<<startBits + n + 1, s.SetUint64([]byte("incarnation"), n+1)
}

// Set keeps val under key, durably.
func (s *stable) Set(key, val []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.failed.get(); err != nil {
		return fmt.Errorf("stable store has failed: %w", err)
	}
	values := maps.Clone(s.values)
	values[string(key)] = bytes.Clone(val)
	b, err := encode(values, s.version+1)
	if err != nil {
		return err
	}
	for range 2 {
		if _, err = s.f.WriteAt(b, s.next*copySize); err == nil {
			err = s.f.Datasync()
		}
		if err != nil {
			return s.failed.set(fmt.Errorf("write stable store: %w", err))
		}
		s.next = 1 - s.next
	}
	s.values, s.version = values, s.version+1
	return nil
}

// Get returns what is kept under key, nil if nothing is.
func (s *stable) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.values[string(key)]), nil
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// SetUint64 keeps val under key, durably. Raft panics if it cannot save the term that it has heard of; so that one error is
// not told. The store has failed then, and takes no vote and no entry any more: nothing comes of that term here.
func (s *stable) SetUint64(key []byte, val uint64) error {
	err := s.Set(key, number(val))
	if string(key) == "CurrentTerm" && s.failed.get() != nil {
		return nil
	}
	return err
}

// GetUint64 returns what is kept under key, 0 if nothing is.
func (s *stable) GetUint64(key []byte) (uint64, error) {
	v, err := s.Get(key)
	if err != nil || len(v) == 0 {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fmt.Errorf("value of %q is not a number: %w", key, ErrDamaged)
	}
	return binary.BigEndian.Uint64(v), nil
}
