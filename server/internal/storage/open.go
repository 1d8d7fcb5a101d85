package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
)

// Open opens the data folder dir of member id (not 0), making it if there is none, and locks it for this Store.
// Errors: ErrInUse, *WrongMemberError, ErrDamaged, or what the file system says; each names the folder or file.
func Open(dir string, id uint64, o Options) (_ *Store, err error) {
	if id == 0 {
		return nil, errors.New("member id 0 is not allowed")
	}
	logDir, snapDir := filepath.Join(dir, "log"), filepath.Join(dir, "snapshots")
	for _, d := range []string{dir, logDir, snapDir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("data folder %s: %w", dir, err)
		}
	}
	st, incarnation, err := openStable(dir, id)
	var wrong *WrongMemberError
	switch {
	case errors.As(err, &wrong):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("data folder %s: %w", dir, err)
	}
	closers := []func() error{st.db.Close}
	defer func() {
		if err != nil {
			for _, c := range closers {
				err = errors.Join(err, c())
			}
		}
	}()
	if o.RaftLog == nil {
		o.RaftLog = io.Discard
	}
	snaps, err := openSnapshots(dir, o.RaftLog)
	if err != nil {
		return nil, err
	}
	if err := hasLog(logDir, snaps); err != nil {
		return nil, fmt.Errorf("data folder %s: %w", dir, err)
	}
	log, err := openLog(logDir, o.SegmentBytes, o.Wrap)
	if err != nil {
		return nil, err
	}
	closers = append(closers, func() error { return log.close(false) })
	if err := noHole(log, snaps); err != nil {
		return nil, fmt.Errorf("data folder %s: %w", dir, err)
	}
	if err := errors.Join(syncDir(dir), syncDir(filepath.Dir(dir))); err != nil {
		return nil, err
	}
	return &Store{
		log: log, stable: st, snapshots: snaps, id: id, born: incarnation >> startBits, incarnation: incarnation,
		failed: log.failed.ch, failure: log.failed.get,
		release: func(clean bool) error { return errors.Join(log.close(clean), st.db.Close()) },
	}, nil
}

// hasLog checks that there is a log if there is a snapshot: deletions are entries in it too, so it is never without a
// segment again. It is asked before an empty log is made.
func hasLog(logDir string, snaps raft.SnapshotStore) error {
	list, err := snaps.List()
	if err != nil || len(list) == 0 {
		return err
	}
	segs, err := filepath.Glob(filepath.Join(logDir, "*.seg"))
	if err == nil && len(segs) == 0 {
		err = fmt.Errorf("there are snapshots and no log: %w", ErrDamaged)
	}
	return err
}

// noHole checks that the log goes on where the newest snapshot ends, so that no file was lost in between.
func noHole(log *segLog, snaps raft.SnapshotStore) error {
	list, err := snaps.List()
	if err != nil {
		return err
	}
	var end uint64
	if len(list) > 0 {
		end = list[0].Index
	}
	if first, _ := log.FirstIndex(); first > end+1 {
		return fmt.Errorf("the log begins at entry %d and the newest snapshot ends at %d: %w", first, end, ErrDamaged)
	}
	return nil
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
