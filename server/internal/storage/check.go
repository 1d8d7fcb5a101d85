package storage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// Report is what a data folder holds.
type Report struct {
	Member, Incarnation, Term uint64
	Segments, Snapshots       int
	First, Last               uint64 // entries in the log, 0 if there are none
}

// Check reads everything in a data folder that no process uses, and changes nothing. Each snapshot's content is given to
// snapshot, each entry to entry: their errors count as damage. What is wrong is told in one joined error, which names
// file and offset; ErrInUse if the folder is in use.
func Check(dir string, snapshot func(io.Reader) error, entry func(*raft.Log) error) (Report, error) {
	var r Report
	unlock, err := r.checkStable(filepath.Join(dir, "stable.db"))
	if err != nil {
		if errors.Is(err, ErrInUse) || errors.Is(err, os.ErrNotExist) {
			return r, fmt.Errorf("data folder %s: %w", dir, err)
		}
		unlock = func() error { return nil } // look at the rest all the same
	}
	end, snapErr := r.checkSnapshots(filepath.Join(dir, "snapshots"), snapshot)
	logErr := r.checkLog(filepath.Join(dir, "log"), end, entry)
	return r, errors.Join(err, snapErr, logErr, unlock())
}

// checkStable checks the stable store and keeps it locked until unlock is called.
func (r *Report) checkStable(path string) (unlock func() error, err error) {
	if _, err := os.Stat(path); err != nil { // to open it would make it
		return nil, err
	}
	if err := wholeMetas(path); err != nil {
		return nil, err
	}
	var db *bbolt.DB
	defer func() {
		if p := recover(); p != nil { // see openStable
			err = fmt.Errorf("%s: %w (%v)", path, ErrDamaged, p)
			if db != nil {
				err = errors.Join(err, db.Close())
			}
		}
	}()
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, ReadOnly: true})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, ErrInUse
	case err != nil:
		return nil, fmt.Errorf("%s: %w (%w)", path, ErrDamaged, err)
	}
	err = db.View(func(tx *bbolt.Tx) (err error) {
		for e := range tx.Check() {
			err = errors.Join(err, e)
		}
		b := tx.Bucket(bucketName())
		if b == nil || err != nil {
			return errors.Join(err, errors.New("the values are not there"))
		}
		return b.ForEach(func(k, v []byte) error {
			_, err := unseal(k, v)
			return err
		})
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w (%w)", path, ErrDamaged, err), db.Close())
	}
	s := &stable{db: db}
	var errs [3]error
	r.Member, errs[0] = s.GetUint64([]byte("member"))
	r.Incarnation, errs[1] = s.GetUint64([]byte("incarnation"))
	r.Term, errs[2] = s.GetUint64([]byte("CurrentTerm"))
	return db.Close, errors.Join(errs[:]...)
}

// checkSnapshots returns the last entry that is in a whole snapshot.
func (r *Report) checkSnapshots(dir string, content func(io.Reader) error) (end uint64, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		if !e.IsDir() || strings.HasSuffix(e.Name(), ".tmp") { // begun and not finished: removed at the next start
			continue
		}
		meta, e := checkSnapshotFiles(filepath.Join(dir, e.Name()), content)
		if err = errors.Join(err, e); e == nil {
			r.Snapshots++
			end = max(end, meta.Index)
		}
	}
	return end, err
}

// checkSnapshotFiles checks what raft's FileSnapshotStore writes: meta.json with the sum of state.bin.
func checkSnapshotFiles(dir string, content func(io.Reader) error) (raft.SnapshotMeta, error) {
	var meta struct {
		raft.SnapshotMeta
		CRC []byte
	}
	name := filepath.Join(dir, "meta.json")
	text, err := os.ReadFile(name)
	if err != nil {
		return meta.SnapshotMeta, err
	}
	if err := json.Unmarshal(text, &meta); err != nil {
		return meta.SnapshotMeta, fmt.Errorf("%s: %w (%w)", name, ErrDamaged, err)
	}
	if meta.ID != filepath.Base(dir) || meta.Index == 0 || meta.Term == 0 || meta.Version != 1 {
		return meta.SnapshotMeta, fmt.Errorf("%s: %w (not one of ours)", name, ErrDamaged)
	}
	name = filepath.Join(dir, "state.bin")
	f, err := os.Open(name)
	if err != nil {
		return meta.SnapshotMeta, err
	}
	defer f.Close()
	sum := crc64.New(crc64.MakeTable(crc64.ECMA))
	both := &counter{r: io.TeeReader(f, sum)}
	inside := cutDescription(both, &meta.SnapshotMeta)
	size := meta.Size + both.n
	if inside == nil {
		inside = content(both)
	}
	n, err := io.Copy(io.Discard, both)
	switch {
	case err != nil:
		return meta.SnapshotMeta, fmt.Errorf("%s: %w", name, err)
	case inside != nil: // says where
		return meta.SnapshotMeta, fmt.Errorf("%s: %w (%w)", name, ErrDamaged, inside)
	case n > 0:
		return meta.SnapshotMeta, fmt.Errorf("%s: %w (%d bytes behind its end)", name, ErrDamaged, n)
	case both.n != size, !bytes.Equal(sum.Sum(nil), meta.CRC):
		return meta.SnapshotMeta, fmt.Errorf("%s: %w (its size or checksum is not that of meta.json)", name, ErrDamaged)
	}
	return meta.SnapshotMeta, nil
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// checkLog replays the log as openLog does. end is the last entry in a snapshot.
func (r *Report) checkLog(dir string, end uint64, entry func(*raft.Log) error) (err error) {
	l := &segLog{dir: dir, open: openReadOnly, tail: make(chan struct{}, 1)}
	defer func() {
		for _, s := range l.segs {
			err = errors.Join(err, s.f.Close())
		}
	}()
	names, _, err := l.list()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("%s: no segment: %w", dir, ErrDamaged)
	}
	for i, name := range names {
		if err := l.load(name, i == len(names)-1); err != nil {
			return err
		}
	}
	r.Segments = len(l.segs)
	if len(l.recs) == 0 {
		return nil
	}
	r.First, r.Last = l.first, l.last()
	if r.First > end+1 {
		return fmt.Errorf("%s: begins at entry %d and the newest whole snapshot ends at %d: %w", dir, r.First, end, ErrDamaged)
	}
	for i := r.First; i <= r.Last; i++ {
		var e raft.Log
		if err := l.GetLog(i, &e); err != nil {
			return err
		}
		if err := entry(&e); err != nil {
			rec := l.recs[i-l.first]
			return fmt.Errorf("log segment %s, offset %d, entry %d: %w (%w)", rec.seg.path, rec.off, i, ErrDamaged, err)
		}
	}
	return nil
}

// readOnly is a segment's file that is only looked at: what a start would write again stays as it is.
type readOnly struct{ *os.File }

func (readOnly) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (readOnly) Datasync() error                        { return nil }

func openReadOnly(path string, _ bool) (File, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return readOnly{f}, st.Size(), nil
}
