package replica

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/raft"
)

// ErrForgot says that the others know another store of this member: its votes, and what it acknowledged, are lost.
var ErrForgot = errors.New("the other members know this one with another data folder: remove it, and add it anew with an empty one (join)")

// births keeps members that lost their store from voting. Every store has a time of birth, each member remembers those of
// the others, durably, and every hello between members says the dialer's own and what it knows of the one it dials. So who
// begins anew under the flags of its first start, as if to form the ensemble, is turned away by all who knew it. Who was
// added by a leader instead is believed: its earlier self was removed before.
type births struct {
	own    uint64
	joined bool // this store began by waiting to be added
	stable raft.StableStore

	mu     sync.Mutex        // guards the fields below
	known  map[uint64]uint64 // by member; 0 is not known
	strays map[uint64]bool   // members that know another store of ours
	turned map[uint64]uint64 // the latest store of each member that was turned away
}

func joinedKey() []byte            { return []byte("joined") }
func bornKey(member uint64) []byte { return fmt.Appendf(nil, "born of %d", member) }

// openBirths notes how the store began, if it is about to begin.
func (c *Config) openBirths(blank bool) (*births, error) {
	b := &births{own: c.Store.Born(), stable: c.Store.Stable(), known: make(map[uint64]uint64), strays: make(map[uint64]bool),
		turned: make(map[uint64]uint64)}
	if blank && c.Join {
		if err := b.stable.SetUint64(joinedKey(), 1); err != nil {
			return nil, err
		}
	}
	joined, err := b.stable.GetUint64(joinedKey())
	b.joined = joined != 0
	return b, err
}

// of returns what is known of a member.
func (b *births) of(member uint64) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.known[member]
}

// load reads what was known when this member last stopped.
func (b *births) load(member uint64) error {
	born, err := b.stable.GetUint64(bornKey(member))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[member] = born
	return err
}

// set remembers a member's; 0 forgets it.
func (b *births) set(member, born uint64) error {
	if b.of(member) == born {
		return nil
	}
	if err := b.stable.SetUint64(bornKey(member), born); err != nil {
		return fmt.Errorf("remember member %d: %w", member, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[member] = born
	return nil
}

// stray notes that a member knows another store of ours, and returns how many do, and whether this one is new.
func (b *births) stray(member uint64) (n int, first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first = !b.strays[member]
	b.strays[member] = true
	return len(b.strays), first
}

// turnAway notes that a member came with another store than is known, and tells whether that is new: it tries again often.
func (b *births) turnAway(member, born uint64) (first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	first = b.turned[member] != born
	b.turned[member] = born
	return first
}

// acquaint looks at who says hello, and tells whether to go on with it.
func (r *Replica) acquaint(h hello) error {
	b := r.births
	servers := r.configuration()
	if h.expected != 0 && b.own != 0 && h.expected != b.own && !(b.joined && len(servers) > 0) {
		others := len(r.votingLinks())
		n, first := b.stray(h.from)
		if first { // they try again many times a second, for as long as we wait to be added
			r.log.Error(ErrForgot.Error(), "member", r.cfg.ID, "says", h.from)
		}
		if others > 0 && 2*n > others && r.view.Load().leader == 0 {
			r.cancel(ErrForgot)
		}
		return ErrForgot
	}
	known := b.of(h.from)
	switch {
	case h.born == 0 || h.born == known:
		return nil
	case known != 0 && !h.joined:
		if b.turnAway(h.from, h.born) {
			r.log.Error("a member has begun anew, without what it had acknowledged: turned away until it is removed, and added with an empty folder",
				"member", r.cfg.ID, "turned away", h.from)
		}
		return ErrForgot
	case !slices.ContainsFunc(servers, func(s raft.Server) bool { return memberID(s.ID) == h.from }):
		return nil // of no ensemble yet, or of another
	}
	return b.set(h.from, h.born)
}

// recall remembers the store of a new member that had said hello before we knew it for one, and says none again while that
// connection lives. To who was added (we are the newcomer) this happens with all others: they heard of it first. Any other
// new member was itself added, so a hello that does not say so comes from who it was before.
func (r *Replica) recall(member uint64, newcomer bool) {
	for _, h := range r.port.said(member) {
		if h.born == 0 || !newcomer && !h.joined {
			continue
		}
		if err := r.births.set(member, h.born); err != nil && r.closing.Err() == nil {
			r.log.Error("could not remember a member's store", "member", r.cfg.ID, "of", member, "err", err)
		}
	}
}

// unknow forgets the store of a member that was removed: it may come back with another.
func (r *Replica) unknow(member uint64) {
	if err := r.births.set(member, 0); err != nil && r.closing.Err() == nil {
		r.log.Error("could not forget a member's store", "member", r.cfg.ID, "of", member, "err", err)
	}
}
