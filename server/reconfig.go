package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/replica"
	"github.com/docent-io/docent/server/internal/tree"
)

// reconfig carries out ZooKeeper's operation of that name, beside the connection's other requests; its answer keeps its
// place in line. What it asks for is done one member after the other. If it fails on the way, what was done stays done,
// and /zookeeper/config tells it.
func (c *conn) reconfig(s *slot, r *wire.Reader) {
	var req wire.ReconfigRequest
	if req.Decode(r); r.Err() != nil {
		s.read = refuse(wire.ErrMarshalling)
		c.read(s)
		return
	}
	c.enqueue(s)
	c.srv.wg.Go(func() {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		c.srv.wg.Go(func() { // ends with either of the two
			select {
			case <-c.done:
				cancel()
			case <-ctx.Done():
			}
		})
		data, stat, err := c.srv.reconfigure(ctx, &req, *c.ids.Load())
		var code wire.Code
		switch {
		case err == nil:
		case errors.As(err, &code):
			c.srv.log.Info("reconfiguration refused", "session", sessionID(c.session), "cause", err)
		default: // what became of it is not known, and that is what a closed connection says
			c.srv.log.Warn("reconfiguration broken off", "session", sessionID(c.session), "cause", err)
			c.close()
			return
		}
		s.req = data
		st := &c.srv.state
		st.mu.RLock()
		s.complete(tree.Result{Zxid: st.tree.Zxid(), Err: code, Stat: stat})
		st.mu.RUnlock()
		c.signal()
	})
}

// reconfigure checks in the order of §3.2 of the protocol reference, and returns the list of members with its Stat. Errors
// that a client is told wrap their code.
func (s *Server) reconfigure(ctx context.Context, req *wire.ReconfigRequest, ids []wire.ID) ([]byte, wire.Stat, error) {
	var none wire.Stat
	switch {
	case !s.cfg.ReconfigEnabled:
		return nil, none, wire.ErrReconfigDisabled
	case s.standalone():
		return nil, none, wire.ErrUnimplemented
	case !s.reconfiguring.TryLock():
		return nil, none, wire.ErrReconfigInProgress
	}
	defer s.reconfiguring.Unlock()
	if err := s.replica.Sync(ctx); err != nil {
		return nil, none, err
	}
	s.state.mu.RLock()
	_, version := s.state.tree.Members()
	allowed := tree.Allowed(s.state.tree.Node(tree.ConfigPath).ACL(), wire.PermWrite, ids)
	s.state.mu.RUnlock()
	if req.ConfigID != -1 && req.ConfigID != version {
		return nil, none, fmt.Errorf("the list of members is %x, not %x: %w", version, req.ConfigID, wire.ErrBadVersion)
	}
	now := s.Members()
	want, lines, err := wanted(now, req)
	switch {
	case err != nil:
		return nil, none, fmt.Errorf("%w: %w", err, wire.ErrBadArguments)
	case !allowed:
		return nil, none, wire.ErrNoAuth
	case slices.ContainsFunc(want, func(m Member) bool { return m.ID > maxID }): // here, for to ZooKeeper it is no error
		return nil, none, fmt.Errorf("numbers go up to %d: %w", maxID, wire.ErrBadArguments)
	}
	if now, err = s.change(ctx, now, want); err != nil {
		return nil, none, err
	}
	return s.publishNow(ctx, now, lines)
}

// change makes the members those wanted: first who is new, then who changes, then who goes, so that the ensemble is never
// smaller than it has to be. It returns the members then. Who goes is retired, not removed: as with ZooKeeper it goes on
// serving its clients, perhaps the very one that asks, until it is stopped.
func (s *Server) change(ctx context.Context, now, want []Member) ([]Member, error) {
	find := func(list []Member, id uint64) int {
		return slices.IndexFunc(list, func(m Member) bool { return m.ID == id })
	}
	done := func(peers []replica.Peer, err error) error {
		if err == nil {
			now = membersOf(peers)
		}
		return err
	}
	add := func(m Member) error {
		return done(s.replica.AddMember(ctx, replica.Peer(m), true)) // like ZooKeeper we take one that is yet to be started
	}
	before := now
	for _, m := range want {
		if find(before, m.ID) < 0 {
			if err := add(m); err != nil {
				return nil, reconfigError(err)
			}
		}
	}
	for _, m := range want {
		i := find(before, m.ID)
		if i < 0 || before[i] == m {
			continue
		}
		if before[i].Addr != m.Addr {
			if err := done(s.replica.RemoveMember(ctx, m.ID)); err != nil {
				return nil, reconfigError(err)
			}
		}
		if err := add(m); err != nil {
			return nil, reconfigError(err)
		}
	}
	for _, m := range before {
		if find(want, m.ID) < 0 {
			if err := done(s.replica.RetireMember(ctx, m.ID)); err != nil {
				return nil, reconfigError(err)
			}
		}
	}
	return now, nil
}

// reconfigError gives an error the code that the protocol has for it.
func reconfigError(err error) error {
	switch {
	case errors.Is(err, ErrChanging):
		return fmt.Errorf("%w: %w", err, wire.ErrReconfigInProgress)
	case errors.Is(err, ErrUnreachable), errors.Is(err, ErrNoMajority):
		return fmt.Errorf("%w: %w", err, wire.ErrNewConfigNoQuorum)
	case errors.Is(err, ErrMemberExists), errors.Is(err, ErrUnknownMember):
		return fmt.Errorf("%w: %w", err, wire.ErrBadArguments)
	}
	return err
}

// wanted returns the members that a request asks for, and the lines that it gives for them.
func wanted(now []Member, req *wire.ReconfigRequest) ([]Member, map[uint64]string, error) {
	joining, lines, err := parseMembers(req.Joining + "," + req.NewMembers)
	if err != nil {
		return nil, nil, err
	}
	whole := strings.TrimSpace(req.NewMembers) != ""
	if whole && strings.TrimSpace(req.Joining+req.Leaving) != "" {
		return nil, nil, errors.New("both a whole list and changes to it")
	}
	var want []Member
	if !whole {
		want = slices.Clone(now)
	}
	for _, m := range joining {
		want = append(slices.DeleteFunc(want, func(o Member) bool { return o.ID == m.ID }), m)
	}
	for text := range strings.SplitSeq(req.Leaving, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		id, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, nil, fmt.Errorf("leaving: %q is no number of a server", text)
		}
		want = slices.DeleteFunc(want, func(m Member) bool { return m.ID == id })
	}
	addrs := make(map[string]uint64)
	for _, m := range want {
		if id, ok := addrs[m.Addr]; ok {
			return nil, nil, fmt.Errorf("servers %d and %d have the same address %s", id, m.ID, m.Addr)
		}
		addrs[m.Addr] = m.ID
	}
	if !slices.ContainsFunc(want, func(m Member) bool { return !m.Observer }) {
		return nil, nil, errors.New("nobody would be left who votes")
	}
	return want, lines, nil
}

// parseMembers reads lines as they stand in zoo.cfg, separated by commas or line ends.
func parseMembers(text string) ([]Member, map[uint64]string, error) {
	var list []Member
	lines := make(map[uint64]string)
	for _, entry := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' }) {
		if entry = strings.TrimSpace(entry); entry == "" || strings.HasPrefix(entry, "version=") {
			continue
		}
		m, line, err := parseMember(entry)
		if err != nil {
			return nil, nil, err
		}
		if _, ok := lines[m.ID]; ok {
			return nil, nil, fmt.Errorf("server %d is there twice", m.ID)
		}
		lines[m.ID] = line
		list = append(list, m)
	}
	return list, lines, nil
}

// parseMember reads server.N=HOST:PORT:PORT[:ROLE][;CLIENT...], and returns it with its role written out. The first port is
// the peer port; we have no use for the second.
func parseMember(text string) (Member, string, error) {
	wrong := func(what string) (Member, string, error) {
		return Member{}, "", fmt.Errorf("%q: %s", text, what)
	}
	key, rest, ok := strings.Cut(text, "=")
	id, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(key), "server."), 10, 64)
	if !ok || err != nil || !strings.HasPrefix(strings.TrimSpace(key), "server.") || id < 1 {
		return wrong("want server.N=HOST:PORT:PORT")
	}
	rest, clients, hasClients := strings.Cut(strings.TrimSpace(rest), ";")
	host, tail := "", rest
	if strings.HasPrefix(rest, "[") {
		host, tail, ok = strings.Cut(rest[1:], "]:")
	} else {
		host, tail, ok = strings.Cut(rest, ":")
	}
	parts := strings.Split(tail, ":")
	if !ok || host == "" || len(parts) < 2 || len(parts) > 3 || !isPort(parts[0]) || !isPort(parts[1]) {
		return wrong("want HOST:PORT:PORT, and perhaps :participant or :observer")
	}
	m := Member{ID: id, Addr: net.JoinHostPort(host, parts[0])}
	line := fmt.Sprintf("server.%d=%s", id, rest)
	switch {
	case len(parts) == 2:
		line += ":" + role(m)
	case strings.EqualFold(parts[2], "observer"):
		m.Observer = true
	case !strings.EqualFold(parts[2], "participant"):
		return wrong("the role is participant or observer")
	}
	if hasClients {
		line += ";" + clients
	}
	return m, line, nil
}

// maxID is the largest number of a server: it is the top byte of the ids of its sessions.
const maxID = 254

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}
