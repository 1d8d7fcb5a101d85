package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
)

// openLog opens the log in dir, making it if it is not there. What a crash left unfinished at the end is dropped; damage
// anywhere else is ErrDamaged.
func openLog(d Disk, dir string, size int64, failed *failure) (*segLog, error) {
	if size <= 0 {
		size = defaultSegment
	}
	l := &segLog{dir: dir, size: size, disk: d, failed: failed, tail: make(chan struct{}, 1)}
	if err := l.recover(); err != nil {
		for _, s := range append(l.segs, l.spares...) {
			err = errors.Join(err, s.f.Close())
		}
		return nil, err
	}
	return l, nil
}

// openSized opens a file and tells its size.
func openSized(d Disk, path string) (File, int64, error) {
	f, err := d.Open(path)
	if err != nil {
		return nil, 0, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, size, nil
}

func (l *segLog) recover() error {
	names, spares, err := l.list()
	if err != nil {
		return err
	}
	// A process that was killed may have left names that are not durable: what is written from now on counts on them.
	if err := l.disk.SyncDir(l.dir); err != nil {
		return err
	}
	for i, name := range names {
		if err := l.load(name, i == len(names)-1); err != nil {
			return err
		}
	}
	for _, path := range spares {
		f, size, err := openSized(l.disk, path)
		if err != nil {
			return err
		}
		l.spares = append(l.spares, &segment{f: f, path: path, filled: size})
	}
	if len(l.segs) == 0 {
		return l.roll()
	}
	return l.recycle()
}

// list returns the segments' file names in order, and the paths of spares.
func (l *segLog) list() (names, spares []string, err error) {
	all, err := l.disk.Names(l.dir)
	for _, name := range all {
		switch {
		case strings.HasSuffix(name, ".seg"):
			names = append(names, name)
		case strings.HasPrefix(name, "spare-"):
			spares = append(spares, filepath.Join(l.dir, name))
		}
	}
	return names, spares, err
}

// load replays one segment. They come in order; last is the one that was written when the log was left.
func (l *segLog) load(name string, last bool) error {
	s := &segment{path: filepath.Join(l.dir, name)}
	if _, err := fmt.Sscanf(name, "%020d.seg", &s.number); err != nil {
		return fmt.Errorf("log segment %s: not a name of ours", s.path)
	}
	var err error
	if s.f, s.filled, err = openSized(l.disk, s.path); err != nil {
		return err
	}
	prev := len(l.segs) - 1
	l.segs = append(l.segs, s)
	if err := s.readHeader(); err != nil {
		return err
	}
	if prev >= 0 {
		if before := l.segs[prev]; before.number+1 != s.number {
			return fmt.Errorf("log segment %s is missing: %w", segmentPath(l.dir, before.number+1), ErrDamaged)
		} else if before.chain != s.prev {
			return before.damaged(before.pos)
		}
	}
	off, err := l.replay(s)
	if err != nil || !last {
		return err
	}
	if err := s.nothingBehind(); err != nil {
		return err
	}
	if off == 0 {
		return nil
	}
	return s.rewrite(off)
}

// replay carries out the batches of a segment up to the first that is not whole, and returns where the last one lies.
func (l *segLog) replay(s *segment) (int64, error) {
	var last int64
	for {
		b, err := s.readBatch()
		if err != nil {
			return 0, err
		}
		h, recs, ok := parseBatch(b, s.pos, s.key)
		if !ok {
			return last, nil
		}
		if h.prev != s.chain {
			return 0, s.damaged(s.pos) // whole, but not what was written behind the one before
		}
		for i := range recs {
			recs[i].seg = s
		}
		switch h.kind {
		case kindEntries:
			if end := l.last(); end != 0 && h.first != end+1 {
				return 0, s.damaged(s.pos)
			}
			l.add(h.first, recs)
		case kindDelete:
			l.remove(h.first, h.last)
		case kindClose:
		default:
			return 0, fmt.Errorf("log segment %s, offset %d: written by a newer version", s.path, s.pos)
		}
		last = s.pos
		s.pos += int64(h.size)
		s.chain = h.crc
	}
}

// readBatch reads as many bytes as the header at pos claims to follow, but none behind the end of the file.
func (s *segment) readBatch() ([]byte, error) {
	var head [batchHeader]byte
	if s.pos+batchHeader > s.filled {
		return nil, nil
	}
	if _, err := s.f.ReadAt(head[:], s.pos); err != nil {
		return nil, err
	}
	size := int64(getHeader(head[:]).size)
	if getHeader(head[:]).key != s.key || size < batchHeader || s.pos+size > s.filled {
		return nil, nil
	}
	b := make([]byte, size)
	if _, err := s.f.ReadAt(b, s.pos); err != nil {
		return nil, err
	}
	return b, nil
}

// nothingBehind makes sure that no whole batch lies behind the end of the log. Only the last write can be unfinished after
// a crash; so if there is one, what lies before it was damaged.
func (s *segment) nothingBehind() error {
	const window = 1 << 20
	b := make([]byte, min(window, max(0, s.filled-s.pos))+batchHeader)
	for at := s.pos + align; at < s.filled; at += window {
		n, err := s.f.ReadAt(b, at)
		if err != nil && err != io.EOF {
			return err
		}
		for i := 0; i+batchHeader <= n && i < window; i += align {
			if binary.LittleEndian.Uint64(b[i+8:]) == s.key && s.wholeAt(at+int64(i)) {
				return s.damaged(s.pos)
			}
		}
	}
	return nil
}

func (s *segment) wholeAt(off int64) bool {
	probe := *s
	probe.pos = off
	b, err := probe.readBatch()
	if err != nil {
		return true // not readable is not proven to be absent
	}
	_, _, ok := parseBatch(b, off, s.key)
	return ok
}
