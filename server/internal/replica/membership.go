package replica

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// Errors of a change of members. What AddMember and the others return wraps one of them, and says more.
var (
	ErrMemberExists  = errors.New("there is such a member already")
	ErrUnknownMember = errors.New("there is no such member")
	ErrUnreachable   = errors.New("the member cannot be reached")
	ErrNoMajority    = errors.New("no majority would be left")
	ErrChanging      = errors.New("another change of members is under way")
)

var memberErrors = []error{ErrMemberExists, ErrUnknownMember, ErrUnreachable, ErrNoMajority, ErrChanging}

// changeTimeout bounds a change whose context has no deadline.
const changeTimeout = time.Minute

// memberVerb is what is to be done to the list of members.
type memberVerb string

const (
	verbAdd      memberVerb = "add"
	verbRemove   memberVerb = "remove"
	verbRetire   memberVerb = "retire"
	verbTransfer memberVerb = "transfer"
)

// memberRequest is a change, as it is sent to the leader.
type memberRequest struct {
	Verb    memberVerb
	Peer    Peer
	Unseen  bool          // add it though it is not there yet
	Again   bool          // an earlier attempt may have succeeded: finding it done is no error
	Timeout time.Duration // what is left of the caller's patience
}

// memberReply is the leader's answer.
type memberReply struct {
	Members []Peer
	Kind    int    // of the error: 1 + index in memberErrors; 0: none of them
	Text    string // of the error, empty for success
}

// AddMember adds a member, which must have been started with Config.Join and wait at its address. A voter gets the log
// first, as an observer, and a vote when it has caught up; if it does not in time, it is taken out again. An observer that
// is there becomes a voter, and the other way round. With unseen a member is added that is yet to be started; a voter only
// if the others are a majority without it.
//
// It may be called on any member, and returns the members after the change. One change is carried out at a time. Errors:
// ErrMemberExists, ErrUnreachable, ErrNoMajority, ErrChanging, ErrNoLeader (whether it happened is not known), ctx's.
func (r *Replica) AddMember(ctx context.Context, p Peer, unseen bool) ([]Peer, error) {
	return r.requestChange(ctx, memberRequest{Verb: verbAdd, Peer: p, Unseen: unseen})
}

// RemoveMember removes a member; a leader hands its lead over first. The member learns of it, and stops with ErrRemoved.
// It is refused if the voters left that can be reached were no majority. As for AddMember; ErrUnknownMember.
func (r *Replica) RemoveMember(ctx context.Context, id uint64) ([]Peer, error) {
	return r.requestChange(ctx, memberRequest{Verb: verbRemove, Peer: Peer{ID: id}})
}

// Transfer hands the lead to a voter and returns when it leads. It is not an error if it does already.
// Errors: ErrUnknownMember, ErrUnreachable, ErrNoLeader, ctx's.
func (r *Replica) Transfer(ctx context.Context, id uint64) error {
	if _, err := r.requestChange(ctx, memberRequest{Verb: verbTransfer, Peer: Peer{ID: id}}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 8*r.cfg.ElectionTimeout)
	defer cancel()
	for {
		changed := r.Changed()
		if leader, ok := r.Leader(); ok && leader == id {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("member %d was told to lead, but does not yet: %w", id, ErrNoLeader)
		}
	}
}

// requestChange puts a request to the leader, to the next one if the lead is lost meanwhile.
func (r *Replica) requestChange(ctx context.Context, q memberRequest) ([]Peer, error) {
	if r.port == nil {
		return nil, fmt.Errorf("this is a server of its own, without a peer address: %w", ErrNoMajority)
	}
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	for {
		end, _ := ctx.Deadline()
		q.Timeout = time.Until(end)
		text, err := json.Marshal(q)
		if err != nil {
			return nil, err
		}
		changed := r.Changed()
		b, err := r.ask(ctx, askMember, text)
		if err == nil {
			var members []Peer
			if members, err = readReply(b); !q.Again || !errors.Is(err, ErrChanging) {
				return members, err
			}
			// No answer to a request that was put before: nobody has looked yet at what became of it.
			err = fmt.Errorf("%v, and whether an earlier attempt was carried out is not known: %w", err, ErrNoLeader)
		}
		if gone := errors.Is(err, ErrRemoved) || errors.Is(context.Cause(r.closing), ErrRemoved); gone && q.Verb == verbRemove && q.Peer.ID == r.cfg.ID {
			return nil, nil // it was about us, so nobody tells us any more
		}
		if !errors.Is(err, ErrNoLeader) {
			return nil, err
		}
		q.Again = true
		select {
		case <-changed:
		case <-time.After(4 * resendPause):
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		}
	}
}

func readReply(b []byte) ([]Peer, error) {
	var p memberReply
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("change of members: %w", err)
	}
	switch {
	case p.Text == "":
		return p.Members, nil
	case p.Kind < 1 || p.Kind > len(memberErrors):
		return nil, &RemoteError{Text: p.Text}
	}
	return nil, fmt.Errorf("%s: %w", p.Text, memberErrors[p.Kind-1])
}

// memberError carries the kind of an error beside its text.
type memberError struct {
	kind error
	text string
}

func (e *memberError) Error() string { return e.text }
func (e *memberError) Unwrap() error { return e.kind }

func because(kind error, format string, args ...any) error {
	return &memberError{kind, fmt.Sprintf(format, args...)}
}

// errMoved: the lead is another's now, or nobody's. The request has to be put again.
var errMoved = errors.New("the lead has moved")

// changeMembers is the leader's side of a request.
func (r *Replica) changeMembers(ctx context.Context, req []byte) (status, []byte) {
	var q memberRequest
	if err := json.Unmarshal(req, &q); err != nil {
		return statusError, []byte("change of members: " + err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, q.Timeout)
	defer cancel()
	err := r.carryOut(ctx, q)
	if errors.Is(err, errMoved) || errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipLost) ||
		errors.Is(err, raft.ErrLeadershipTransferInProgress) || errors.Is(err, raft.ErrRaftShutdown) {
		return statusNoLeader, nil
	}
	var p memberReply
	if p.Members = r.Members(); err != nil {
		p.Text = err.Error()
		var m *memberError
		if errors.As(err, &m) {
			p.Kind = 1 + slices.Index(memberErrors, m.kind)
		}
	}
	b, err := json.Marshal(p)
	if err != nil {
		return statusError, []byte(err.Error())
	}
	return statusOK, b
}

func (r *Replica) carryOut(ctx context.Context, q memberRequest) error {
	if !r.changing.TryLock() {
		return because(ErrChanging, "%s member %d", q.Verb, q.Peer.ID)
	}
	defer r.changing.Unlock()
	if !q.Again {
		err := r.perform(ctx, q)
		if !errors.Is(err, ErrUnknownMember) && !errors.Is(err, ErrMemberExists) {
			return err
		}
		// That there is nothing to do may be read from an entry of a request whose caller has given up, and who hears that a member
		// is none goes and empties its folder.
	}
	// An earlier attempt may have come into the log, and may yet be thrown out of it. An entry of our own behind it settles
	// that; not raft's barrier, which is never applied: whoever waits for the end of the log would wait for ever.
	if err := r.await(ctx, func() raft.Future { return r.raft.Apply(appendEntryHeader(nil, r.cfg.Now().UnixMilli()), raftTimeout) }); err != nil {
		return err
	}
	return r.perform(ctx, q)
}

// perform does what is asked by the members of now.
func (r *Replica) perform(ctx context.Context, q memberRequest) error {
	r.adopt()
	m := r.members.Load()
	same := func(p Peer) bool { return p.ID == q.Peer.ID }
	i, retired := slices.IndexFunc(m.all, same), slices.ContainsFunc(m.retired, same)
	switch {
	case q.Verb == verbAdd && i >= 0:
		return r.changeRole(ctx, m, m.all[i], q)
	case q.Verb == verbAdd:
		return r.add(ctx, m, q)
	case retired && q.Verb == verbRemove:
		return r.forget(ctx, q.Peer.ID)
	case retired && q.Verb == verbRetire && q.Again, q.Verb == verbRemove && i < 0 && q.Again:
		return nil
	case i < 0:
		return because(ErrUnknownMember, "member %d", q.Peer.ID)
	case q.Verb == verbRemove:
		return r.remove(ctx, m, m.all[i])
	case q.Verb == verbRetire:
		return r.retire(ctx, m, m.all[i])
	case q.Verb == verbTransfer:
		return r.handOver(ctx, m.all[i])
	}
	return fmt.Errorf("change of members: unknown verb %q", q.Verb)
}

// add makes a stranger a member.
func (r *Replica) add(ctx context.Context, m *members, q memberRequest) error {
	p := q.Peer
	if p.ID == 0 || p.Addr == "" || len(m.all) >= maxMembers {
		return fmt.Errorf("member %d cannot be added: want a number, an address, and fewer than %d members", p.ID, maxMembers)
	}
	for _, o := range m.all {
		if o.Addr == p.Addr {
			return because(ErrMemberExists, "the address %s is member %d's", p.Addr, o.ID)
		}
	}
	if err := r.clear(ctx, m, p); err != nil {
		return err
	}
	if slices.ContainsFunc(m.retired, func(o Peer) bool { return o.ID == p.ID && o.Addr == p.Addr }) {
		if r.link(p.ID).connected() || p.ID == r.cfg.ID {
			return r.reactivate(ctx, m, p)
		}
		if err := r.forget(ctx, p.ID); err != nil { // it may come back with nothing
			return err
		}
	}
	r.unknow(p.ID)
	unseen := p.Observer && q.Unseen
	if !unseen {
		err := r.waiting(ctx, p)
		if unseen = q.Unseen && errors.Is(err, syscall.ECONNREFUSED); err != nil && !unseen {
			return because(ErrUnreachable, "no server waits to be added as member %d at %s (%v)", p.ID, p.Addr, err)
		}
	}
	if !p.Observer {
		reached := p.ID
		if unseen {
			reached = 0
		}
		if err := r.enough(ctx, append(slices.Clone(m.voters), p.ID), reached); err != nil {
			return err
		}
		if unseen {
			return r.addVoter(ctx, p)
		}
	}
	if err := r.reconfigure(ctx, func() raft.IndexFuture {
		return r.raft.AddNonvoter(serverID(p.ID), raft.ServerAddress(p.Addr), 0, raftTimeout)
	}); err != nil || p.Observer {
		return err
	}
	if err := r.promote(ctx, p); err != nil {
		if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipLost) {
			return err // the next leader goes on from here
		}
		// The caller's time is over: taking the half-added out again gets some of its own.
		ctx, cancel := context.WithTimeout(r.closing, raftTimeout)
		defer cancel()
		return errors.Join(err, r.reconfigure(ctx, func() raft.IndexFuture {
			return r.raft.RemoveServer(serverID(p.ID), 0, raftTimeout)
		}))
	}
	return nil
}

// promote gives an observer a vote once it has nearly all of the log.
func (r *Replica) promote(ctx context.Context, p Peer) error {
	if err := r.caughtUp(ctx, p.ID); err != nil {
		return err
	}
	return r.addVoter(ctx, p)
}

func (r *Replica) addVoter(ctx context.Context, p Peer) error {
	return r.reconfigure(ctx, func() raft.IndexFuture {
		return r.raft.AddVoter(serverID(p.ID), raft.ServerAddress(p.Addr), 0, raftTimeout)
	})
}

// changeRole deals with the adding of a member that is there.
func (r *Replica) changeRole(ctx context.Context, m *members, have Peer, q memberRequest) error {
	p := q.Peer
	switch {
	case have.Addr != p.Addr:
		return because(ErrMemberExists, "member %d is there already, at %s", p.ID, have.Addr)
	case have.Observer == p.Observer && q.Again:
		return nil
	case have.Observer == p.Observer:
		return because(ErrMemberExists, "member %d is there already", p.ID)
	case have.Observer:
		if err := r.enough(ctx, append(slices.Clone(m.voters), p.ID), p.ID); err != nil {
			return err
		}
		return r.promote(ctx, p)
	}
	return r.demote(ctx, m, p.ID)
}

// demote makes an observer of a voter.
func (r *Replica) demote(ctx context.Context, m *members, id uint64) error {
	if err := r.leave(ctx, m, id); err != nil {
		return err
	}
	return r.reconfigure(ctx, func() raft.IndexFuture { return r.raft.DemoteVoter(serverID(id), 0, raftTimeout) })
}

// remove takes a member out.
func (r *Replica) remove(ctx context.Context, m *members, p Peer) error {
	if !p.Observer {
		if err := r.leave(ctx, m, p.ID); err != nil {
			return err
		}
	}
	return r.forget(ctx, p.ID)
}

// leave sees to it that the others can do without the vote of a member, and that it does not lead.
func (r *Replica) leave(ctx context.Context, m *members, id uint64) error {
	rest := slices.DeleteFunc(slices.Clone(m.voters), func(v uint64) bool { return v == id })
	if len(rest) == 0 {
		return because(ErrNoMajority, "member %d is the last that votes", id)
	}
	if err := r.enough(ctx, rest, 0); err != nil || id != r.cfg.ID {
		return err
	}
	if err := r.giveAway(ctx, func() raft.Future { return r.raft.LeadershipTransfer() }); err != nil {
		return fmt.Errorf("hand the lead over before leaving it: %w", err)
	}
	return errMoved
}

// handOver makes a voter the leader.
func (r *Replica) handOver(ctx context.Context, p Peer) error {
	switch {
	case p.ID == r.cfg.ID:
		return nil
	case p.Observer:
		return because(ErrUnknownMember, "member %d is an observer and cannot lead", p.ID)
	}
	if _, ok := r.poll(ctx, r.cfg.ElectionTimeout)[p.ID]; !ok {
		return because(ErrUnreachable, "member %d does not answer", p.ID)
	}
	if err := r.giveAway(ctx, func() raft.Future {
		return r.raft.LeadershipTransferToServer(serverID(p.ID), raft.ServerAddress(p.Addr))
	}); err != nil {
		return fmt.Errorf("hand the lead to member %d: %w", p.ID, err)
	}
	return nil
}

// giveAway hands the lead over. A try that came too late for raft, but after which we lead no more, has succeeded too.
func (r *Replica) giveAway(ctx context.Context, ask func() raft.Future) (err error) {
	for range transferTries {
		if err = r.await(ctx, ask); err == nil || ctx.Err() != nil {
			return err
		}
		if r.raft.State() != raft.Leader {
			return nil
		}
	}
	return err
}

// transferTries is how often a transfer of the lead is tried: raft gives each one election time-out only.
const transferTries = 4

// enough checks that a majority of the voters to be can be reached, if not at once then soon. reached was seen already.
func (r *Replica) enough(ctx context.Context, voters []uint64, reached uint64) error {
	for end := time.Now().Add(settleTimeouts * r.cfg.ElectionTimeout); ; {
		heard := r.poll(ctx, r.cfg.ElectionTimeout)
		n := 0
		for _, id := range voters {
			if _, ok := heard[id]; ok || id == reached {
				n++
			}
		}
		if n > len(voters)/2 {
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return because(ErrNoMajority, "of the voters %v only %d can be reached", voters, n)
		}
		select {
		case <-time.After(r.cfg.ElectionTimeout / 4):
		case <-ctx.Done():
		}
	}
}

// settleTimeouts is how many election time-outs a member that has just changed, or started, is given to be there for others.
const settleTimeouts = 8

// reconfigure waits for a change to be committed, and lets the rest of the replica know.
func (r *Replica) reconfigure(ctx context.Context, ask func() raft.IndexFuture) error {
	err := r.await(ctx, func() raft.Future { return ask() })
	r.adopt()
	return err
}

var errTaken = errors.New("it belongs to an ensemble already")

// waiting returns when a server waits to be added at the address. One that was removed a moment ago may not know it yet, and
// one that was just started may not listen.
func (r *Replica) waiting(ctx context.Context, p Peer) error {
	end := time.Now().Add(settleTimeouts * r.cfg.ElectionTimeout)
	for {
		err := r.probe(ctx, p)
		if !passing(err) || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(r.cfg.ElectionTimeout / 4):
		case <-ctx.Done():
			return err
		}
	}
}

// passing tells of an error that a server causes that has just been removed, and is about to wait to be added again.
func passing(err error) bool {
	for _, e := range []error{errTaken, syscall.ECONNREFUSED, syscall.ECONNRESET, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// probe asks the server at an address, over a connection of its own, whether it waits to be added.
func (r *Replica) probe(ctx context.Context, p Peer) error {
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	c, err := r.port.dial(ctx, p.Addr, p.ID, forCalls)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(deadline(ctx))
	if _, err := c.Write(appendFrame(nil, 1, byte(askStatus), nil)); err != nil {
		return err
	}
	_, k, payload, err := readFrame(bufio.NewReader(c))
	if err != nil {
		return fmt.Errorf("it does not answer as member %d: %w", p.ID, err)
	}
	if s, ok := parseStatus(payload); status(k) != statusOK || !ok || !s.blank {
		return errTaken
	}
	return nil
}

// catchUpRound is how quickly a new member must get what was written meanwhile, to be given a vote.
const catchUpRound = time.Second

// caughtUp waits until a member has the log but for what is written just now: in rounds, each up to the end of the log at
// its beginning, until one was quick (Ongaro's thesis, 4.2.1).
func (r *Replica) caughtUp(ctx context.Context, id uint64) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	target, began := r.raft.LastIndex(), time.Now()
	for {
		if l := r.link(id); l != nil {
			a, err := l.call(ctx, askStatus, nil)
			if s, ok := parseStatus(a.payload); err == nil && ok && s.last >= target {
				if time.Since(began) < catchUpRound {
					return nil
				}
				target, began = r.raft.LastIndex(), time.Now()
			}
		}
		if r.raft.State() != raft.Leader {
			return raft.ErrLeadershipLost
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return because(ErrUnreachable, "member %d did not get the log in time", id)
		}
	}
}

func deadline(ctx context.Context) time.Time {
	t, ok := ctx.Deadline()
	if !ok {
		return time.Now().Add(changeTimeout)
	}
	return t
}

// leaves acts on this member's removal, and tells whether it goes on.
func (r *Replica) leaves() bool {
	if r.cfg.OnRemoved == nil {
		r.cancel(ErrRemoved)
		return false
	}
	if !r.removed.Swap(true) {
		r.log.Warn("removed from the ensemble: waiting to be added again", "member", r.cfg.ID)
		r.announce()
		r.cfg.OnRemoved()
	}
	return true
}

// memberLoop follows the changes of members, and stops the replica when it was removed itself.
func (r *Replica) memberLoop(ctx context.Context) {
	tick := time.NewTicker(r.cfg.ElectionTimeout) // raft does not tell what a snapshot or an entry not committed brings
	defer tick.Stop()
	gone := make(forgetter)
	for times := 0; ; {
		r.adopt()
		if r.view.Load().leader != 0 && r.removed.Swap(false) {
			r.log.Info("added again", "member", r.cfg.ID)
		}
		select {
		case <-r.fsm.config:
		case now := <-tick.C:
			r.unfollow(ctx)
			gone.look(ctx, r, now)
			switch times++; {
			case r.evicted():
			case r.expelled(ctx):
			default:
				times = 0
			}
			if times == 2 && !r.leaves() {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
