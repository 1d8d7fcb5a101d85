package replica

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// rankStep lies between the followers that stand for election when a leader's process has died.
	rankStep = 30 * time.Millisecond
	// startPoll is how often a starting member asks the others who leads.
	startPoll = 10 * time.Millisecond
)

// hurryLoop makes elections quicker than raft's time-outs would. It only ever asks our own raft to stand, which raft allows
// at any time: safety does not depend on who stands when.
func (r *Replica) hurryLoop(ctx context.Context) {
	r.firstElection(ctx)
	for {
		select {
		case id := <-r.lost:
			r.succeed(ctx, id)
		case <-ctx.Done():
			return
		}
	}
}

// firstElection runs at the start: as soon as a majority of the voters can be reached and none of them knows a leader, the
// one with the longest log stands, of several the one with the lowest id. It gives up after some election time-outs.
func (r *Replica) firstElection(ctx context.Context) {
	start := r.raft.CurrentTerm()
	ctx, cancel := context.WithTimeout(ctx, 8*r.cfg.ElectionTimeout)
	defer cancel()
	for ctx.Err() == nil && r.view.Load().leader == 0 && r.raft.CurrentTerm() == start {
		switch best, ok := r.candidate(ctx); {
		case !ok:
		case best == 0:
			return // there is a leader; we shall hear from it
		case best == r.cfg.ID:
			r.stand(start)
			return
		}
		select {
		case <-time.After(startPoll):
		case <-r.linkUp:
		case <-ctx.Done():
		}
	}
}

// candidate asks all voters. ok is false without a majority of answers; best is 0 if one of them follows a leader.
func (r *Replica) candidate(ctx context.Context) (best uint64, ok bool) {
	voters := r.members.Load().voters
	if !slices.Contains(voters, r.cfg.ID) {
		return 0, true
	}
	heard := r.poll(ctx, r.cfg.ElectionTimeout/2)
	best = r.cfg.ID
	for id, s := range heard {
		if s.leader != 0 {
			return 0, true
		}
		if s.last > heard[best].last || s.last == heard[best].last && id < best {
			best = id
		}
	}
	return best, len(heard) > len(voters)/2
}

// poll returns what the voters that can be reached within d say of themselves, this member included.
func (r *Replica) poll(ctx context.Context, d time.Duration) map[uint64]peerStatus {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	heard := map[uint64]peerStatus{r.cfg.ID: r.status()}
	for id, a := range inquire(ctx, r.votingLinks(), askStatus, nil) {
		if s, ok := parseStatus(a.payload); ok {
			heard[id] = s
		}
	}
	return heard
}

// succeed acts on the death of a leader's process. The voter with the longest log stands at once, of several the one
// whose id comes next; the others only if that leads to nothing. Each of us stands at most once per term of that leader: a
// refused connection may be a firewall's doing, and must not let us depose leaders for ever.
func (r *Replica) succeed(ctx context.Context, dead uint64) {
	term := r.raft.CurrentTerm()
	if r.view.Load().leader != dead || r.stoodAgainst == term || !slices.Contains(r.members.Load().voters, r.cfg.ID) {
		return
	}
	rank := r.rank(dead, r.poll(ctx, rankStep))
	gone := func() bool {
		id := r.view.Load().leader
		return (id == dead || id == 0) && !r.link(dead).connected()
	}
	r.waitWhile(ctx, time.Duration(rank)*rankStep, gone)
	for _, s := range r.poll(ctx, rankStep) {
		if s.stands || s.term != term {
			r.waitWhile(ctx, r.cfg.ElectionTimeout/2, gone) // somebody stands already: do not spoil it
			break
		}
	}
	if !gone() || ctx.Err() != nil {
		return
	}
	r.stoodAgainst = term
	r.log.Info("the leader's process is gone", "member", r.cfg.ID, "leader", dead, "term", term)
	r.stand(r.raft.CurrentTerm())
}

// waitWhile waits for d, or until cond has ceased to hold, which is looked at whenever the view of the leader changes.
func (r *Replica) waitWhile(ctx context.Context, d time.Duration, cond func() bool) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for ctx.Err() == nil {
		v := r.view.Load()
		if !cond() {
			return
		}
		select {
		case <-v.ctx.Done():
		case <-ctx.Done():
		}
	}
}

// rank counts who among the polled comes before us: by the length of the log, then in the order of ids after the dead one.
func (r *Replica) rank(dead uint64, heard map[uint64]peerStatus) int {
	after := func(id uint64) uint64 { return id - dead - 1 } // wraps: ids below come last
	self, before := heard[r.cfg.ID], 0
	for id, s := range heard {
		if id != dead && (s.last > self.last || s.last == self.last && after(id) < after(r.cfg.ID)) {
			before++
		}
	}
	return before
}

// unfollow has raft forget a leader that it does not hear any more. One that was told to stand (see stand), and was beaten in
// the same term, stays a candidate for an election time-out or two, and has the winner for its leader meanwhile. If that one
// falls silent by then, as when its first deed is to remove us, raft v1.8.0 knows it as the leader for ever: a follower would
// miss it, a candidate does not look. It then refuses every other candidate its vote, and we wait for that leader. What makes
// raft a follower without a leader is a heartbeat that comes from nobody.
func (r *Replica) unfollow(ctx context.Context) {
	n, ok := r.transport.(network)
	if _, leader := r.raft.LeaderWithID(); !ok || leader == "" || r.raft.State() != raft.Candidate ||
		time.Since(r.raft.LastContact()) < r.cfg.ElectionTimeout {
		return
	}
	rpc := raft.RPC{RespChan: make(chan raft.RPCResponse, 1), Command: &raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}, Term: r.raft.CurrentTerm(),
	}}
	select {
	case n.sieved <- rpc:
	case <-ctx.Done():
	}
}

// stand has our raft stand for election if it is a follower in that term still.
func (r *Replica) stand(term uint64) {
	if r.raft.CurrentTerm() != term || r.raft.State() != raft.Follower {
		return
	}
	var resp raft.TimeoutNowResponse
	addr := r.transport.LocalAddr()
	req := &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(serverID(r.cfg.ID)), Addr: []byte(addr),
	}}
	if err := r.transport.TimeoutNow(serverID(r.cfg.ID), addr, req, &resp); err != nil {
		r.log.Debug("stand for election", "err", err)
	}
}
