package replica

import (
	"slices"

	"github.com/hashicorp/raft"
)

// members is who belongs to the ensemble, and what we keep for each of the others. It does not change.
type members struct {
	voters  []uint64 // ids, this member's too
	peers   []Peer   // the others
	links   map[uint64]*link
	nudgers []*nudger
}

func (r *Replica) peer(id uint64) (Peer, bool) {
	m := r.members.Load()
	i := slices.IndexFunc(m.peers, func(p Peer) bool { return p.ID == id })
	if i < 0 {
		return Peer{}, false
	}
	return m.peers[i], true
}

// link is nil for this member itself and for strangers.
func (r *Replica) link(id uint64) *link { return r.members.Load().links[id] }

func (r *Replica) isMember(id uint64) bool { return slices.Contains(r.members.Load().voters, id) }

// idOf finds a member by its address, ours included. raft may ask before we know more.
func (r *Replica) idOf(addr raft.ServerAddress) (uint64, bool) {
	if string(addr) == r.cfg.addr() {
		return r.cfg.ID, true
	}
	if m := r.members.Load(); m != nil {
		for _, p := range m.peers {
			if p.Addr == string(addr) {
				return p.ID, true
			}
		}
	}
	return 0, false
}
