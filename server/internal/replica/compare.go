package replica

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// ErrDiffers says that this member's machine is not what the others' are, though it has applied the same log. Nothing that
// it holds can be relied on.
var ErrDiffers = errors.New("the state of this member differs from the others'")

const (
	// compareWait is how long the others have for an answer: until they have applied what is asked about.
	compareWait = 3 * time.Second
	// unsettledRounds is how many times in a row a member that differs from its leader waits for those voters to speak who
	// could tell which of the two is right.
	unsettledRounds = 5
)

// comparer compares this member's machine with the others'. What was the same is the same still if nothing was applied
// since, so an idle ensemble is only looked at.
type comparer struct {
	unsettled int // rounds, used by compareLoop

	rounds, mismatches atomic.Uint64
	last               atomic.Pointer[mark] // where it was last found equal to somebody
}

// compareLoop compares at intervals, and stops the replica when it is the one that differs.
func (r *Replica) compareLoop(ctx context.Context) {
	tick := time.NewTicker(r.cfg.CompareEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := r.compareNow(ctx); err != nil {
			r.cancel(err)
			return
		}
	}
}

// compareNow asks the leader where it is, and all voters, once they are there, what their machines are like. The error says
// that this one must stop.
func (r *Replica) compareNow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, compareWait)
	defer cancel()
	leader, links := r.view.Load().leader, r.votingLinks()
	if leader == 0 || len(links) == 0 {
		return nil
	}
	base, ok := r.newestOf(ctx, leader)
	if last := r.comparer.last.Load(); !ok || last != nil && base.index <= last.index {
		return nil
	}
	answers := inquire(ctx, links, askMark, binary.LittleEndian.AppendUint64(nil, base.index))
	own, ok := r.markAt(ctx, base.index)
	if !ok {
		return nil
	}
	have := map[uint64]Digest{r.cfg.ID: own.digest}
	equal := true
	for id, a := range answers {
		if m, ok := parseMark(a.payload); ok && a.status == statusOK && m.index == base.index && m.digest.Version == own.digest.Version {
			have[id] = m.digest
			equal = r.same(own, id, m.digest) && equal
		}
	}
	if len(have) == 1 {
		return nil // nobody has said anything
	}
	r.comparer.rounds.Add(1)
	if equal {
		r.comparer.last.Store(&own)
	}
	return r.judged(own, judge(r.cfg.ID, leader, r.voters(), have))
}

// newestOf returns the newest mark of a member.
func (r *Replica) newestOf(ctx context.Context, id uint64) (mark, bool) {
	if id == r.cfg.ID {
		return r.fsm.marks.newest()
	}
	l := r.link(id)
	if l == nil {
		return mark{}, false
	}
	a, err := l.call(ctx, askMark, nil)
	if err != nil || a.status != statusOK { // of an earlier version, perhaps, which does not know the question
		return mark{}, false
	}
	return parseMark(a.payload)
}

// same tells whether another member has the digest that we have, and makes it known if not.
func (r *Replica) same(own mark, other uint64, theirs Digest) bool {
	if own.digest == theirs {
		return true
	}
	r.comparer.mismatches.Add(1)
	r.log.Error("members differ in what they made of the same log", "member", r.cfg.ID, "index", own.index,
		"digest", own.digest.String(), "other", other, "its digest", theirs.String())
	return false
}

// answerMark answers what our machine is like: now, or at the index asked for. Who asks may say what its own is like.
func (r *Replica) answerMark(ctx context.Context, from uint64, req []byte) (status, []byte) {
	ctx, cancel := context.WithTimeout(ctx, compareWait)
	defer cancel()
	var own mark
	var ok bool
	if len(req) < 8 {
		own, ok = r.fsm.marks.newest()
	} else {
		own, ok = r.markAt(ctx, binary.LittleEndian.Uint64(req))
	}
	if !ok {
		return statusError, []byte("not known")
	}
	if theirs, said := parseMark(req); said && theirs.digest.Version == own.digest.Version {
		r.same(own, from, theirs.digest)
	}
	return statusOK, own.append(nil)
}

type verdict int

const (
	right     verdict = iota // or nobody can say otherwise
	unsettled                // differs from the leader, and voters that have not spoken could tell who is right
	odd                      // differs from the leader, and nobody can tell who is right
	wrong                    // more than half of the voters agree on something else
)

// judge says what a member has to think of its own machine. What more than half of the voters have is right, the leader's or
// not. Else the leader's is held for right: somebody has to go on, so that what there is can be saved.
func judge(self, leader uint64, voters []uint64, have map[uint64]Digest) verdict {
	own := have[self]
	counts := make(map[Digest]int)
	silent, most := 0, 0
	for _, id := range voters {
		d, ok := have[id]
		if !ok {
			silent++
			continue
		}
		counts[d]++
		most = max(most, counts[d])
		if 2*counts[d] > len(voters) {
			if d == own {
				return right
			}
			return wrong
		}
	}
	switch lead, ok := have[leader]; {
	case !ok || lead == own:
		return right
	case 2*(most+silent) > len(voters):
		return unsettled
	}
	return odd
}

func differsKey() []byte { return []byte("differs") }

// judged acts on a verdict. A member that is wrong for sure writes it down: a restart would serve the same again until it is
// found out once more. One that may as well be right does not.
func (r *Replica) judged(own mark, v verdict) error {
	if v == unsettled && r.comparer.unsettled < unsettledRounds {
		r.comparer.unsettled++
		return nil
	}
	r.comparer.unsettled = 0
	if v == right {
		return nil
	}
	r.confess(own)
	where := fmt.Sprintf("at log entry %d its digest is %v", own.index, own.digest)
	err := fmt.Errorf("%w: %s", ErrDiffers, where)
	if v == wrong {
		err = errors.Join(err, r.cfg.Store.Stable().Set(differsKey(), []byte(where)))
	}
	return err
}

// confess tells the others what we have, so that they know why we are gone.
func (r *Replica) confess(own mark) {
	ctx, cancel := context.WithTimeout(r.closing, r.cfg.ElectionTimeout)
	defer cancel()
	links := make(map[uint64]*link)
	for id, o := range r.members.Load().others {
		links[id] = o.link
	}
	inquire(ctx, links, askMark, own.append(nil))
}

// refuseDifferent is for the start: what was found wrong stays so.
func (c *Config) refuseDifferent() error {
	where, err := c.Store.Stable().Get(differsKey())
	if err != nil {
		return err
	}
	return foundDifferent(where)
}

// foundDifferent returns the error that is due if a store has something under differsKey.
func foundDifferent(where []byte) error {
	if len(where) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s; remove it, and add it anew with an empty data folder (join)", ErrDiffers, where)
}
