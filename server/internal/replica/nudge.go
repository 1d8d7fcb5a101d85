package replica

import (
	"context"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// position is an entry by index and term.
type position struct{ index, term uint64 }

// nudger tells one follower at once how far the leader has committed. raft itself says it with the next entry or some
// milliseconds later; until then the follower, whose clients wait for its own apply, has nothing to tell them. It is the
// message raft would send anyway, without entries, and its answer is ignored. Only the newest position matters.
type nudger struct {
	peer   Peer
	newest atomic.Pointer[position]
	wake   chan struct{}
}

// nudge is called by the machine's side after an apply.
func (r *Replica) nudge(index, term uint64) {
	m := r.members.Load()
	if m == nil || len(m.peers) == 0 || r.raft.State() != raft.Leader {
		return
	}
	p := &position{index, term}
	for _, n := range m.nudgers {
		n.newest.Store(p)
		signal(n.wake)
	}
}

func (r *Replica) nudgeLoop(ctx context.Context, n *nudger) {
	self := raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax,
		ID:              []byte(serverID(r.cfg.ID)),
		Addr:            []byte(r.transport.LocalAddr()),
	}
	for {
		select {
		case <-n.wake:
		case <-ctx.Done():
			return
		}
		p := n.newest.Load()
		// An entry of an earlier term, or a term read without this check, would let a deposed leader speak in its
		// successor's name.
		if !r.leads(p.term) {
			continue
		}
		req := raft.AppendEntriesRequest{
			RPCHeader: self, Term: p.term, Leader: self.Addr,
			PrevLogEntry: p.index, PrevLogTerm: p.term, LeaderCommitIndex: p.index,
		}
		var resp raft.AppendEntriesResponse
		if err := r.transport.AppendEntries(serverID(n.peer.ID), raft.ServerAddress(n.peer.Addr), &req, &resp); err != nil {
			r.log.Debug("commit nudge", "to", n.peer.ID, "err", err)
		}
	}
}
