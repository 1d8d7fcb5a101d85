package servertest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// Kind says what a Fault does.
type Kind string

// The kinds of faults.
const (
	RequestDropped   Kind = "drop request"
	ReplyDropped     Kind = "drop reply"
	ReplyDelayed     Kind = "delay reply"
	ReplyDuplicated  Kind = "duplicate reply"
	ClosedAfterReply Kind = "close after reply"
	CommittedLate    Kind = "commit late"
)

// Fault is something that goes wrong, once, with a request of a client. Faults are data: they may be compared, printed,
// and put into tables.
type Fault struct {
	Kind Kind
	// Op is the protocol's name of an operation: create, create2, delete, setData, multi, ping …; "create" stands for every
	// kind of create, "read" for every kind of read, "any" for everything but pings.
	Op string
	// N is which request of kind Op it is, counted from Inject on, from 1.
	N int
	// For is how long, where that means something.
	For time.Duration
	// Session, unless 0, is the only session whose requests count.
	Session int64
}

// DropRequest closes the connection when the nth request of kind op arrives. It is not carried out.
func DropRequest(op string, n int) Fault { return Fault{Kind: RequestDropped, Op: op, N: n} }

// DropReply carries out the nth request of kind op, and closes the connection instead of answering it.
func DropReply(op string, n int) Fault { return Fault{Kind: ReplyDropped, Op: op, N: n} }

// DelayReply answers the nth request of kind op, and sends everything behind it on the same connection, d later.
func DelayReply(op string, n int, d time.Duration) Fault {
	return Fault{Kind: ReplyDelayed, Op: op, N: n, For: d}
}

// DuplicateReply answers the nth request of kind op twice: a client must notice that no request belongs to the second
// answer.
func DuplicateReply(op string, n int) Fault { return Fault{Kind: ReplyDuplicated, Op: op, N: n} }

// CloseAfter answers the nth request of kind op, and closes the connection then.
func CloseAfter(op string, n int) Fault { return Fault{Kind: ClosedAfterReply, Op: op, N: n} }

// LateCommit closes the connection when the nth request of kind op arrives, and carries the request out when the
// session is back on a connection to the same server, as a request that was still on its way through the ensemble would
// be: the session's reads do not see it, until just before its next sync or write. If the session is back at another
// server of a cluster first, the request is lost, as is one that never leaves the server: a read, or one about watches.
func LateCommit(op string, n int) Fault { return Fault{Kind: CommittedLate, Op: op, N: n} }

// String returns a line such as "drop reply of create 2".
func (f Fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s %d", f.Kind, f.Op, f.N)
	if f.For != 0 {
		fmt.Fprintf(&b, " for %v", f.For)
	}
	if f.Session != 0 {
		fmt.Fprintf(&b, " in session %#x", uint64(f.Session))
	}
	return b.String()
}

func (f Fault) check() error {
	switch f.Kind {
	case RequestDropped, ReplyDropped, ReplyDelayed, ReplyDuplicated, ClosedAfterReply, CommittedLate:
	default:
		return fmt.Errorf("%v: there is no such fault", f)
	}
	if f.N < 1 || !knownKind(f.Op) {
		return fmt.Errorf("%v: there is no such request", f)
	}
	return nil
}

// atRequest tells whether it happens when the request comes, not when it is answered.
func (f Fault) atRequest() bool { return f.Kind == RequestDropped || f.Kind == CommittedLate }

const anyOp = "any"

var kinds = map[string][]wire.Op{
	"create": {wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL},
	"read":   {wire.OpExists, wire.OpGetData, wire.OpGetChildren, wire.OpGetChildren2, wire.OpGetACL},
}

func isKind(kind string, op wire.Op) bool {
	return kind == op.String() || kind == anyOp && op != wire.OpPing || slices.Contains(kinds[kind], op)
}

func knownKind(kind string) bool {
	if kinds[kind] != nil || kind == anyOp {
		return true
	}
	for op := wire.OpCloseSession; op <= wire.OpWhoAmI; op++ {
		if op.String() == kind {
			return true
		}
	}
	return false
}

// Inject lets faults happen between this server and its clients; each happens once. undo takes back those that have not
// happened yet.
func (s *Server) Inject(faults ...Fault) (undo func()) {
	var mine []*Fault
	for _, f := range faults {
		if err := f.check(); err != nil {
			s.fail("%v", err)
		}
		mine = append(mine, &f)
	}
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	s.wire.faults = append(s.wire.faults, mine...)
	return func() {
		s.wire.mu.Lock()
		defer s.wire.mu.Unlock()
		s.wire.faults = slices.DeleteFunc(s.wire.faults, func(f *Fault) bool { return slices.Contains(mine, f) })
	}
}

// Cut breaks all connections of clients. They may come back at once.
func (s *Server) Cut() { s.wire.cut() }

// Freeze makes the server deaf and mute towards its clients, without breaking a connection, until Thaw. New
// connections are accepted, and hear nothing.
func (s *Server) Freeze() { s.wire.way.gate.shut() }

// Thaw ends a Freeze: everything that was sent meanwhile goes through.
func (s *Server) Thaw() { s.wire.way.gate.open() }

// SlowDisk makes each write to the server's log take d longer, until it is called with 0.
func (s *Server) SlowDisk(d time.Duration) { s.disk.Store(int64(d)) }

// HoldApplies stops the server from carrying out what the ensemble decides, until release. It goes on answering
// reads, from a state that gets older and older; writes and syncs that it is asked for wait.
func (s *Server) HoldApplies() (release func()) {
	s.apply.shut()
	return s.apply.open
}
