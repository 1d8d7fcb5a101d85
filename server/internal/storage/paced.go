package storage

import (
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/raft"
)

// paceBytes is how much of a snapshot is written between two syncs. Synced only at its end, as raft's store does it, a
// large one would have the disk write all of it at once, and every sync of the log wait behind it.
const paceBytes = 2 << 20

// paced syncs a snapshot as it is written, through a descriptor of its own: raft's is out of reach.
type paced struct {
	raft.SnapshotSink
	file     *os.File
	unsynced int
}

// pace wraps a snapshot that is written to path.
func pace(sink raft.SnapshotSink, path string) (raft.SnapshotSink, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Join(err, sink.Cancel())
	}
	return &paced{SnapshotSink: sink, file: f}, nil
}

func (p *paced) Write(b []byte) (int, error) {
	n, err := p.SnapshotSink.Write(b)
	if p.unsynced += n; err != nil || p.unsynced < paceBytes {
		return n, err
	}
	p.unsynced = 0
	if err := p.file.Sync(); err != nil {
		return n, fmt.Errorf("sync snapshot: %w", err)
	}
	return n, nil
}

func (p *paced) Close() error  { return p.end(p.SnapshotSink.Close()) }
func (p *paced) Cancel() error { return p.end(p.SnapshotSink.Cancel()) }

// end may come twice: a sink that is closed is cancelled without harm.
func (p *paced) end(err error) error {
	if e := p.file.Close(); !errors.Is(e, os.ErrClosed) {
		err = errors.Join(err, e)
	}
	return err
}
