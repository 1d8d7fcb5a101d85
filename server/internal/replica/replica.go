package replica

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net"
	"time"

	"github.com/docent-io/docent/server/internal/storage"
)

var (
	// ErrClosed says that the replica was closed, or has stopped because its storage failed.
	ErrClosed = errors.New("replica is closed")
	// ErrNoLeader says that no leader is known, or that it could not be reached or confirmed. The request may or may not
	// have reached a leader's handler.
	ErrNoLeader = errors.New("no leader")
	// ErrRemoved says that this member was removed from the ensemble. Its store is of no more use.
	ErrRemoved = errors.New("removed from the ensemble")
	// ErrTooLarge says that a command or request is larger than MaxCommand.
	ErrTooLarge = errors.New("command too large")
)

// MaxCommand is the size in bytes of the largest command, request or answer.
const MaxCommand = 8 << 20

// Peer is one member of the ensemble: its id and the address (host:port) of its peer port. An observer gets everything
// and has no vote.
type Peer struct {
	ID       uint64
	Addr     string
	Observer bool
}

// Config says what a replica is made of. Zero values mean the documented defaults.
type Config struct {
	// ID is this member's id; it must be Store's.
	ID uint64
	// Peers are all members including this one, the same list on every member. Empty means a single server. The list only
	// counts at the first start, which forms the ensemble from it; later starts read the store, and only this member's own
	// address counts, under which the others reach it.
	Peers []Peer
	// Join says that with an empty store this member does not form an ensemble, but waits until AddMember on one that runs
	// adds it. Of Peers only its own address counts.
	Join bool
	// OnRemoved, if set, is called when this member finds itself removed, and it then waits to be added again with what it
	// has. Default: it stops with ErrRemoved.
	OnRemoved func()
	// Listener is the bound peer port; the replica owns it. Nil for a single server, which needs none.
	Listener net.Listener
	// Store holds log, votes and snapshots. The replica owns it from a successful Open on.
	Store *storage.Store
	// Machine is the replicated state.
	Machine Machine
	// Handler answers the requests of Call. It runs on an established leader only (one that has applied all that was
	// committed before its term), from several goroutines at once. from is the member that called.
	Handler func(from uint64, req []byte) ([]byte, error)
	// OnLeader, if set, runs in a goroutine of its own whenever this member has become leader and has applied all that was
	// committed before. ctx ends with the leadership; the next term's OnLeader starts only after this one returned.
	OnLeader func(ctx context.Context)
	// Logger receives one line per change of state, and raft's own lines at debug level. Default: silent.
	Logger *slog.Logger
	// ElectionTimeout is how long a follower waits for its leader before it stands for election (raft's heartbeat and
	// election time-out alike). Default 250 ms.
	ElectionTimeout time.Duration
	// SnapshotBytes is how much the log may grow between two snapshots, or by as much as the last one has where that is more.
	// Default 64 MiB.
	SnapshotBytes int64
	// CompareEvery is how often this member compares its machine with the others'. Default one second.
	CompareEvery time.Duration
	// Dial connects to a peer port; tests cut links with it. Default: a net.Dialer.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Now is the time of day, which the leader stamps entries with. Default: time.Now.
	Now func() time.Time
}

// Machine is the replicated state. Its methods are called from one goroutine at a time, in log order.
type Machine interface {
	// Apply carries out the batches of one raft entry, so that it can take its lock once. now is the leader's clock when it
	// made the entry, in milliseconds since the epoch. The batches and their bytes are valid only during the call.
	Apply(now int64, batches []Batch)
	// Snapshot is called between two Applies and must be quick. The function it returns writes the state as it is now, and
	// runs beside later Applies. It may never be called. If it fails with ErrDiffers the replica stops.
	Snapshot() (write func(io.Writer) error, err error)
	// Restore replaces the state by a snapshot's. It may come at any time, not only at the start: then results and events
	// of the commands inside the snapshot never come, so first close all client connections without a reply.
	Restore(r io.Reader) error
	// Digest says what the state is like. It is called after each Apply and Restore, by the same goroutine, and must be quick.
	Digest() Digest
}

// Batch is commands that one member proposed, in the order it proposed them.
type Batch struct {
	// Origin is the member that proposed them.
	Origin uint64
	// N is how many they are.
	N int
	// Waiters are the values given to Propose, one per command; nil on every member but the origin,
	// and on the origin too when it was restarted since.
	Waiters []any

	cmds []byte
}

// Commands yields each command and its number in the batch. The bytes are part of the entry: copy what is kept.
func (b Batch) Commands() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		rest := b.cmds
		for i := range b.N {
			cmd, tail := cutCommand(rest)
			if !yield(i, cmd) {
				return
			}
			rest = tail
		}
	}
}

// Stats are numbers about a replica, for monitoring.
type Stats struct {
	Term         uint64 // raft's current term
	AppliedIndex uint64 // index of the last entry the machine has applied
	CommitIndex  uint64 // index of the last entry known to be committed
	LogBytes     int64  // size of the log
	PendingBytes int    // proposed here and not yet applied here
	Elections    uint64 // times this member became leader
	Resends      uint64 // times batches were sent again
	Refused      uint64 // batches refused or skipped as repeated, by this member's machine
	Snapshots    uint64 // snapshots taken since the start
	Restores     uint64 // snapshots installed from a leader since the start

	Comparisons   uint64 // times the machine was compared with the others'
	Mismatches    uint64 // times this member's, or another's, was found to differ
	ComparedIndex uint64 // entry at which it was last found equal to all that answered, 0 for never
}
