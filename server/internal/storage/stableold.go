package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const oldName = "stable.db"

// readOldStable reads the values of a folder of before, which are in bbolt: nil if there are none.
func readOldStable(d Disk, dir string) (values map[string][]byte, err error) {
	if _, ok := d.(osDisk); !ok {
		return nil, nil // bbolt knows no other disk
	}
	path := filepath.Join(dir, oldName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	defer func() {
		if p := recover(); p != nil { // bbolt panics on some damage that its own checks do not see
			err = fmt.Errorf("%s: %w (%v)", path, ErrDamaged, p)
		}
	}()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, ReadOnly: true})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, ErrInUse
	case err != nil:
		return nil, fmt.Errorf("%s: %w (%w)", path, ErrDamaged, err)
	}
	values = make(map[string][]byte)
	err = db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("docent"))
		if b == nil {
			return ErrDamaged
		}
		return b.ForEach(func(k, sealed []byte) error {
			if len(sealed) < 4 || binary.LittleEndian.Uint32(sealed) !=
				crc32.Update(crc32.Checksum(k, castagnoli), castagnoli, sealed[4:]) {
				return fmt.Errorf("value of %q: %w", k, ErrDamaged)
			}
			values[string(k)] = append([]byte(nil), sealed[4:]...)
			return nil
		})
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return values, nil
}
