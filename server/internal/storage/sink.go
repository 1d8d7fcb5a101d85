package storage

import (
	"encoding/json"
	"errors"
	"hash"
	"path/filepath"
)

// sink is a snapshot being written. It is used by one goroutine.
type sink struct {
	store    *snapshots
	path     string // of the folder, with .tmp
	f        File
	meta     snapMeta // Size counts what was written
	sum      hash.Hash64
	buf      []byte
	unsynced int
	err      error // the first; nothing is written behind it
	done     bool
}

const sinkBuffer = 64 << 10

func (k *sink) ID() string { return k.meta.ID }

// Write gathers small writes, for a snapshot is made of many.
func (k *sink) Write(p []byte) (n int, err error) {
	for len(p) > 0 && k.err == nil {
		room := min(sinkBuffer-len(k.buf), len(p))
		k.buf = append(k.buf, p[:room]...)
		if p, n = p[room:], n+room; len(k.buf) == sinkBuffer {
			k.flush()
		}
	}
	return n, k.err
}

// flush writes what was gathered, and syncs now and then.
func (k *sink) flush() {
	if k.err != nil || len(k.buf) == 0 {
		return
	}
	if _, k.err = k.f.WriteAt(k.buf, k.meta.Size); k.err != nil {
		return
	}
	k.sum.Write(k.buf)
	k.meta.Size += int64(len(k.buf))
	k.unsynced += len(k.buf)
	if k.buf = k.buf[:0]; k.unsynced >= paceBytes {
		k.unsynced, k.err = 0, k.f.Datasync()
	}
}

// Close makes the snapshot durable and gives it its name, and removes the ones before. A second Close does nothing.
func (k *sink) Close() error {
	if k.done {
		return nil
	}
	k.done = true
	k.flush()
	if k.err == nil {
		k.err = k.f.Datasync()
	}
	if k.err = errors.Join(k.err, k.f.Close()); k.err == nil {
		k.err = k.finish()
	}
	if k.err != nil {
		return errors.Join(k.err, k.remove())
	}
	m := k.meta.SnapshotMeta
	m.Size -= int64(len(describe(&m)))
	k.store.mu.Lock()
	k.store.newest = &m
	k.store.mu.Unlock()
	return k.store.reap(m.ID)
}

// finish takes the last steps, each durable before the next: the names in the folder before the folder's own.
func (k *sink) finish() error {
	k.meta.CRC = k.sum.Sum(nil)
	b, err := json.Marshal(k.meta)
	if err != nil {
		return err
	}
	d := k.store.disk
	if err := writeFile(d, filepath.Join(k.path, metaName), b); err != nil {
		return err
	}
	if err := d.SyncDir(k.path); err != nil {
		return err
	}
	if err := d.Rename(k.path, filepath.Join(k.store.dir, k.meta.ID)); err != nil {
		return err
	}
	k.path = "" // no longer ours to remove
	return d.SyncDir(k.store.dir)
}

// Cancel gives the snapshot up.
func (k *sink) Cancel() error {
	if k.done {
		return nil
	}
	k.done = true
	return errors.Join(k.f.Close(), k.remove())
}

func (k *sink) remove() error {
	if k.path == "" {
		return nil
	}
	return removeTree(k.store.disk, k.path)
}

// reap removes all snapshots but one. Each first loses its name, durably: half removed it would look damaged.
func (s *snapshots) reap(keep string) error {
	names, err := s.names(false)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name == keep {
			continue
		}
		path := filepath.Join(s.dir, name)
		if err := s.disk.Rename(path, path+tmpSuffix); err != nil {
			return err
		}
		if err := s.disk.SyncDir(s.dir); err != nil {
			return err
		}
		if err := removeTree(s.disk, path+tmpSuffix); err != nil {
			return err
		}
	}
	return nil
}
