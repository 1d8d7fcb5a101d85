package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Open opens the data folder dir of member id (not 0), making it if there is none, and locks it for this Store.
// Errors: ErrInUse, *WrongMemberError, ErrDamaged, or what the file system says; each names the folder or file.
func Open(dir string, id uint64, o Options) (*Store, error) {
	if id == 0 {
		return nil, errors.New("member id 0 is not allowed")
	}
	if o.Disk == nil {
		o.Disk = osDisk{}
	}
	for _, sub := range []string{"", "log", "snapshots"} {
		if err := o.Disk.Mkdir(filepath.Join(dir, sub)); err != nil {
			return nil, fmt.Errorf("data folder %s: %w", dir, err)
		}
	}
	lock, err := o.Disk.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", dir, err)
	}
	s, err := openLocked(o.Disk, dir, id, o.SegmentBytes)
	if err != nil {
		err = errors.Join(err, lock.Close())
		if wrong := new(WrongMemberError); errors.As(err, &wrong) {
			return nil, wrong // which names the folder
		}
		return nil, fmt.Errorf("data folder %s: %w", dir, err)
	}
	release := s.release
	s.release = func(clean bool) error { return errors.Join(release(clean), lock.Close()) }
	return s, nil
}

func openLocked(d Disk, dir string, id uint64, segment int64) (_ *Store, err error) {
	logDir, failed := filepath.Join(dir, "log"), newFailure()
	st, incarnation, err := openStable(d, dir, id, failed)
	if err != nil {
		return nil, err
	}
	closers := []func() error{st.f.Close}
	defer func() {
		if err != nil {
			for _, c := range closers {
				err = errors.Join(err, c())
			}
		}
	}()
	// The names in the folder must be durable before what is behind them counts.
	if err := d.SyncDir(dir); err != nil {
		return nil, err
	}
	snaps, err := openSnapshots(d, dir)
	if err != nil {
		return nil, err
	}
	if err := hasLog(d, logDir, snaps); err != nil {
		return nil, err
	}
	log, err := openLog(d, logDir, segment, failed)
	if err != nil {
		return nil, err
	}
	closers = append(closers, func() error { return log.close(false) })
	if err := noHole(log, snaps); err != nil {
		return nil, err
	}
	if err := dropCovered(log, snaps); err != nil {
		return nil, err
	}
	return &Store{
		log: log, stable: st, snapshots: snaps, id: id, born: incarnation >> startBits, incarnation: incarnation,
		failed: failed.ch, failure: failed.get,
		release: func(clean bool) error { return errors.Join(log.close(clean), st.f.Close()) },
	}, nil
}

// hasLog checks that there is a log if there is a snapshot: deletions are entries in it too, so it is never without a
// segment again. It is asked before an empty log is made.
func hasLog(d Disk, logDir string, snaps *snapshots) error {
	if snaps.newest == nil {
		return nil
	}
	names, err := d.Names(logDir)
	if err != nil || slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, ".seg") }) {
		return err
	}
	return fmt.Errorf("there are snapshots and no log in %s: %w", logDir, ErrDamaged)
}

// noHole checks that the log goes on where the newest snapshot ends, so that no file was lost in between.
func noHole(log *segLog, snaps *snapshots) error {
	var end uint64
	if snaps.newest != nil {
		end = snaps.newest.Index
	}
	if first, _ := log.FirstIndex(); first > end+1 {
		return fmt.Errorf("the log begins at entry %d and the newest snapshot ends at %d: %w", first, end, ErrDamaged)
	}
	return nil
}

// dropCovered empties a log that ends before the newest snapshot does: one that was sent by the leader, and the crash came
// before raft emptied the log. Raft would not do it later, and the entries behind the snapshot would not fit the log for ever.
func dropCovered(log *segLog, snaps *snapshots) error {
	first, _ := log.FirstIndex()
	last, _ := log.LastIndex()
	if last == 0 || snaps.newest == nil || last >= snaps.newest.Index {
		return nil
	}
	return log.DeleteRange(first, last)
}
