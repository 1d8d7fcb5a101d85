package replica

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// A snapshot reaches raft only if it brings something; and raft starts again if it has replaced a log that went on differently.
func TestSieve(t *testing.T) {
	entries := func(term uint64, from, to uint64) (all []*raft.Log) {
		for i := from; i <= to; i++ {
			all = append(all, &raft.Log{Index: i, Term: term})
		}
		return all
	}
	for name, c := range map[string]struct {
		log     []*raft.Log
		applied uint64
		reaches bool
		again   bool
	}{
		"an empty log":                     {nil, 0, true, false},
		"a log that ends before":           {entries(2, 1, 9), 9, true, false},
		"a log that has it all":            {entries(2, 1, 10), 5, false, false},
		"a log that goes on":               {entries(2, 1, 20), 5, false, false},
		"a newer snapshot of our own":      {nil, 12, false, false},
		"a log that begins behind":         {entries(2, 15, 20), 17, false, false},
		"a log that differs, and goes on":  {entries(1, 1, 20), 5, true, true},
		"a log that differs, and ends":     {entries(1, 1, 10), 5, true, true},
		"a log that differs from there on": {append(entries(2, 1, 9), entries(1, 10, 12)...), 9, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			log := raft.NewInmemStore()
			if err := log.StoreLogs(c.log); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			s := &sieve{log: newAhead(stored{log}), applied: func() uint64 { return c.applied }, in: make(chan raft.RPC), out: make(chan raft.RPC), cancel: cancel}
			reached := make(chan bool, 1)
			go func() { // as raft does
				for {
					select {
					case rpc := <-s.out:
						if _, ok := rpc.Command.(*raft.InstallSnapshotRequest); !ok {
							rpc.Respond(nil, errors.New("of no term"))
							continue
						}
						_, err := io.Copy(io.Discard, rpc.Reader)
						reached <- true
						rpc.Respond(&raft.InstallSnapshotResponse{Success: true}, err)
					case <-t.Context().Done():
						return
					}
				}
			}()
			answer := make(chan raft.RPCResponse, 1)
			data := strings.NewReader("snapshot")
			s.pass(ctx, raft.RPC{Command: &raft.InstallSnapshotRequest{LastLogIndex: 10, LastLogTerm: 2}, Reader: data, RespChan: answer})
			select {
			case a := <-answer:
				if r, ok := a.Response.(*raft.InstallSnapshotResponse); a.Error != nil || !ok || !r.Success || data.Len() != 0 {
					t.Errorf("answer %+v, and %d bytes are left", a, data.Len())
				}
			case <-time.After(10 * time.Second):
				t.Fatal("no answer")
			}
			if got := len(reached) == 1; got != c.reaches {
				t.Errorf("reaches raft: %v", got)
			}
			if again := errors.Is(context.Cause(ctx), errStartAgain); again != c.again {
				t.Errorf("starts again: %v", again)
			}
		})
	}
}

// What lies before the log is taken out of requests, and nothing else.
func TestSieve_Cut(t *testing.T) {
	entries := func(from, to uint64) (all []*raft.Log) {
		for i := from; i <= to; i++ {
			all = append(all, &raft.Log{Index: i, Term: 2})
		}
		return all
	}
	for name, c := range map[string]struct {
		log           []*raft.Log
		applied       uint64
		prev          uint64
		entries       int
		commit        uint64
		wantPrev      uint64
		first, number uint64 // of the entries that are left
		wantCommit    uint64
	}{
		"the next entries":                {entries(1, 10), 10, 10, 3, 9, 10, 11, 3, 9},
		"again what is in the log":        {entries(1, 10), 5, 2, 3, 4, 2, 3, 3, 4},
		"a gap":                           {entries(1, 10), 10, 12, 3, 15, 12, 13, 3, 15},
		"right behind the snapshot":       {entries(6, 10), 5, 5, 3, 5, 0, 6, 3, 5},
		"before the log, and into it":     {entries(6, 10), 8, 3, 4, 7, 0, 6, 2, 7},
		"before the log":                  {entries(6, 10), 8, 1, 3, 4, 0, 0, 0, 4},
		"from the very first on":          {entries(6, 10), 8, 0, 7, 7, 0, 6, 2, 7},
		"an empty log, behind it":         {nil, 5, 6, 3, 6, 6, 7, 3, 6},
		"an empty log, before its end":    {nil, 5, 3, 4, 5, 0, 6, 2, 5},
		"an empty log, at its end":        {nil, 5, 5, 2, 5, 0, 6, 2, 5},
		"an empty log, all of it there":   {nil, 5, 1, 2, 3, 0, 0, 0, 3},
		"the first of all":                {nil, 0, 0, 2, 0, 0, 1, 2, 0},
		"committed behind the last entry": {entries(1, 10), 2, 3, 2, 9, 3, 4, 2, 5},
		"committed, and no entries":       {entries(1, 10), 2, 3, 0, 9, 3, 0, 0, 3},
		"a heartbeat":                     {entries(6, 10), 8, 0, 0, 0, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			log := raft.NewInmemStore()
			if err := log.StoreLogs(c.log); err != nil {
				t.Fatal(err)
			}
			s := &sieve{log: newAhead(stored{log}), applied: func() uint64 { return c.applied }}
			a := &raft.AppendEntriesRequest{PrevLogEntry: c.prev, PrevLogTerm: min(c.prev, 2), LeaderCommitIndex: c.commit}
			if c.entries > 0 {
				a.Entries = entries(c.prev+1, c.prev+uint64(c.entries))
			}
			s.cut(a)
			if a.PrevLogEntry != c.wantPrev || a.PrevLogTerm != min(c.wantPrev, 2) || a.LeaderCommitIndex != c.wantCommit {
				t.Errorf("previous entry %d of term %d, committed %d", a.PrevLogEntry, a.PrevLogTerm, a.LeaderCommitIndex)
			}
			if uint64(len(a.Entries)) != c.number || c.number > 0 && a.Entries[0].Index != c.first {
				t.Errorf("%d entries are left: %+v", len(a.Entries), a.Entries)
			}
		})
	}
}

// stored makes a log of raft's one of a store.
type stored struct{ *raft.InmemStore }

func (stored) Size() int64         { return 0 }
func (stored) Newest(int64) uint64 { return 0 }
func (stored) IsMonotonic() bool   { return true }
