// Package storage keeps what a raft member must not forget: its log, its term and vote, who it is, and its snapshots.
//
//	DIR/lock         whose lock is that of the whole folder
//	DIR/stable       term, vote, member id, incarnation, each kept twice
//	DIR/log/*.seg    the log's segments, numbered; spare-* are dead ones, kept to be written again
//	DIR/snapshots/   raft's snapshots, each with a checksum
//
// Nothing in here knows what the entries mean.
package storage

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// ErrInUse says that another process (or another Store of this one) has the folder open.
var ErrInUse = errors.New("in use by another process")

// ErrDamaged says that a file's content fails its checksum at a place that no crash can explain.
// The member must not be started on it: its data has to be removed and fetched anew from the others.
var ErrDamaged = errors.New("damaged")

// WrongMemberError says that a data folder belongs to another member than the one that tried to open it.
type WrongMemberError struct {
	Dir         string
	Want, Found uint64
}

func (e *WrongMemberError) Error() string {
	return fmt.Sprintf("data folder %s belongs to member %d, not to member %d", e.Dir, e.Found, e.Want)
}

// Options tune a store on disk. The zero value means the documented defaults.
type Options struct {
	// SegmentBytes is the size of the log's segments. Default 64 MiB.
	SegmentBytes int64
	// Disk is where the folder is. Default: the file system of the machine. Package memdisk has one that fails and crashes.
	Disk Disk
}

// Log is a raft log that can say how large it is. It takes no gaps (raft.MonotonicLogStore).
// Reads may run beside one write; all methods are safe for concurrent use.
type Log interface {
	raft.LogStore
	raft.MonotonicLogStore
	// Size is the number of bytes the entries in the log take.
	Size() int64
	// Newest is how many of the newest entries fit into so many bytes.
	Newest(bytes int64) uint64
}

// Store is everything durable that one member has.
type Store struct {
	log         Log
	stable      raft.StableStore
	snapshots   raft.SnapshotStore
	id          uint64
	born        uint64
	incarnation uint64
	failed      <-chan struct{}
	failure     func() error
	release     func(clean bool) error
}

// ID is the member's id, as given to Open or Memory.
func (s *Store) ID() uint64 { return s.id }

// Incarnation is greater at each start of this member; on disk it is the time of the first start
// and the number of starts since, durably before Open returned. So a member that begins anew with an empty folder is ahead
// of its earlier lives, too.
func (s *Store) Incarnation() uint64 { return s.incarnation }

// Born tells this store from any other of a member with the same id, before and after: it is the time of its first start
// in milliseconds. 0 if that is not known.
func (s *Store) Born() uint64 { return s.born }

// Log is the raft log.
func (s *Store) Log() Log { return s.log }

// Stable keeps raft's term and vote.
func (s *Store) Stable() raft.StableStore { return s.stable }

// Snapshots keeps raft's snapshots. Opening one checks its checksum first.
func (s *Store) Snapshots() raft.SnapshotStore { return s.snapshots }

// Failed is closed when a write or sync of the log or of the stable store has failed. From then on both refuse every write,
// for what a failed sync left on the disk is unknown; only a new Open may trust what it then reads.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err is the reason for Failed, or nil.
func (s *Store) Err() error { return s.failure() }

// Close marks the log as cleanly closed and lets go of the folder.
func (s *Store) Close() error { return s.release(true) }

// Kill lets go of the folder as a crash would, without marking anything. It is for tests of crashes.
func (s *Store) Kill() error { return s.release(false) }
