package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// lockWait is how long Open waits for the folder's lock: a process just killed may still be letting go of it.
const lockWait = 200 * time.Millisecond

// stable keeps a few values in bbolt, each with a checksum of key and value, for bbolt's pages have none.
type stable struct {
	db *bbolt.DB
}

func bucketName() []byte { return []byte("docent") }

// openStable opens the member's values, and counts this start.
func openStable(dir string, id uint64) (_ *stable, incarnation uint64, err error) {
	path := filepath.Join(dir, "stable.db")
	if err := wholeMetas(path); err != nil {
		return nil, 0, err
	}
	var db *bbolt.DB
	defer func() {
		// bbolt panics on some damage that its own checks do not see; at the latest when it commits, which identify does.
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %w (%v)", path, ErrDamaged, p)
			if db != nil {
				err = errors.Join(err, db.Close())
			}
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, 0, ErrInUse
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return nil, 0, fmt.Errorf("%s: %w (%w)", path, ErrDamaged, err)
	case err != nil:
		return nil, 0, err
	}
	s := &stable{db: db}
	if err = s.check(path); err == nil {
		incarnation, err = s.identify(dir, id)
	}
	if err != nil {
		return nil, 0, errors.Join(err, db.Close())
	}
	return s, incarnation, nil
}

// wholeMetas checks bbolt's two meta pages. bbolt itself is content with one, the older one if need be, and would by that
// go back behind a vote already given. A crash cannot damage one: it is less than a sector.
func wholeMetas(path string) error {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(b) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	const header, pageSizeAt, sumAt, metaSize = 16, 8, 56, 64
	at := 0
	for range 2 {
		if len(b) < at+header+metaSize {
			return fmt.Errorf("%s: %w (too short)", path, ErrDamaged)
		}
		meta := b[at+header:]
		sum := fnv.New64a()
		sum.Write(meta[:sumAt])
		if sum.Sum64() != binary.NativeEndian.Uint64(meta[sumAt:]) {
			return fmt.Errorf("%s, offset %d: %w", path, at, ErrDamaged)
		}
		at = int(binary.NativeEndian.Uint32(meta[pageSizeAt:]))
	}
	return nil
}

// check makes the bucket, and reads every value once.
func (s *stable) check(path string) error {
	err := s.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucketName())
		if err != nil {
			return err
		}
		return b.ForEach(func(k, v []byte) error {
			_, err := unseal(k, v)
			return err
		})
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func seal(key, val []byte) []byte {
	crc := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, val)
	return append(binary.LittleEndian.AppendUint32(nil, crc), val...)
}

func unseal(key, sealed []byte) ([]byte, error) {
	if len(sealed) < 4 {
		return nil, fmt.Errorf("value of %q: %w", key, ErrDamaged)
	}
	val := sealed[4:]
	if crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, val) != binary.LittleEndian.Uint32(sealed) {
		return nil, fmt.Errorf("value of %q: %w", key, ErrDamaged)
	}
	return append([]byte(nil), val...), nil
}

// Set keeps val under key, durably.
func (s *stable) Set(key, val []byte) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketName()).Put(key, seal(key, val)) })
}

// Get returns what is kept under key, nil if nothing is.
func (s *stable) Get(key []byte) (val []byte, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		if v := tx.Bucket(bucketName()).Get(key); v != nil {
			val, err = unseal(key, v)
		}
		return err
	})
	return val, err
}

// SetUint64 keeps val under key, durably.
func (s *stable) SetUint64(key []byte, val uint64) error {
	return s.Set(key, binary.BigEndian.AppendUint64(nil, val))
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

// startBits is how much of an incarnation counts the starts; above is the time of the first, in milliseconds since 1970.
const startBits = 20

// identify makes the folder the member's at the first start, checks that it is at later ones, and counts the start.
func (s *stable) identify(dir string, id uint64) (incarnation uint64, err error) {
	member, born, starts := []byte("member"), []byte("born"), []byte("incarnation")
	found, err := s.GetUint64(member)
	if err != nil {
		return 0, err
	}
	if found == 0 {
		if err := neverUsed(dir); err != nil {
			return 0, err
		}
		// Who lost its folder and begins anew under its number must not count from 1 again: the others would take what it
		// sends for repeats of its earlier life.
		if err := s.SetUint64(born, uint64(time.Now().UnixMilli())); err != nil {
			return 0, err
		}
		if err := s.SetUint64(member, id); err != nil {
			return 0, err
		}
	} else if found != id {
		return 0, &WrongMemberError{Dir: dir, Want: id, Found: found}
	}
	birth, err := s.GetUint64(born) // 0 in folders of before
	if err != nil {
		return 0, err
	}
	n, err := s.GetUint64(starts)
	if err != nil {
		return 0, err
	}
	return birth<<startBits + n + 1, s.SetUint64(starts, n+1)
}

// neverUsed refuses a folder that has a log or snapshots though it has no member yet: its stable.db was lost, and with it
// the votes given.
func neverUsed(dir string) error {
	for _, sub := range []string{"log", "snapshots"} {
		switch entries, err := os.ReadDir(filepath.Join(dir, sub)); {
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return err
		case len(entries) > 0:
			return fmt.Errorf("%s is there and stable.db is not: %w", entries[0].Name(), ErrDamaged)
		}
	}
	return nil
}
