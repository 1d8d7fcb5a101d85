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
	ctx, cancel := context.WithTimeout(ctx, r.cfg.ElectionTimeout/2)
	defer cancel()
	best, last, heard := r.cfg.ID, r.raft.LastIndex(), 1
	for _, id := range voters {
		if id == r.cfg.ID {
			continue
		}
		a, err := r.link(id).call(ctx, askStatus, nil)
		s, whole := parseStatus(a.payload)
		if err != nil || !whole {
			continue
		}
		if s.leader != 0 {
			return 0, true
		}
		heard++
		if s.last > last || s.last == last && id < best {
			best, last = id, s.last
		}
	}
	return best, heard > len(voters)/2
}

// succeed acts on the death of a leader's process: the voter with the next id stands at once, the one after it rankStep
// later if nothing has happened by then, and so on. Each of us stands at most once per term of that leader: a refused
// connection may be a firewall's doing, and must not let us depose leaders for ever.
func (r *Replica) succeed(ctx context.Context, dead uint64) {
	v := r.view.Load()
	term := r.raft.CurrentTerm()
	if v.leader != dead || r.stoodAgainst == term {
		return
	}
	rank := r.rank(dead)
	if rank < 0 {
		return
	}
	select {
	case <-time.After(time.Duration(rank) * rankStep):
	case <-v.ctx.Done():
		return
	case <-ctx.Done():
		return
	}
	if v.ctx.Err() != nil || r.link(dead).connected() {
		return
	}
	r.stoodAgainst = term
	r.log.Info("the leader's process is gone", "member", r.cfg.ID, "leader", dead, "term", term)
	r.stand(term)
}

// rank counts the voters between a dead leader and us, in the order of ids; -1 if we are none.
func (r *Replica) rank(dead uint64) int {
	voters := slices.DeleteFunc(slices.Clone(r.members.Load().voters), func(id uint64) bool { return id == dead })
	slices.Sort(voters)
	self := slices.Index(voters, r.cfg.ID)
	if self < 0 {
		return -1
	}
	after, _ := slices.BinarySearch(voters, dead)
	return (self - after + len(voters)) % len(voters)
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
