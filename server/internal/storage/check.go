package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
)

// Report is what a data folder holds.
type Report struct {
	Member, Incarnation, Term uint64
	Segments, Snapshots       int
	First, Last               uint64            // entries in the log, 0 if there are none
	Stable                    map[string][]byte // everything in the stable store
}

// Check reads everything in a data folder that no process uses, and changes nothing. Each snapshot's content is given to
// snapshot, each entry to entry: their errors count as damage. What is wrong is told in one joined error, which names
// file and offset; ErrInUse if the folder is in use.
func Check(dir string, snapshot func(io.Reader) error, entry func(*raft.Log) error) (Report, error) {
	var r Report
	unlock, err := lockToLook(dir)
	if err != nil {
		return r, fmt.Errorf("data folder %s: %w", dir, err)
	}
	err = r.checkStable(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrInUse) {
		return r, errors.Join(fmt.Errorf("data folder %s: %w", dir, err), unlock())
	}
	end, snapErr := r.checkSnapshots(dir, snapshot)
	logErr := r.checkLog(filepath.Join(dir, "log"), end, entry)
	return r, errors.Join(err, snapErr, logErr, unlock())
}

// lockToLook takes the folder's lock, if a store was ever there to make it.
func lockToLook(dir string) (unlock func() error, err error) {
	path := filepath.Join(dir, "lock")
	if _, err := os.Stat(path); err != nil {
		return func() error { return nil }, nil
	}
	lock, err := osDisk{}.Lock(path)
	if err != nil {
		return nil, err
	}
	return lock.Close, nil
}

// checkStable reads the member's values. That one of their copies is not whole is nothing to report: a crash may be why, and
// the next start writes it again.
func (r *Report) checkStable(dir string) error {
	s, err := readStable(lookDisk{}, filepath.Join(dir, stableName))
	if errors.Is(err, fs.ErrNotExist) {
		values, oldErr := readOldStable(osDisk{}, dir)
		if values == nil {
			return errors.Join(err, oldErr)
		}
		return r.values(&stable{values: values})
	}
	if err != nil {
		return err
	}
	return errors.Join(r.values(s), s.f.Close())
}

func (r *Report) values(s *stable) error {
	r.Stable = s.values
	var errs [3]error
	r.Member, errs[0] = s.GetUint64([]byte("member"))
	r.Incarnation, errs[1] = s.GetUint64([]byte("incarnation"))
	r.Term, errs[2] = s.GetUint64([]byte("CurrentTerm"))
	return errors.Join(errs[:]...)
}

// checkSnapshots returns the last entry that is in a whole snapshot.
func (r *Report) checkSnapshots(dir string, content func(io.Reader) error) (end uint64, err error) {
	s := &snapshots{disk: lookDisk{}, dir: filepath.Join(dir, "snapshots")}
	names, err := s.names(false) // what was begun and not finished goes at the next start
	for _, name := range names {
		index, e := s.checkContent(name, content)
		if err = errors.Join(err, e); e == nil {
			r.Snapshots++
			end = max(end, index)
		}
	}
	return end, err
}

// checkContent opens a snapshot, by which its sum is checked, and lets content say whether it makes sense.
func (s *snapshots) checkContent(id string, content func(io.Reader) error) (index uint64, err error) {
	m, r, err := s.Open(id)
	if err != nil {
		return 0, err
	}
	if err = content(r); err == nil {
		var n int64
		if n, err = io.Copy(io.Discard, r); err == nil && n > 0 {
			err = fmt.Errorf("%d bytes behind its end", n)
		}
	}
	if err != nil { // says where
		err = s.damaged(id, stateName, err)
	}
	return m.Index, errors.Join(err, r.Close())
}

// checkLog replays the log as openLog does. end is the last entry in a snapshot.
func (r *Report) checkLog(dir string, end uint64, entry func(*raft.Log) error) (err error) {
	l := &segLog{dir: dir, disk: lookDisk{}, tail: make(chan struct{}, 1)}
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
