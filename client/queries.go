package client

import (
	"context"
	"fmt"
	"strings"

	"github.com/docent-io/docent/internal/wire"
)

// The operations that came to the protocol after ZooKeeper 3.5. Older servers answer ErrUnimplemented, or close the
// connection: then a call lasts until its context ends.

// Found is what GetAll found at one path.
type Found struct {
	Node Node
	Err  error // why there is none: ErrNoNode, ErrNoAuth
}

// GetAll reads nodes in one request, and returns what it found in the order of the paths; that one cannot be read does
// not affect the others. On a docent server it sees all of them at one moment. Apache ZooKeeper (since 3.6) reads one
// after the other, with other clients' writes in between.
func (s *Session) GetAll(ctx context.Context, paths ...string) ([]Found, error) {
	k, shown, err := s.startGetAll(paths)
	if err != nil {
		return nil, err
	}
	defer s.s.release(k)
	s.s.run(ctx, k)
	if err := s.failure(k, ""); err != nil {
		return nil, err
	}
	if len(k.rep.results) != len(paths) {
		return nil, &OpError{Op: k.req.op.String(), Session: s.s.id, Err: fmt.Errorf("%w: %d results of %d reads", ErrProtocol, len(k.rep.results), len(paths))}
	}
	found := make([]Found, len(paths))
	for i, r := range k.rep.results {
		if r.Op == wire.OpError {
			found[i].Err = &OpError{Op: wire.OpGetData.String(), Path: shown[i], Session: s.s.id, Err: Code(r.Err)}
			continue
		}
		found[i].Node = Node{Path: shown[i], Data: r.Data, Stat: Stat(r.Stat)}
	}
	return found, nil
}

func (s *Session) startGetAll(paths []string) (k *call, shown []string, err error) {
	ops := make([]wire.MultiOp, len(paths))
	shown = make([]string, len(paths))
	for i, path := range paths {
		var full string
		if full, shown[i], err = s.c.resolve(path, false); err != nil {
			return nil, nil, &OpError{Op: wire.OpMultiRead.String(), Path: shown[i], Session: s.s.id, Err: err}
		}
		ops[i] = wire.MultiOp{Op: wire.OpGetData, Read: wire.PathWatchRequest{Path: full}}
	}
	k = s.s.call(wire.OpMultiRead, "")
	k.req.ops = ops
	return k, shown, nil
}

// CountDescendants returns how many nodes stand below a node, at any depth (getAllChildrenNumber; ZooKeeper since 3.6).
func (s *Session) CountDescendants(ctx context.Context, path string, o ...ReadOption) (int, error) {
	k, shown, err := s.start(wire.OpGetAllChildrenNumber, path)
	if err != nil {
		return 0, err
	}
	defer s.s.release(k)
	if err := s.read(ctx, k, shown, o); err != nil {
		return 0, err
	}
	return int(k.rep.count), nil
}

// Ephemerals returns the paths of this session's ephemeral nodes that begin with prefix, in no particular order
// (getEphemerals; ZooKeeper since 3.6). The prefix is one of the text, not of whole names: "/a" finds "/ab", too; "" and
// "/" find all. Those outside the client's chroot are left out.
func (s *Session) Ephemerals(ctx context.Context, prefix string) ([]string, error) {
	if prefix == "" || prefix[0] != '/' {
		prefix = "/" + prefix
	}
	k := s.s.call(wire.OpGetEphemerals, s.c.ns+prefix)
	defer s.s.release(k)
	s.s.run(ctx, k)
	if err := s.failure(k, prefix); err != nil {
		return nil, err
	}
	names := k.rep.names[:0]
	for _, full := range k.rep.names {
		if full == s.c.ns || strings.HasPrefix(full, s.c.ns+"/") {
			names = append(names, s.c.show(full))
		}
	}
	return names, nil
}

// ID is an identity, such as {digest bob} or {ip 10.1.2.3}: what ACLs name.
type ID struct {
	Scheme string
	Name   string
}

// WhoAmI returns the identities that the server knows this session's connection by (ZooKeeper since 3.7): those of
// Config.Auth it accepted, without their secrets, that of a client certificate, and the address.
func (s *Session) WhoAmI(ctx context.Context) ([]ID, error) {
	k := s.s.call(wire.OpWhoAmI, "")
	defer s.s.release(k)
	s.s.run(ctx, k)
	if err := s.failure(k, ""); err != nil {
		return nil, err
	}
	ids := make([]ID, len(k.rep.ids))
	for i, id := range k.rep.ids {
		ids[i] = ID{id.Scheme, id.ID}
	}
	return ids, nil
}

// Members says how to change the members of an ensemble (the protocol's reconfig): either Joining and Leaving, or All.
// Each is in ZooKeeper's own words.
type Members struct {
	Joining string // server.4=host:2888:3888:participant;2181 and so on, separated by commas
	Leaving string // server numbers, separated by commas
	All     string // every member from now on, as in Joining
	// IfConfig makes the change conditional: the version (in hexadecimal, in the text of the configuration) that is to
	// be replaced. -1: whatever there is.
	IfConfig int64
}

// Reconfigure changes the members of an ensemble that permits it to this client, and returns the new configuration as the
// node /zookeeper/config. Servers that do not permit it answer ErrReconfigDisabled.
func (s *Session) Reconfigure(ctx context.Context, m Members) (Node, error) {
	const config = "/zookeeper/config"
	k := s.s.call(wire.OpReconfig, config)
	defer s.s.release(k)
	k.req.change = &wire.ReconfigRequest{Joining: m.Joining, Leaving: m.Leaving, NewMembers: m.All, ConfigID: m.IfConfig}
	s.s.run(ctx, k)
	if err := s.failure(k, config); err != nil {
		return Node{}, err
	}
	return Node{Path: config, Data: k.rep.data, Stat: Stat(k.rep.stat)}, nil
}
