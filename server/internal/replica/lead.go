package replica

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// view is who leads, as this member sees it. A new one replaces it at each change, and its ctx ends then.
type view struct {
	leader      uint64 // 0: not known
	term        uint64 // set if the leader is this member
	began       time.Time
	established atomic.Bool
	ctx         context.Context
	cancel      context.CancelFunc
}

// look asks raft. A state is only believed if the term stood still meanwhile.
func (r *Replica) look() (leader, term uint64) {
	for {
		term = r.raft.CurrentTerm()
		state := r.raft.State()
		_, id := r.raft.LeaderWithID()
		if r.raft.CurrentTerm() != term {
			continue
		}
		if state == raft.Leader {
			return r.cfg.ID, term
		}
		if leader = memberID(id); leader == r.cfg.ID {
			leader = 0
		}
		return leader, 0
	}
}

// watch follows raft's changes of leader until ctx ends. raft's notices are only a bell: what counts is what look finds.
func (r *Replica) watch(ctx context.Context, bell <-chan raft.Observation) {
	done := make(chan struct{})
	close(done)
	for {
		leader, term := r.look()
		if v := r.view.Load(); v.leader != leader || v.term != term {
			done = r.turn(ctx, v, leader, term, done)
		}
		select {
		case <-bell:
		case <-ctx.Done():
			v := r.view.Load()
			v.established.Store(false)
			v.cancel()
			<-done
			return
		}
	}
}

// turn ends one view and begins the next. before is closed when an earlier lead of ours is over; it returns the same for
// the newest.
func (r *Replica) turn(ctx context.Context, old *view, leader, term uint64, before chan struct{}) chan struct{} {
	v := &view{leader: leader, term: term, began: time.Now()}
	v.ctx, v.cancel = context.WithCancel(ctx)
	r.view.Store(v)
	old.established.Store(false)
	old.cancel()
	if old.term != 0 {
		r.log.Info("no longer the leader", "member", r.cfg.ID, "term", old.term)
		r.joiner.drop()
		r.dropped()
	}
	if leader != 0 && term == 0 {
		r.log.Info("following", "member", r.cfg.ID, "leader", leader)
	}
	r.announce()
	if term == 0 {
		return before
	}
	done := make(chan struct{})
	r.loops.Go(func() {
		defer close(done)
		<-before
		r.lead(v)
	})
	return done
}

// lead establishes the lead of a view and runs OnLeader while it lasts. An entry of our own term, applied, shows that
// everything committed before is applied too; and that the machine has seen the commit index of then.
func (r *Replica) lead(v *view) {
	for v.ctx.Err() == nil {
		err := r.raft.Apply(appendEntryHeader(nil, r.cfg.Now().UnixMilli()), 0).Error()
		if err == nil {
			break
		}
		select {
		case <-time.After(resendPause):
		case <-v.ctx.Done():
		}
	}
	if v.ctx.Err() != nil {
		return
	}
	v.established.Store(true)
	r.elections.Add(1)
	r.log.Info("leading", "member", r.cfg.ID, "term", v.term)
	r.announce()
	if r.cfg.OnLeader != nil {
		r.cfg.OnLeader(v.ctx)
	}
	<-v.ctx.Done()
}

// established returns the view if this member leads and is ready to answer for the ensemble.
func (r *Replica) established() *view {
	v := r.view.Load()
	if v.term == 0 || !v.established.Load() || v.ctx.Err() != nil {
		return nil
	}
	return v
}

// leadsOthers tells whether this member leads an ensemble in which others vote.
func (r *Replica) leadsOthers() bool {
	m := r.members.Load() // nil until raft has started
	return m != nil && len(m.voters) > 1 && r.raft.State() == raft.Leader
}

// announce closes the channel that Changed gave out.
func (r *Replica) announce() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.changed)
	r.changed = make(chan struct{})
}

// Changed returns a channel that is closed at the next change of Leader or IsLeader.
func (r *Replica) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Leader tells which member leads, as far as this one knows; ok is false when it knows none.
func (r *Replica) Leader() (id uint64, ok bool) {
	v := r.view.Load()
	return v.leader, v.leader != 0
}

// IsLeader tells whether this member believes to lead and has applied all that was committed before its term.
// It may have been deposed without knowing: only Call proves anything.
func (r *Replica) IsLeader() bool { return r.established() != nil }

// Led returns for how long this member has led, 0 if it does not.
func (r *Replica) Led() time.Duration {
	v := r.established()
	if v == nil {
		return 0
	}
	return time.Since(v.began)
}

func serverID(id uint64) raft.ServerID { return raft.ServerID(strconv.FormatUint(id, 10)) }

// memberID is the reverse of serverID, 0 for none.
func memberID(s raft.ServerID) uint64 {
	id, err := strconv.ParseUint(string(s), 10, 64)
	if err != nil {
		return 0
	}
	return id
}
