package replica_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/docent-io/docent/server/internal/replica"
)

// A follower may take an entry for committed when it and the leader are a majority, and only then.
func TestEarly(t *testing.T) {
	entry := func(index, term uint64) *raft.Log { return &raft.Log{Index: index, Term: term, Type: raft.LogCommand} }
	request := func(term uint64, logs ...*raft.Log) raft.AppendEntriesRequest {
		return raft.AppendEntriesRequest{Term: term, LeaderCommitIndex: 7, Entries: logs}
	}
	for _, n := range []int{2, 3, 4, 5} {
		t.Run(fmt.Sprint(n, " voters"), func(t *testing.T) {
			c := newCluster(t, n, false, nil)
			lead := c.leader()
			to := c.other(lead).id
			want := uint64(7)
			if n <= 3 {
				want = 9
			}
			if got := lead.r.Early(to, request(3, entry(8, 2), entry(9, 3))); got != want {
				t.Errorf("with entries up to 9 it says %d, want %d", got, want)
			}
			for what, req := range map[string]raft.AppendEntriesRequest{
				"nothing":                       request(3),
				"an entry of an earlier leader": request(3, entry(8, 2)),
				"a change of members":           request(3, &raft.Log{Index: 8, Term: 3, Type: raft.LogConfiguration}, entry(9, 3)),
			} {
				if got := lead.r.Early(to, req); got != 7 {
					t.Errorf("with %s it says %d, want 7", what, got)
				}
			}
			if got := lead.r.Early(99, request(3, entry(8, 3))); got != 7 {
				t.Errorf("to a stranger it says %d, want 7", got)
			}
		})
	}
}

// What an observer has stored counts for nothing.
func TestEarly_Observer(t *testing.T) {
	c := newCluster(t, 3, false, nil)
	lead := c.leader()
	observer := c.newcomer(4)
	if _, err := lead.r.AddMember(withTimeout(t, 20*time.Second), replica.Peer{ID: 4, Addr: observer.addr, Observer: true}, false); err != nil {
		t.Fatal(err)
	}
	req := raft.AppendEntriesRequest{Term: 3, LeaderCommitIndex: 7, Entries: []*raft.Log{{Index: 8, Term: 3, Type: raft.LogCommand}}}
	if got := lead.r.Early(observer.id, req); got != 7 {
		t.Errorf("to an observer it says %d, want 7", got)
	}
}
