package replica

import "github.com/hashicorp/raft"

// early lets a follower apply entries as soon as it and the leader have stored them, if that makes them committed: where
// three vote, or two, these are a majority. Otherwise its clients would wait until the leader had heard of it, and said so.
// If the leader has stored them when it sends them, the follower finds it as the commit index of the very request that
// brings them, and raft stores those before it looks at the index. If they went ahead, it is told as soon as they are on
// the leader's disk, and finds it behind the request (nudge).
//
// What raft asks of an entry that is counted holds here too: it is of the leader's own term, and the votes are those of
// the newest configuration, committed or not. raft adopts that one after it has stored it and begun to send it, so a
// request that brings one is left as it is. The requests behind it are made when the new one holds.
func (r *Replica) early(to raft.ServerID, req *raft.AppendEntriesRequest) {
	req.LeaderCommitIndex = r.ahead.limit(req.LeaderCommitIndex)
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
	if stored < 2 || voters > 3 {
		return
	}
	last := req.Entries[n-1].Index
	if m := r.members.Load(); m != nil { // nil until raft has told
		if o := m.others[memberID(to)]; o != nil {
			o.nudger.early.Store(&position{last, req.Term}) // before the question below: whoever finds them stored then says so
		}
	}
	if r.ahead.holds(last) {
		req.LeaderCommitIndex = max(req.LeaderCommitIndex, last)
	}
}
