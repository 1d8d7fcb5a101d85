package replica

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// peerStatus is what a member says about itself when asked.
type peerStatus struct {
	term   uint64 // raft's current term, read after the question came
	leader uint64 // whom it follows, 0 for none
	last   uint64 // index of its last entry
	stands bool   // it is a candidate
	blank  bool   // it belongs to no ensemble, and waits to be added to one
}

func (s peerStatus) append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, s.term)
	b = binary.LittleEndian.AppendUint64(b, s.leader)
	b = binary.LittleEndian.AppendUint64(b, s.last)
	var flags byte
	if s.stands {
		flags |= statusStands
	}
	if s.blank {
		flags |= statusBlank
	}
	return append(b, flags)
}

func parseStatus(b []byte) (s peerStatus, ok bool) {
	if len(b) < 25 {
		return s, false
	}
	le := binary.LittleEndian
	return peerStatus{le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]), b[24]&statusStands != 0, b[24]&statusBlank != 0}, true
}

const (
	statusStands = 1 << iota
	statusBlank
)

func (r *Replica) status() peerStatus {
	leader, _ := r.look()
	return peerStatus{
		term: r.raft.CurrentTerm(), leader: leader, last: r.raft.LastIndex(), stands: r.raft.State() == raft.Candidate,
		blank: r.removed.Load() || len(r.configuration()) == 0,
	}
}

// confirmer runs rounds in which the voters are asked for their term. If a majority still is in ours, no later leader had
// been elected when the round began, for a voter that takes part in an election first moves to its term. One round runs
// at a time; who comes meanwhile shares the next. It needs no clock and no lease.
type confirmer struct {
	wake chan struct{}

	mu      sync.Mutex // guards waiting
	waiting []confirmation
}

type confirmation struct {
	term uint64
	ok   chan bool // has room for the answer
}

// confirm tells whether this member was the leader of the term when confirm was called.
func (r *Replica) confirm(ctx context.Context, term uint64) bool {
	c := confirmation{term: term, ok: make(chan bool, 1)}
	r.confirmer.mu.Lock()
	r.confirmer.waiting = append(r.confirmer.waiting, c)
	r.confirmer.mu.Unlock()
	signal(r.confirmer.wake)
	select {
	case ok := <-c.ok:
		return ok
	case <-ctx.Done():
		return false
	case <-r.closing.Done():
		return false
	}
}

// confirmLoop runs the rounds.
func (r *Replica) confirmLoop(ctx context.Context) {
	for {
		select {
		case <-r.confirmer.wake:
		case <-ctx.Done():
			return
		}
		r.confirmer.mu.Lock()
		waiting := r.confirmer.waiting
		r.confirmer.waiting = nil
		r.confirmer.mu.Unlock()
		if len(waiting) == 0 {
			continue
		}
		// Terms only grow: the newest asked for is the only one that can still be ours.
		term := waiting[len(waiting)-1].term
		ok := r.round(ctx, term)
		for _, c := range waiting {
			c.ok <- ok && c.term == term
		}
	}
}

// leads tells whether raft holds this member for the leader of the term, at one moment during the call.
func (r *Replica) leads(term uint64) bool {
	return r.raft.CurrentTerm() == term && r.raft.State() == raft.Leader && r.raft.CurrentTerm() == term
}

// round asks every other voter for its term once, and waits for a majority.
func (r *Replica) round(ctx context.Context, term uint64) bool {
	if !r.leads(term) {
		return false
	}
	voters := r.voters() // of now: any later leader was elected by these, or by a majority that meets theirs
	need, got := len(voters)/2+1, 0
	answers := make(chan answer, len(voters))
	asked := make(map[*link]uint64)
	for _, id := range voters {
		if id == r.cfg.ID {
			got++
		} else if l := r.link(id); l != nil {
			asked[l] = l.ask(askStatus, nil, answers)
		}
	}
	defer func() {
		for l, n := range asked {
			l.giveUp(n)
		}
	}()
	timeout := time.NewTimer(r.cfg.ElectionTimeout)
	defer timeout.Stop()
	for left := len(asked); got < need; left-- {
		if left == 0 {
			return false
		}
		select {
		case a := <-answers:
			s, ok := parseStatus(a.payload)
			if a.err == nil && ok && s.term > term {
				return false
			}
			if a.err == nil && ok && s.term == term {
				got++
			}
		case <-timeout.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return r.leads(term)
}

// Call runs the handler at the leader, here or elsewhere, once at most, and returns its answer after a majority of the
// voters has confirmed, in a round begun after the handler returned, that no later term had begun. So what the handler
// recorded cannot have been overlooked by a leader elected before Call returned. Rounds are shared by waiting calls.
// Errors: ErrNoLeader (not known, lost or not confirmed), ErrTooLarge, ErrClosed, ctx's, or the handler's as *RemoteError.
func (r *Replica) Call(ctx context.Context, req []byte) ([]byte, error) {
	return r.ask(ctx, askCall, req)
}

// Sync returns when this member has applied everything that was committed, by whatever leader, when Sync was called.
// It costs a confirmed round (see Call) and no log entry. Errors as for Call.
func (r *Replica) Sync(ctx context.Context) error {
	for {
		v := r.view.Load()
		b, err := r.ask(ctx, askSync, nil)
		if err != nil {
			return err
		}
		if len(b) != 8 {
			return fmt.Errorf("sync: %w", errMalformed)
		}
		select {
		case <-r.fsm.at(binary.LittleEndian.Uint64(b)):
			return nil
		case <-v.ctx.Done(): // the next leader may never have an entry of that index: ask it
		case <-ctx.Done():
			return ctx.Err()
		case <-r.closing.Done():
			return ErrClosed
		}
	}
}

// RemoteError is an error that the handler returned at the leader.
type RemoteError struct{ Text string }

func (e *RemoteError) Error() string { return e.Text }

// ask puts a question to the leader, wherever it is.
func (r *Replica) ask(ctx context.Context, k what, req []byte) ([]byte, error) {
	if len(req) > MaxCommand {
		return nil, ErrTooLarge
	}
	var a answer
	v := r.view.Load()
	switch l := r.link(v.leader); {
	case v.leader == r.cfg.ID:
		a.status, a.payload = r.answer(ctx, r.cfg.ID, k, req)
	case l == nil:
		a.status = statusNoLeader
	default:
		var err error
		if a, err = l.call(ctx, k, req); err != nil {
			a.status = statusNoLeader
		}
	}
	switch {
	case a.status == statusOK:
		return a.payload, nil
	case r.closing.Err() != nil:
		return nil, ErrClosed
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case a.status == statusRemoved:
		return nil, fmt.Errorf("%w, says the leader (%w)", ErrRemoved, ErrNoLeader)
	case a.status == statusError:
		return nil, &RemoteError{Text: string(a.payload)}
	}
	return nil, ErrNoLeader
}

// answer answers a question put to the leader, if that is us, or one that anybody may be asked.
func (r *Replica) answer(ctx context.Context, from uint64, k what, req []byte) (status, []byte) {
	if k == askMark {
		return r.answerMark(ctx, from, req)
	}
	v := r.established()
	if v == nil {
		return statusNoLeader, nil
	}
	var b []byte
	switch {
	case k == askMember:
		return r.changeMembers(ctx, req)
	case k == askCall && r.cfg.Handler != nil:
		var err error
		if b, err = r.cfg.Handler(from, req); err == nil && len(b) > MaxCommand {
			err = ErrTooLarge
		}
		if err != nil {
			return statusError, []byte(err.Error())
		}
	case k == askSync:
		// Not our commit index: a follower may have found an entry committed, and answered its client, before we do.
		b = binary.LittleEndian.AppendUint64(nil, r.raft.LastIndex())
	default:
		return statusError, []byte("unknown request")
	}
	if !r.confirm(ctx, v.term) {
		return statusNoLeader, nil
	}
	return statusOK, b
}
