package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/replica"
	"github.com/docent-io/docent/server/internal/tree"
)

// Member is one server of the ensemble.
type Member struct {
	ID       uint64 `json:"id"`
	Addr     string `json:"address"`  // of its peer port
	Observer bool   `json:"observer"` // it serves clients and has no vote
}

// Errors of a change of members, for errors.Is; what is returned says more.
var (
	ErrMemberExists  = replica.ErrMemberExists
	ErrUnknownMember = replica.ErrUnknownMember
	ErrUnreachable   = replica.ErrUnreachable // the member does not answer at its address
	ErrNoMajority    = replica.ErrNoMajority  // the change would leave the ensemble without one
	ErrChanging      = replica.ErrChanging    // another change is under way
	ErrNoLeader      = replica.ErrNoLeader    // nobody leads, or not long enough: whether it happened is not known
	ErrRemoved       = replica.ErrRemoved     // this server was removed from its ensemble, and has stopped
)

// Members returns the members of the ensemble by number, as far as this server knows: of a server of its own just that,
// and none while it waits to be added to an ensemble.
func (s *Server) Members() []Member { return membersOf(s.replica.Members()) }

func membersOf(peers []replica.Peer) []Member {
	list := make([]Member, 0, len(peers))
	for _, p := range peers {
		list = append(list, Member(p))
	}
	return list
}

// AddMember adds a server that was started with Config.Join, and returns the members then. It may be asked of any
// member. A voter counts as soon as it has caught up with the others, which AddMember waits for; if it cannot, it is not
// added. Adding a member in its other role makes a voter of an observer, or an observer of a voter.
// Errors: ErrMemberExists, ErrUnreachable, ErrNoMajority, ErrChanging, ErrNoLeader.
func (s *Server) AddMember(ctx context.Context, m Member) ([]Member, error) {
	peers, err := s.replica.AddMember(ctx, replica.Peer(m), false)
	return membersOf(peers), err
}

// RemoveMember removes a server, which then stops by itself with ErrRemoved, and returns the members then. A leader hands
// its lead over first. Errors: ErrUnknownMember, ErrNoMajority, ErrChanging, ErrNoLeader.
func (s *Server) RemoveMember(ctx context.Context, id uint64) ([]Member, error) {
	peers, err := s.replica.RemoveMember(ctx, id)
	return membersOf(peers), err
}

// TransferLead hands the lead to a voter, and returns when it leads.
// Errors: ErrUnknownMember, ErrUnreachable, ErrChanging, ErrNoLeader.
func (s *Server) TransferLead(ctx context.Context, id uint64) error {
	return s.replica.Transfer(ctx, id)
}

// standalone holds for a server of its own, which cannot have members.
func (s *Server) standalone() bool { return len(s.cfg.Peers) == 0 }

// member returns what is known of a member.
func (s *Server) member(id uint64) (Member, bool) {
	for _, m := range s.Members() {
		if m.ID == id {
			return m, true
		}
	}
	return Member{}, false
}

// observes tells whether this server has no vote: as an observer, or since a client's reconfiguration has let it go.
func (s *Server) observes() bool {
	m, ok := s.member(s.cfg.ID)
	return !ok || m.Observer
}

// roles counts the members by role.
func (s *Server) roles() (voters, observers int) {
	for _, m := range s.Members() {
		if m.Observer {
			observers++
		} else {
			voters++
		}
	}
	return voters, observers
}

// memberList is the list of members as it stands in /zookeeper/config. A line that is there already for a member, or was
// given with it, is kept: it may name another election port, and an address for clients. We add none by ourselves, since
// we know none but our own, and clients go where it says.
func memberList(members []Member, lines ...map[uint64]string) string {
	var list []string
	for _, m := range members {
		line := generatedLine(m)
		for _, given := range lines {
			if text, ok := given[m.ID]; ok {
				if p, _, err := parseMember(text); err == nil && p == m {
					line = text
					break
				}
			}
		}
		list = append(list, line)
	}
	return strings.Join(list, "\n")
}

// memberList is that list as this server knows the members.
func (s *Server) memberList() string {
	s.state.mu.RLock()
	have, _ := s.state.tree.Members()
	s.state.mu.RUnlock()
	return memberList(s.Members(), linesOf(have))
}

func generatedLine(m Member) string {
	host, port, err := net.SplitHostPort(m.Addr)
	if err != nil {
		host, port = m.Addr, "0"
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("server.%d=%s:%s:%s:%s", m.ID, host, port, port, role(m))
}

func role(m Member) string {
	if m.Observer {
		return "observer"
	}
	return "participant"
}

// linesOf takes a list of members apart.
func linesOf(list string) map[uint64]string {
	lines := make(map[uint64]string)
	for line := range strings.Lines(list) {
		line = strings.TrimSpace(line)
		if m, _, err := parseMember(line); err == nil {
			lines[m.ID] = line
		}
	}
	return lines
}

// published is what the leader has proposed to write into /zookeeper/config.
type published struct {
	list string
	over int64 // the mzxid of what it is to replace
	at   time.Time
}

// publish has the members written into /zookeeper/config if something else is there. It is called again and again while
// this server leads; a list that is under way is not proposed anew at once. The proposal stands in the log behind the
// change it tells, so one that is never committed is never told.
func (s *Server) publish(last *published) {
	if s.standalone() {
		return
	}
	s.state.mu.RLock()
	have, over := s.state.tree.Members()
	s.state.mu.RUnlock()
	want := memberList(s.Members(), linesOf(have))
	if want == have || want == last.list && over == last.over && time.Since(last.at) < partTimeout {
		return
	}
	*last = published{want, over, time.Now()}
	s.proposeAlone(&tree.Txn{Op: tree.OpMembers, Members: want, Seen: over})
}

// publishNow writes the members into /zookeeper/config and returns what is there then. given are the lines to be used.
func (s *Server) publishNow(ctx context.Context, members []Member, given map[uint64]string) ([]byte, wire.Stat, error) {
	if len(members) == 0 {
		return nil, wire.Stat{}, ErrRemoved
	}
	for {
		s.state.mu.RLock()
		have, over := s.state.tree.Members()
		node := s.state.tree.Node(tree.ConfigPath)
		data, stat := node.Data(), node.Stat()
		s.state.mu.RUnlock()
		want := memberList(members, given, linesOf(have))
		if want == have {
			return data, stat, nil
		}
		res, err := s.ask(ctx, &tree.Txn{Op: tree.OpMembers, Members: want, Seen: over})
		if err == nil && res.Err != wire.OK && !errors.Is(res.Err, wire.ErrBadVersion) {
			err = res.Err
		}
		if err != nil {
			return nil, stat, fmt.Errorf("write the list of members: %w", err)
		}
	}
}
