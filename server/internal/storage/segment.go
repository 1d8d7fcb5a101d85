package storage

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
)

const (
	segmentHeader = 64
	segmentMagic  = "docentL1"
	firstFill     = 64 << 10
	maxFill       = 1 << 20 // larger steps make one sync in a few thousand take tens of milliseconds
	maxBatch      = 1 << 30
)

// segment is one file of the log. Its header is
//
//	0 magic · 8 crc of the rest · 12 crc of the batch before the segment · 16 key · 24 number
//
// Only the holder of segLog.tail uses the fields that change.
type segment struct {
	f      File
	path   string
	number uint64
	key    uint64
	prev   uint32 // chain value before the first batch
	pos    int64  // where the next batch goes
	filled int64  // the file was written up to here, with zeros or something older
	chain  uint32 // crc of the last batch, or of the header
}

func segmentPath(dir string, n uint64) string { return filepath.Join(dir, fmt.Sprintf("%020d.seg", n)) }
func sparePath(dir string, n uint64) string   { return filepath.Join(dir, fmt.Sprintf("spare-%020d", n)) }

// newPath is where a file is made that was no segment before. Under a number it could meet the spare that the segment of
// that number becomes later, if a crash has left it behind.
func newPath(dir string) string { return filepath.Join(dir, "spare-new") }

// begin writes a new header, with a new key, and syncs it. The caller then gives the file its name.
func (s *segment) begin(number uint64, prev uint32) error {
	var key [8]byte
	rand.Read(key[:]) // never fails
	s.number, s.prev, s.key = number, prev, binary.LittleEndian.Uint64(key[:])
	b := make([]byte, segmentHeader)
	copy(b, segmentMagic)
	binary.LittleEndian.PutUint32(b[12:], prev)
	binary.LittleEndian.PutUint64(b[16:], s.key)
	binary.LittleEndian.PutUint64(b[24:], number)
	s.chain = crc32.Checksum(b[12:], castagnoli)
	binary.LittleEndian.PutUint32(b[8:], s.chain)
	if _, err := s.f.WriteAt(b, 0); err != nil {
		return err
	}
	s.pos = segmentHeader
	if s.filled < segmentHeader {
		s.filled = segmentHeader
	}
	if err := s.fill(firstFill); err != nil {
		return err
	}
	return s.f.Datasync()
}

// readHeader fills in what the header says and checks it.
func (s *segment) readHeader() error {
	b := make([]byte, segmentHeader)
	if _, err := s.f.ReadAt(b, 0); err != nil && err != io.EOF {
		return err
	}
	s.prev = binary.LittleEndian.Uint32(b[12:])
	s.key = binary.LittleEndian.Uint64(b[16:])
	s.chain = crc32.Checksum(b[12:], castagnoli)
	s.pos = segmentHeader
	if !bytes.Equal(b[:8], []byte(segmentMagic)) || binary.LittleEndian.Uint32(b[8:]) != s.chain ||
		binary.LittleEndian.Uint64(b[24:]) != s.number {
		return s.damaged(0)
	}
	return nil
}

// fill writes zeros until at least end, ahead in growing steps: a sync of a file that does not grow spares the file
// system's journal, and small first steps let a fresh log open at once.
func (s *segment) fill(end int64) error {
	for s.filled < end {
		n := max(min(s.filled, maxFill), firstFill) - s.filled%firstFill
		if _, err := s.f.WriteAt(make([]byte, n), s.filled); err != nil {
			return err
		}
		s.filled += n
	}
	return nil
}

// write appends an encoded batch and syncs it.
func (s *segment) write(b []byte, chain uint32) error {
	if err := s.fill(s.pos + int64(len(b))); err != nil {
		return err
	}
	if _, err := s.f.WriteAt(b, s.pos); err != nil {
		return err
	}
	if err := s.f.Datasync(); err != nil {
		return err
	}
	s.pos += int64(len(b))
	s.chain = chain
	return nil
}

// rewrite writes the last batch again, which lies from off on. After a crash (or a failed sync that ended the process) it
// may be in the page cache only, and even seem clean there.
func (s *segment) rewrite(off int64) error {
	b := make([]byte, s.pos-off)
	if _, err := s.f.ReadAt(b, off); err != nil {
		return err
	}
	if _, err := s.f.WriteAt(b, off); err != nil {
		return err
	}
	return s.f.Datasync()
}

func (s *segment) damaged(off int64) error {
	return fmt.Errorf("log segment %s, offset %d: %w", s.path, off, ErrDamaged)
}
