package replica

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"

	"github.com/hashicorp/raft"
)

// members is who belongs to the ensemble, as far as this member knows, and what it keeps for each of the others. It is
// replaced, never changed.
type members struct {
	all     []Peer // by id, this member too unless it waits to join or is retired
	retired []Peer
	voters  []uint64
	others  map[uint64]*other
}

// other is what we keep for one other member.
type other struct {
	Peer
	link   *link
	nudger *nudger
	leave  context.CancelFunc // ends the loops of both; nil until they run
}

// Members returns the members of the ensemble by id; none while this member waits to be added. The list may lag, and may
// hold a change that is not committed yet. Changed tells when it changes.
func (r *Replica) Members() []Peer {
	if r.removed.Load() {
		return nil
	}
	return slices.Clone(r.members.Load().all)
}

// Connected counts the other members that can be reached now: voters, observers, and retired ones.
func (r *Replica) Connected() (voters, observers, retired int) {
	m := r.members.Load()
	for id, o := range m.others {
		switch {
		case !o.link.connected():
		case !o.Observer:
			voters++
		case slices.ContainsFunc(m.retired, func(p Peer) bool { return p.ID == id }):
			retired++
		default:
			observers++
		}
	}
	return voters, observers, retired
}

func (r *Replica) peer(id uint64) (Peer, bool) {
	o, ok := r.members.Load().others[id]
	if !ok {
		return Peer{}, false
	}
	return o.Peer, true
}

// link is nil for this member itself and for strangers.
func (r *Replica) link(id uint64) *link {
	if o := r.members.Load().others[id]; o != nil {
		return o.link
	}
	return nil
}

// isMember tells whether to take a connection from id. Who waits to be added knows nobody, and takes all.
func (r *Replica) isMember(id uint64) bool {
	servers := r.configuration()
	return len(servers) == 0 || r.removed.Load() || slices.ContainsFunc(servers, func(s raft.Server) bool { return memberID(s.ID) == id })
}

// configuration is raft's newest, committed or not.
func (r *Replica) configuration() []raft.Server {
	return r.raft.GetConfiguration().Configuration().Servers // never fails: it reads a copy
}

// voters are those of raft's newest configuration, committed or not: what an election counts, and so a round must.
func (r *Replica) voters() (ids []uint64) {
	for _, s := range r.configuration() {
		if s.Suffrage == raft.Voter {
			ids = append(ids, memberID(s.ID))
		}
	}
	return ids
}

// idOf finds a member by its address, ours included. raft may ask before we know more, and about a member whose adding
// it is just replicating.
func (r *Replica) idOf(addr raft.ServerAddress) (uint64, bool) {
	want, _ := unmark(addr)
	if want == r.cfg.addr() {
		return r.cfg.ID, true
	}
	if r.members.Load() == nil {
		return 0, false
	}
	for _, s := range r.configuration() {
		if have, _ := unmark(s.Address); have == want {
			return memberID(s.ID), true
		}
	}
	return 0, false
}

// adopt makes raft's newest configuration ours: it begins to keep what each new member needs, and lets go of those that
// left.
func (r *Replica) adopt() {
	r.mu.Lock()
	old := r.members.Load()
	m := r.compose(r.configuration(), old.others)
	if r.stopping || slices.Equal(m.all, old.all) && slices.Equal(m.retired, old.retired) {
		r.mu.Unlock()
		return
	}
	for _, o := range m.others {
		if o.leave == nil {
			r.keep(o)
		}
	}
	r.members.Store(m)
	r.mu.Unlock()
	for id, o := range old.others {
		if now := m.others[id]; now == nil || now.link != o.link {
			o.leave()
			r.port.drop(id)
		}
		if m.others[id] == nil {
			r.unknow(id)
		}
	}
	for id := range m.others {
		if old.others[id] == nil {
			r.recall(id, len(old.others) == 0)
		}
	}
	r.log.Info("members", "member", r.cfg.ID, "voters", m.voters, "all", len(m.all), "retired", len(m.retired))
	r.announce()
}

// compose makes what we keep of a configuration, with what is there already of the others.
func (r *Replica) compose(servers []raft.Server, have map[uint64]*other) *members {
	m := &members{others: make(map[uint64]*other)}
	for _, s := range servers {
		addr, retired := unmark(s.Address)
		p := Peer{ID: memberID(s.ID), Addr: addr, Observer: s.Suffrage != raft.Voter}
		if retired {
			m.retired = append(m.retired, p)
		} else {
			m.all = append(m.all, p)
		}
		if !p.Observer {
			m.voters = append(m.voters, p.ID)
		}
		if p.ID == r.cfg.ID {
			continue
		}
		if o := have[p.ID]; o != nil && o.Addr == p.Addr { // the role makes no difference to its loops
			m.others[p.ID] = &other{Peer: p, link: o.link, nudger: o.nudger, leave: o.leave}
			continue
		}
		m.others[p.ID] = &other{
			Peer:   p,
			nudger: &nudger{peer: p, wake: make(chan struct{}, 1)},
			link:   &link{peer: p, port: r.port, onUp: r.peerUp, onLost: r.peerLost, waiting: make(map[uint64]chan<- answer)},
		}
	}
	slices.SortFunc(m.all, func(a, b Peer) int { return cmp.Compare(a.ID, b.ID) })
	slices.Sort(m.voters)
	return m
}

// keep starts the loops for another member. The caller sees to it that the replica is not stopping.
func (r *Replica) keep(o *other) {
	ctx, cancel := context.WithCancel(r.closing)
	o.leave = cancel
	r.loops.Go(func() { o.link.run(ctx) })
	r.loops.Go(func() { r.nudgeLoop(ctx, o.nudger) })
}

// votingLinks are the links to all other voters.
func (r *Replica) votingLinks() map[uint64]*link {
	links := make(map[uint64]*link)
	for id, o := range r.members.Load().others {
		if !o.Observer {
			links[id] = o.link
		}
	}
	return links
}

// evicted tells whether more than half of the other voters, none of which has applied less than we, say that we are no
// member. While a leader speaks to us they cannot be right: they lag behind our being added again.
func (r *Replica) evicted() bool {
	links := r.votingLinks()
	if len(links) == 0 || r.view.Load().leader != 0 {
		return false
	}
	told := 0
	for _, l := range links {
		switch n := l.removed.Load(); {
		case n > r.fsm.index.Load():
			told++
		case n != 0: // it had applied less than we have, when it said so
			l.ask(askStatus, nil, make(chan answer, 1))
		}
	}
	return 2*told > len(links)
}

// committed is the newest configuration that this member knows to be committed: it was applied, or is in its snapshot.
func (r *Replica) committed() (servers []raft.Server, ok bool) {
	f := r.fsm.formed.Load()
	list, err := r.cfg.Store.Snapshots().List()
	switch {
	case err != nil:
		return nil, false
	case len(list) > 0 && (f == nil || f.index < list[0].ConfigurationIndex):
		return list[0].Configuration.Servers, true
	case f == nil:
		return nil, false
	}
	return f.servers, true
}

// vouch finds out for one that is no member to us whether it was removed for certain: by an entry that is committed, and with
// nothing behind it that was committed when it asked. Only a leader that a majority has confirmed can tell.
func (r *Replica) vouch(ctx context.Context, id uint64) status {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.ElectionTimeout)
	defer cancel()
	if r.Sync(ctx) != nil {
		return statusNoLeader
	}
	servers, ok := r.committed()
	if !ok || slices.ContainsFunc(servers, func(s raft.Server) bool { return memberID(s.ID) == id }) {
		return statusNoLeader
	}
	return statusGone
}

// expelled asks whoever says that we are no member whether that is certain. One is enough, for it has the word of a majority
// of those that are members now, of whom we may know none: so that those who were members with us may have gone as well.
// But it must be the one we knew, not another in its place, of another ensemble by mistake.
func (r *Replica) expelled(ctx context.Context) bool {
	v := r.view.Load()
	links := make(map[uint64]*link)
	for id, o := range r.members.Load().others {
		if o.link.removed.Load() != 0 {
			links[id] = o.link
		}
	}
	if v.leader != 0 || len(links) == 0 || r.removed.Load() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, r.cfg.ElectionTimeout)
	defer cancel()
	for id, a := range inquire(ctx, links, askGone, nil) {
		if a.status == statusGone && len(a.payload) == 8 && binary.LittleEndian.Uint64(a.payload) == r.births.of(id) {
			return r.view.Load() == v // no leader has spoken to us meanwhile
		}
	}
	return false
}
