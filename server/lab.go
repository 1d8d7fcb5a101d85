package server

import (
	"sync"
	"time"

	"github.com/docent-io/docent/server/internal/storage"
	"github.com/docent-io/docent/server/internal/tree"
)

// Lab makes things go wrong, or slowly. It is for tests: package servertest is made of it.
type Lab struct {
	// Memory, if given, takes the place of a data folder: what the server has to remember survives it there.
	Memory *Memory
	// Disk, if given, is where the data folder is. Package memdisk has one that fails and crashes.
	Disk storage.Disk
	// BeforeStore, if given, is called before each write to the log. A slow disk waits in it.
	BeforeStore func()
	// BeforeApply, if given, is called before entries of the log are applied. A server that lags behind waits in it; its
	// reads go on.
	BeforeApply func()
	// Applied, if given, is told of each transaction right after it was carried out here, in order; after a restart of
	// those in the log once more. It must neither block nor call the server.
	Applied func(Applied)
	// Now, if given, is the time of day: what nodes are stamped with. It may jump.
	Now func() time.Time
	// Pace, unless 0, is how fast the clock runs that sessions are timed by while this server leads; that of a right one is 1.
	Pace float64
}

// Applied is a transaction as a server carried it out.
type Applied struct {
	Zxid    int64
	Session int64  // whose request it was, or which one it is about
	Op      string // the protocol's name; "op" and a number for those of the servers' own
	Err     int    // of the protocol; 0: it was carried out
	Changes []Change
}

// Change is a node that a transaction changed, as watches see it.
type Change struct {
	Type int // of the protocol's events: 1 created, 2 deleted, 3 data changed, 4 children changed
	Path string
}

func (l *Lab) now() time.Time {
	if l.Now == nil {
		return time.Now()
	}
	return l.Now()
}

// tell reports a transaction to Applied.
func (l *Lab) tell(x *tree.Txn, res *tree.Result, events []tree.Event) {
	if l.Applied == nil {
		return
	}
	a := Applied{Zxid: res.Zxid, Session: x.Session, Op: x.Op.String(), Err: int(res.Err)}
	for _, m := range res.Multi {
		if m.Err != 0 && a.Err == 0 {
			a.Err = int(m.Err)
		}
	}
	for _, e := range events {
		a.Changes = append(a.Changes, Change{int(e.Type), e.Path})
	}
	l.Applied(a)
}

// Memory is a data folder in memory. It belongs to one server, which may be started again with it after it has stopped.
// Its zero value is empty.
type Memory struct {
	mu    sync.Mutex // guards store
	store *storage.Store
}

// open returns the store as a start of member id finds it.
func (m *Memory) open(id uint64) *storage.Store {
	if m == nil {
		return storage.Memory(id)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.store == nil {
		m.store = storage.Memory(id)
	} else {
		m.store = m.store.Restarted()
	}
	return m.store
}
