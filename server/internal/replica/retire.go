package replica

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// A retired member is none any more for anybody outside: it has no vote and stands in no list. But it is still sent
// everything, may ask the leader, and so goes on serving its clients until it is stopped. Then it is forgotten.
//
// raft knows it as an observer, whose address carries a mark.
const retiredMark = " retired"

// forgetTimeouts is for how many election time-outs a retired member must be gone to be forgotten.
const forgetTimeouts = 40

func unmark(a raft.ServerAddress) (addr string, retired bool) {
	return strings.CutSuffix(string(a), retiredMark)
}

// RetireMember takes a member's vote and its place in the list of members, and lets it go on until it is stopped. It is
// a member again by AddMember. As for RemoveMember.
func (r *Replica) RetireMember(ctx context.Context, id uint64) ([]Peer, error) {
	return r.requestChange(ctx, memberRequest{Verb: verbRetire, Peer: Peer{ID: id}})
}

// retire is the leader's side.
func (r *Replica) retire(ctx context.Context, m *members, p Peer) error {
	if !p.Observer {
		if err := r.demote(ctx, m, p.ID); err != nil {
			return err
		}
	}
	return r.reconfigure(ctx, func() raft.IndexFuture {
		return r.raft.AddNonvoter(serverID(p.ID), raft.ServerAddress(p.Addr+retiredMark), 0, raftTimeout)
	})
}

// reactivate makes a retired member one again.
func (r *Replica) reactivate(ctx context.Context, m *members, p Peer) error {
	if p.Observer {
		return r.reconfigure(ctx, func() raft.IndexFuture {
			return r.raft.AddNonvoter(serverID(p.ID), raft.ServerAddress(p.Addr), 0, raftTimeout)
		})
	}
	if err := r.enough(ctx, append(slices.Clone(m.voters), p.ID), 0); err != nil {
		return err
	}
	return r.promote(ctx, p)
}

// clear forgets retired members that stand in the way of adding p: under its number elsewhere, or at its address.
func (r *Replica) clear(ctx context.Context, m *members, p Peer) error {
	for _, old := range m.retired {
		if (old.ID == p.ID) == (old.Addr == p.Addr) {
			continue
		}
		if err := r.forget(ctx, old.ID); err != nil {
			return err
		}
	}
	return nil
}

func (r *Replica) forget(ctx context.Context, id uint64) error {
	return r.reconfigure(ctx, func() raft.IndexFuture { return r.raft.RemoveServer(serverID(id), 0, raftTimeout) })
}

// A forgetter remembers since when retired members have been gone. Every member does, for it may come to lead.
type forgetter map[uint64]time.Time

// look forgets, if this member leads, who has been gone for long. It gives up at the first error: there is a next time.
func (f forgetter) look(ctx context.Context, r *Replica, now time.Time) {
	retired := r.members.Load().retired
	if len(retired) == 0 {
		clear(f)
		return
	}
	for _, p := range retired {
		if p.ID == r.cfg.ID || r.link(p.ID).connected() {
			delete(f, p.ID)
			continue
		}
		since, ok := f[p.ID]
		if !ok {
			f[p.ID], since = now, now
		}
		if now.Sub(since) < forgetTimeouts*r.cfg.ElectionTimeout || r.established() == nil || !r.changing.TryLock() {
			continue
		}
		err := r.forget(ctx, p.ID)
		r.changing.Unlock()
		if err != nil {
			r.log.Debug("could not forget a retired member", "member", r.cfg.ID, "retired", p.ID, "err", err)
			return
		}
		r.log.Info("forgot a retired member that is gone", "member", r.cfg.ID, "retired", p.ID)
	}
}
