package storage_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docent-io/docent/server/internal/storage"
	"go.etcd.io/bbolt"
)

// A folder whose values are still in bbolt is taken over: term, vote, and the count of starts. The file of before goes out of
// the way, so that a server of before does not go back to the votes in it.
func TestFolderOfBefore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1)
	store(t, s.Log(), entry(1, 1, 5))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "stable")); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "stable.db")
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("docent"))
		for k, n := range map[string]uint64{"member": 1, "born": 77, "incarnation": 4, "CurrentTerm": 0x1234567890} {
			v := binary.BigEndian.AppendUint64(nil, n)
			sum := crc32.Checksum(append([]byte(k), v...), crc32.MakeTable(crc32.Castagnoli))
			err = errors.Join(err, b.Put([]byte(k), append(binary.LittleEndian.AppendUint32(nil, sum), v...)))
		}
		return err
	})
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	img, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Replace(img, []byte{0x12, 0x34, 0x56, 0x78, 0x90}, []byte{0x12, 0x34, 0x56, 0x78, 0x91}, -1)
	if err := os.WriteFile(path, bad, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Open(dir, 1, storage.Options{}); !errors.Is(err, storage.ErrDamaged) || !strings.Contains(err.Error(), path) {
		t.Errorf("a damaged value: %v", err)
	}
	if err := os.WriteFile(path, img, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, 1)
	if term, err := s.Stable().GetUint64([]byte("CurrentTerm")); term != 0x1234567890 || err != nil {
		t.Errorf("term %#x, %v", term, err)
	}
	if got, want := s.Incarnation(), uint64(77<<20+5); got != want {
		t.Errorf("incarnation %d, want %d", got, want)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of before is still there: %v", err)
	}
	open(t, dir, 1).Close()
}
