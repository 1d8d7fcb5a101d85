package replica

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/docent-io/docent/server/internal/storage"
)

// ahead is the log as raft sees it. A leader's entries go to the followers while they are being written here, so that a write
// waits for one sync where it would wait for two, one after the other (Ongaro's thesis on Raft, 10.2.1).
//
// raft counts them as stored here at once. So whatever depends on that waits until they are: the leader applies no such entry
// (fsm.ApplyBatch), and tells nobody that it is committed (early, nudge). Only commands go ahead; an entry that raft itself
// acts upon, as a change of members, is written with all before it as ever. And a member that led writes what it has ahead
// before it hears another leader, whom it will tell what it has stored (sieve).
//
// On disk there is nothing new: what has come together is written at once, in its order, by the one call of StoreLogs that is
// under way. A crash loses what was ahead, as if it had come before the entries were made.
type ahead struct {
	storage.Log
	leads  func() bool // this member does, and others vote
	stored func()      // is called when entries that were ahead are on disk
	onFail func(error)
	wake   chan struct{}
	tail   chan struct{} // a token: whoever holds it may write

	first atomic.Uint64 // of list; 0 if there are none
	mu    sync.Mutex    // guards list
	list  []*raft.Log   // ahead, oldest first
}

func newAhead(log storage.Log) *ahead {
	return &ahead{Log: log, wake: make(chan struct{}, 1), tail: make(chan struct{}, 1)}
}

// holds tells whether all entries up to one are on disk, as far as they are in the log.
func (a *ahead) holds(index uint64) bool {
	first := a.first.Load()
	return first == 0 || index < first
}

// limit returns index, or the last entry on disk if that is less.
func (a *ahead) limit(index uint64) uint64 {
	if first := a.first.Load(); first != 0 {
		return min(index, first-1)
	}
	return index
}

// run writes what goes ahead, until ctx ends; whoever needs the rest then writes it himself.
func (a *ahead) run(ctx context.Context) {
	for {
		select {
		case <-a.wake:
			if a.write(everything) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// everything is an index behind all entries.
const everything = math.MaxUint64

// write returns when all up to an entry is on disk. Unless that is done by whoever is at it, it writes all that is ahead. An
// error ends the replica: raft goes on as if the entries were stored.
func (a *ahead) write(upTo uint64) error {
	if a.holds(upTo) {
		return nil
	}
	a.tail <- struct{}{}
	defer func() { <-a.tail }()
	if a.holds(upTo) {
		return nil
	}
	a.mu.Lock()
	list := a.list
	a.mu.Unlock()
	if err := a.Log.StoreLogs(list); err != nil {
		a.onFail(fmt.Errorf("storage: %w", err))
		return err
	}
	a.mu.Lock()
	rest := a.list[len(list):]
	a.list = append(make([]*raft.Log, 0, len(rest)), rest...) // lets go of the others
	first := uint64(0)
	if len(rest) > 0 {
		first = rest[0].Index
	}
	a.first.Store(first)
	a.mu.Unlock()
	a.stored()
	return nil
}

// StoreLog appends one entry; see StoreLogs.
func (a *ahead) StoreLog(e *raft.Log) error { return a.StoreLogs([]*raft.Log{e}) }

// StoreLogs appends entries. A leader's commands may be written only later.
func (a *ahead) StoreLogs(entries []*raft.Log) error {
	if !a.leads() || !commands(entries) {
		if err := a.write(everything); err != nil {
			return err
		}
		return a.Log.StoreLogs(entries)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, entries...)
	a.first.Store(a.list[0].Index)
	signal(a.wake)
	return nil
}

func commands(entries []*raft.Log) bool {
	for _, e := range entries {
		if e.Type != raft.LogCommand {
			return false
		}
	}
	return true
}

// DeleteRange deletes entries at the start or the end of the log.
func (a *ahead) DeleteRange(lo, hi uint64) error {
	if err := a.write(hi); err != nil {
		return err
	}
	return a.Log.DeleteRange(lo, hi)
}

// GetLog reads an entry.
func (a *ahead) GetLog(index uint64, out *raft.Log) error {
	if !a.holds(index) {
		a.mu.Lock()
		for _, e := range a.list {
			if e.Index == index {
				*out = *e
				a.mu.Unlock()
				return nil
			}
		}
		a.mu.Unlock()
	}
	return a.Log.GetLog(index, out)
}

// LastIndex is the index of the newest entry, 0 if there is none.
func (a *ahead) LastIndex() (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.list); n > 0 {
		return a.list[n-1].Index, nil
	}
	return a.Log.LastIndex()
}
