package replica

import "github.com/hashicorp/raft"

// early lets a follower apply entries as soon as it has stored them, if that makes them committed: where three vote, or
// two, the leader, which stores before it sends, and one follower are a majority. The follower finds it as the commit
// index of the very request that brings the entries, and raft stores those before it looks at the index. Otherwise its
// clients would wait until the leader had heard of it, and said so.
//
// What raft asks of an entry that is counted holds here too: it is of the leader's own term, and the votes are those of
// the newest configuration, committed or not. raft adopts that one after it has stored it and begun to send it, so a
// request that brings one is left as it is. The requests behind it are made when the new one holds.
func (r *Replica) early(to raft.ServerID, req *raft.AppendEntriesRequest) {
	n := len(req.Entries)
	if n == 0 || req.Entries[n-1].Term != req.Term {
		return
	}
	for _, e := range req.Entries {
		if e.Type == raft.LogConfiguration {
			return
		}
	}
	voters, stored := 0, 0
	for _, s := range r.configuration() {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if s.ID == to || s.ID == serverID(r.cfg.ID) {
			stored++
		}
	}
	if stored == 2 && voters <= 3 {
		req.LeaderCommitIndex = max(req.LeaderCommitIndex, req.Entries[n-1].Index)
	}
}
