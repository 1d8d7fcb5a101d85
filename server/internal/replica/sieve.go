package replica

import (
	"context"
	"errors"
	"io"

	"github.com/hashicorp/raft"
)

// errStartAgain: raft has to be started to know its own log again.
var errStartAgain = errors.New("a snapshot has replaced a log that had come to differ: start again")

// A sieve passes on to raft what other members ask of it, and helps where a follower has more than its leader knows of, as
// when its answers were lost.
//
// It keeps back snapshots that bring nothing new. raft v1.8.0 would install them all the same: it deletes the whole of a log
// that takes no gaps, although entries behind the snapshot may have been acknowledged, puts the state machine and the members
// back, and goes on believing in the deleted entries, until it misses one and panics.
//
// And it takes out of requests what lies before the log. raft refuses a request whose previous entry it has compacted, or
// that its snapshot brought; the leader then goes back further, to a snapshot in the end, and round again without rest.
type sieve struct {
	log     *ahead
	applied func() uint64 // the newest entry that was applied
	in      <-chan raft.RPC
	out     chan raft.RPC
	cancel  context.CancelCauseFunc
}

// run goes on until ctx ends.
func (s *sieve) run(ctx context.Context) {
	for {
		select {
		case rpc := <-s.in:
			if !s.pass(ctx, rpc) {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// pass deals with one request, and tells whether raft goes on.
func (s *sieve) pass(ctx context.Context, rpc raft.RPC) bool {
	if err := s.log.write(everything); err != nil { // whoever led and has to follow may have entries ahead
		rpc.Respond(nil, err)
		return true
	}
	snap, ok := rpc.Command.(*raft.InstallSnapshotRequest)
	if !ok {
		if a, ok := rpc.Command.(*raft.AppendEntriesRequest); ok {
			s.cut(a)
		}
		return s.hand(ctx, rpc)
	}
	// raft has done all that came before when it has refused this, which is of no term: then the log stands still.
	if _, ok := s.put(ctx, raft.RPC{Command: &raft.AppendEntriesRequest{}}); !ok {
		return false
	}
	has, differs := s.compare(snap.LastLogIndex, snap.LastLogTerm)
	switch {
	case has:
		_, err := io.Copy(io.Discard, rpc.Reader) // the next request is behind it
		rpc.Respond(&raft.InstallSnapshotResponse{Term: snap.Term, Success: err == nil}, err)
		return true
	case !differs:
		return s.hand(ctx, rpc)
	}
	answer, ok := s.put(ctx, raft.RPC{Command: rpc.Command, Reader: rpc.Reader})
	if !ok {
		return false
	}
	rpc.Respond(answer.Response, answer.Error)
	if r, ok := answer.Response.(*raft.InstallSnapshotResponse); ok && r.Success {
		s.cancel(errStartAgain)
	}
	return true
}

// cut takes out of a request the entries before our log, and what raft would check of them: they are in our snapshot, so they
// were committed, and every leader has the same. Nor does it let raft take for committed what lies behind the request's last
// entry: it may be from another leader (raft v1.8.0 asks only whether it is there).
func (s *sieve) cut(a *raft.AppendEntriesRequest) {
	a.LeaderCommitIndex = min(a.LeaderCommitIndex, a.PrevLogEntry+uint64(len(a.Entries)))
	known := s.applied()
	if first, err := s.log.FirstIndex(); err != nil {
		return
	} else if first > 0 {
		known = first - 1
	}
	if a.PrevLogEntry > known || a.PrevLogEntry == 0 && len(a.Entries) == 0 {
		return
	}
	a.Entries = a.Entries[min(known-a.PrevLogEntry, uint64(len(a.Entries))):]
	a.PrevLogEntry, a.PrevLogTerm = 0, 0
}

// compare tells whether all that is in a snapshot has been applied, or is in the log, as it is if its last entry is; and
// whether the log goes on behind that, differently.
func (s *sieve) compare(index, term uint64) (has, differs bool) {
	if s.applied() >= index {
		return true, false
	}
	var e raft.Log
	if err := s.log.GetLog(index, &e); err == nil {
		return e.Term == term, e.Term != term
	}
	first, err1 := s.log.FirstIndex()
	last, err2 := s.log.LastIndex()
	return false, err1 != nil || err2 != nil || first <= index && last > index
}

// put hands raft a request of our own, and waits for the answer.
func (s *sieve) put(ctx context.Context, rpc raft.RPC) (a raft.RPCResponse, ok bool) {
	answer := make(chan raft.RPCResponse, 1)
	rpc.RespChan = answer
	if !s.hand(ctx, rpc) {
		return a, false
	}
	select {
	case a = <-answer:
		return a, true
	case <-ctx.Done():
		return a, false
	}
}

func (s *sieve) hand(ctx context.Context, rpc raft.RPC) bool {
	select {
	case s.out <- rpc:
		return true
	case <-ctx.Done():
		return false
	}
}
