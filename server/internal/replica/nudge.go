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
// message raft would send anyway, without entries. Only the newest position matters, and it goes out when the follower has
// stored that entry: before, it would be refused. A follower that was told with the entry itself needs none. One that makes
// a majority with the leader is told as soon as the entry, which is on its way, is on the leader's disk (see early): it then
// looks at the message behind the entry. Should that overtake the entry it is refused, and said again.
type nudger struct {
	peer   Peer
	newest atomic.Pointer[position] // committed
	early  atomic.Pointer[position] // sent, and committed when both have stored it
	stored atomic.Uint64            // the follower has, up to this entry
	told   atomic.Uint64            // and knows that those up to this one are committed
	wake   chan struct{}
}

// due returns what there is to say that the follower is ready for, nil if there is nothing.
func (n *nudger) due(log *ahead) (p *position) {
	if p = n.newest.Load(); p != nil && n.stored.Load() < p.index {
		p = nil
	}
	if e := n.early.Load(); e != nil && log.holds(e.index) && (p == nil || p.index < e.index) {
		p = e
	}
	if p != nil && p.index <= n.told.Load() {
		p = nil
	}
	return p
}

// remind wakes the loop if there is something to say.
func (n *nudger) remind(log *ahead) {
	if n.due(log) != nil {
		signal(n.wake)
	}
}

// knows notes up to where the follower was told.
func (n *nudger) knows(index uint64) {
	for {
		told := n.told.Load()
		if told >= index || n.told.CompareAndSwap(told, index) {
			return
		}
	}
}

// nudgeEarly is called when entries that went ahead are on disk here.
func (r *Replica) nudgeEarly() {
	for _, o := range r.members.Load().others {
		o.nudger.remind(r.ahead)
	}
}

// stored is called by the transport when a follower has answered that it stored the entries of a request.
func (r *Replica) stored(id raft.ServerID, req *raft.AppendEntriesRequest) {
	m := r.members.Load()
	if m == nil {
		return
	}
	if o := m.others[memberID(id)]; o != nil {
		last := req.Entries[len(req.Entries)-1].Index
		o.nudger.knows(min(req.LeaderCommitIndex, last))
		o.nudger.stored.Store(last)
		o.nudger.remind(r.ahead)
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
		o.nudger.remind(r.ahead)
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
		p := n.due(r.ahead)
		if p == nil {
			continue
		}
		// An entry of an earlier term, or a term read without this check, would let a deposed leader speak in its
		// successor's name.
		if !r.leads(p.term) {
			if n.early.CompareAndSwap(p, nil) {
				signal(n.wake) // there may be more to say
			}
			continue
		}
		req := raft.AppendEntriesRequest{
			RPCHeader: self, Term: p.term,
			PrevLogEntry: p.index, PrevLogTerm: p.term, LeaderCommitIndex: p.index,
		}
		var resp raft.AppendEntriesResponse
		if err := r.transport.AppendEntries(serverID(n.peer.ID), raft.ServerAddress(n.peer.Addr), &req, &resp); err != nil {
			r.log.Debug("commit nudge", "to", n.peer.ID, "err", err)
		} else if resp.Success {
			n.knows(p.index)
		}
	}
}
