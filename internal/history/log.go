package history

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// Change is a node that a transaction changed, as watches see it.
type Change struct {
	Type wire.EventType
	Path string
}

// Txn is a transaction as a server carried it out.
type Txn struct {
	Zxid    int64
	Session int64  // whose request it was, or which one it is about
	Op      string // the protocol's name of the operation
	Err     int    // 0: it was carried out
	Changes []Change
	At      int64 // when the first server carried it out
}

func (t *Txn) equal(u *Txn) bool {
	return t.Session == u.Session && t.Op == u.Op && t.Err == u.Err && slices.Equal(t.Changes, u.Changes)
}

// Log is what the servers of an ensemble carried out. It may be used by several goroutines; its zero value is empty.
type Log struct {
	mu     sync.Mutex // guards the fields below
	txns   map[int64]*Txn
	last   int64
	at     map[uint64]int64 // the newest zxid of each server
	leaps  int
	faults faults
}

// Applied notes that a server has carried out a transaction. One that has been started anew does some once more.
func (l *Log) Applied(server uint64, t Txn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.txns == nil {
		l.txns, l.at = make(map[int64]*Txn), make(map[uint64]int64)
	}
	if known := l.txns[t.Zxid]; known == nil {
		l.txns[t.Zxid] = &t
	} else if !known.equal(&t) {
		l.faults.add("server %d carried out %+v where another one had %+v", server, t, *known)
	}
	switch before, running := l.at[server]; {
	case t.Zxid <= before:
		l.faults.add("server %d carried out zxid %#x behind %#x", server, t.Zxid, before)
	case running && t.Zxid > before+1:
		l.leaps++ // over what it got in a snapshot
	}
	l.at[server] = t.Zxid
	l.last = max(l.last, t.Zxid)
}

// Restarted notes that a server begins anew: it carries out once more what it finds.
func (l *Log) Restarted(server uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.at, server)
}

// Last returns the newest zxid.
func (l *Log) Last() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// Leaps returns how often a server that ran went on from another's snapshot.
func (l *Log) Leaps() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leaps
}

// get returns a transaction, nil if nobody has carried it out.
func (l *Log) get(zxid int64) *Txn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.txns[zxid]
}

// Story tells what happened, a line for each transaction, for who looks for the cause of what a check found.
func (l *Log) Story() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for z := int64(1); z <= l.last; z++ {
		if x := l.txns[z]; x != nil {
			fmt.Fprintf(&b, "%v %#x session %#x %s err %d %v\n", time.Duration(x.At), z, uint64(x.Session), x.Op, x.Err, x.Changes)
		}
	}
	return b.String()
}

// Check tells whether all servers carried out the same, and whether the log has a gap. Servers that follow a log from its
// beginning leave none.
func (l *Log) Check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := faults{list: slices.Clone(l.faults.list), more: l.faults.more}
	for z := int64(1); z <= l.last; z++ {
		if l.txns[z] == nil {
			f.add("no server carried out zxid %#x, and one is at %#x", z, l.last)
		}
	}
	return f.err()
}

// step is one change, in its place.
type step struct {
	zxid int64
	Change
}

// Timeline is a finished log, in order, for the checks that look into it.
type Timeline struct {
	log    *Log
	steps  []step
	byPath map[string][]step
}

// Timeline returns what the log has by now.
func (l *Log) Timeline() *Timeline {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &Timeline{log: l, byPath: make(map[string][]step)}
	for z := int64(1); z <= l.last; z++ {
		x := l.txns[z]
		if x == nil {
			continue
		}
		for _, c := range x.Changes {
			s := step{z, c}
			t.steps = append(t.steps, s)
			t.byPath[c.Path] = append(t.byPath[c.Path], s)
		}
	}
	return t
}

// after returns the place of the first change behind zxid.
func (t *Timeline) after(zxid int64) int {
	i, _ := slices.BinarySearchFunc(t.steps, zxid+1, func(s step, z int64) int { return cmpInt(s.zxid, z) })
	return i
}

func cmpInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// node is what is known of a node at one moment.
type node struct {
	exists       bool
	mzxid, pzxid int64
}

// at returns what path was behind the transaction zxid.
func (t *Timeline) at(path string, zxid int64) (n node) {
	for _, s := range t.byPath[path] {
		if s.zxid > zxid {
			break
		}
		switch s.Type {
		case wire.EventCreated:
			n = node{true, s.zxid, s.zxid}
		case wire.EventDeleted:
			n = node{}
		case wire.EventDataChanged:
			n.mzxid = s.zxid
		case wire.EventChildrenChanged:
			n.pzxid = s.zxid
		}
	}
	return n
}
