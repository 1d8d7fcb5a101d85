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
// message raft would send anyway, without entries, and its answer is ignored. Only the newest position matters, and it goes
// out when the follower has stored that entry: before, it would be refused. A follower that was told with the entry itself
// (see early) needs none.
type nudger struct {
	peer   Peer
	newest atomic.Pointer[position]
	stored atomic.Uint64 // up to this entry
	told   atomic.Uint64 // and knows that those up to this one are committed
	wake   chan struct{}
}

// reached tells whether there is something to say and the follower is ready for it.
func (n *nudger) reached() (p *position, ok bool) {
	p = n.newest.Load()
	return p, p != nil && n.stored.Load() >= p.index && n.told.Load() < p.index
}

// stored is called by the transport when a follower has answered that it stored the entries of a request.
func (r *Replica) stored(id raft.ServerID, req *raft.AppendEntriesRequest) {
	m := r.members.Load()
	if m == nil {
		return
	}
	if o := m.others[memberID(id)]; o != nil {
		last := req.Entries[len(req.Entries)-1].Index
		o.nudger.told.Store(min(req.LeaderCommitIndex, last))
		o.nudger.stored.Store(last)
		if _, ok := o.nudger.reached(); ok {
			signal(o.nudger.wake)
		}
	}
}

// nudge is called by the machine's side after an apply.
func (r *Replica) nudge(index, term uint64) {
	m := r.members.Load()
	if m == nil || len(m.others) == 0 || r.raft.State() != raft.Leader {
		return
	}
	p := &position{index, term}
	for _, o := range m.others {
		o.nudger.newest.Store(p)
		if _, ok := o.nudger.reached(); ok {
			signal(o.nudger.wake)
		}
	}
}

func (r *Replica) nudgeLoop(ctx context.Context, n *nudger) {
	self := raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax,
		ID:              []byte(serverID(r.cfg.ID)),
		Addr:            []byte(r.transport.LocalAddr()),
	}
	var said position
	for {
		select {
		case <-n.wake:
		case <-ctx.Done():
			return
		}
		p, ok := n.reached()
		if !ok || *p == said {
			continue
		}
		said = *p
		// An entry of an earlier term, or a term read without this check, would let a deposed leader speak in its
		// successor's name.
		if !r.leads(p.term) {
			continue
		}
		req := raft.AppendEntriesRequest{
			RPCHeader: self, Term: p.term,
			PrevLogEntry: p.index, PrevLogTerm: p.term, LeaderCommitIndex: p.index,
		}
		var resp raft.AppendEntriesResponse
		if err := r.transport.AppendEntries(serverID(n.peer.ID), raft.ServerAddress(n.peer.Addr), &req, &resp); err != nil {
			r.log.Debug("commit nudge", "to", n.peer.ID, "err", err)
		}
	}
}
