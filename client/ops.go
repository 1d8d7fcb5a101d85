package client

import (
	"context"
	"errors"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// Ops are the operations of an ensemble. Both *Client (any session, repeats what is safe to repeat) and *Session
// (pinned) have them. Errors are of type *OpError, and *TxnError in those of transactions.
type Ops interface {
	// Create makes a node and returns it with its full name. Whatever the options, a missing parent is ErrNoNode, unless
	// Parents is one of them.
	Create(ctx context.Context, path string, data []byte, o ...CreateOption) (Node, error)
	// Get reads a node.
	Get(ctx context.Context, path string, o ...ReadOption) (Node, error)
	// Exists tells whether there is such a node. That there is none is no error.
	Exists(ctx context.Context, path string, o ...ReadOption) (Stat, bool, error)
	// Children returns the names of a node's children, in no particular order, and the node's Stat.
	Children(ctx context.Context, path string, o ...ReadOption) ([]string, Stat, error)
	// Set replaces a node's data if version is that of its data, or -1.
	Set(ctx context.Context, path string, data []byte, version int32) (Stat, error)
	// Delete removes a node without children if version is that of its data, or -1.
	Delete(ctx context.Context, path string, version int32) error
	// Sync makes the server catch up with its leader: later reads see all that was finished before.
	Sync(ctx context.Context, path string) error
	// GetACL reads a node's ACL.
	GetACL(ctx context.Context, path string) ([]ACL, Stat, error)
	// SetACL replaces a node's ACL if version is that of its ACL (Stat.Aversion), or -1.
	SetACL(ctx context.Context, path string, acl []ACL, version int32) (Stat, error)
	// Txn begins a transaction: operations that are carried out all or not at all.
	Txn() *Txn
}

var (
	_ Ops = (*Client)(nil)
	_ Ops = (*Session)(nil)
)

// start returns a call of operation op on a path of the session's namespace, and that path as results show it.
func (s *Session) start(op wire.Op, path string) (*call, string, error) {
	full, shown, err := s.c.resolve(path, false)
	if err != nil {
		return nil, shown, &OpError{Op: op.String(), Path: shown, Session: s.s.id, Err: err}
	}
	return s.s.call(op, full), shown, nil
}

// failure returns the error of a call that has ended: nil if it was answered with success. It reports the call to the
// hook, so it is to be called once.
func (s *Session) failure(k *call, shown string) error {
	err := k.err
	if err == nil && k.rep.code != 0 {
		err = k.rep.code
	}
	if hook := s.s.core.cfg.Hooks.Request; hook != nil {
		hook(RequestInfo{
			Context: k.ctx, Session: s.s.id, Op: k.req.op.String(), Path: k.req.path,
			Duration: time.Since(k.began), Err: err, MaybeApplied: k.maybe,
		})
	}
	if err == nil {
		return nil
	}
	return &OpError{Op: k.req.op.String(), Path: shown, Session: s.s.id, MaybeApplied: k.maybe, Err: err}
}

// read carries out a read, behind a sync in the same flight if it is to be fresh.
func (s *Session) read(ctx context.Context, k *call, shown string, opts []ReadOption) error {
	if !fresh(opts) {
		s.s.run(ctx, k)
		return s.failure(k, shown)
	}
	first := s.s.call(wire.OpSync, k.req.path)
	s.s.run(ctx, first, k)
	err, own := s.failure(first, shown), s.failure(k, shown)
	s.s.release(first)
	if err != nil {
		return err
	}
	return own
}

// Get reads a node.
func (s *Session) Get(ctx context.Context, path string, o ...ReadOption) (Node, error) {
	k, shown, err := s.start(wire.OpGetData, path)
	if err != nil {
		return Node{}, err
	}
	defer s.s.release(k)
	if err := s.read(ctx, k, shown, o); err != nil {
		return Node{}, err
	}
	return Node{Path: shown, Data: k.rep.data, Stat: Stat(k.rep.stat)}, nil
}

// Exists tells whether there is such a node.
func (s *Session) Exists(ctx context.Context, path string, o ...ReadOption) (Stat, bool, error) {
	k, shown, err := s.start(wire.OpExists, path)
	if err != nil {
		return Stat{}, false, err
	}
	defer s.s.release(k)
	return existsResult(k, s.read(ctx, k, shown, o))
}

// existsResult makes an answer of the error that says the node is absent.
func existsResult(k *call, err error) (Stat, bool, error) {
	switch {
	case err == nil:
		return Stat(k.rep.stat), true, nil
	case errors.Is(err, ErrNoNode):
		return Stat{}, false, nil
	}
	return Stat{}, false, err
}

// Children returns the names of a node's children, in no particular order, and the node's Stat.
func (s *Session) Children(ctx context.Context, path string, o ...ReadOption) ([]string, Stat, error) {
	k, shown, err := s.start(wire.OpGetChildren2, path)
	if err != nil {
		return nil, Stat{}, err
	}
	defer s.s.release(k)
	if err := s.read(ctx, k, shown, o); err != nil {
		return nil, Stat{}, err
	}
	return k.rep.names, Stat(k.rep.stat), nil
}

// Set replaces a node's data if version is that of its data, or -1.
func (s *Session) Set(ctx context.Context, path string, data []byte, version int32) (Stat, error) {
	k, shown, err := s.start(wire.OpSetData, path)
	if err != nil {
		return Stat{}, err
	}
	defer s.s.release(k)
	k.req.data, k.req.version = data, version
	s.s.run(ctx, k)
	if err := s.failure(k, shown); err != nil {
		return Stat{}, err
	}
	return Stat(k.rep.stat), nil
}

// Delete removes a node without children if version is that of its data, or -1.
func (s *Session) Delete(ctx context.Context, path string, version int32) error {
	k, shown, err := s.start(wire.OpDelete, path)
	if err != nil {
		return err
	}
	defer s.s.release(k)
	k.req.version = version
	s.s.run(ctx, k)
	return s.failure(k, shown)
}

// Sync makes the server catch up with its leader: later reads on this session see all that was finished before.
func (s *Session) Sync(ctx context.Context, path string) error {
	k, shown, err := s.start(wire.OpSync, path)
	if err != nil {
		return err
	}
	defer s.s.release(k)
	s.s.run(ctx, k)
	return s.failure(k, shown)
}

// GetACL reads a node's ACL.
func (s *Session) GetACL(ctx context.Context, path string) ([]ACL, Stat, error) {
	k, shown, err := s.start(wire.OpGetACL, path)
	if err != nil {
		return nil, Stat{}, err
	}
	defer s.s.release(k)
	s.s.run(ctx, k)
	if err := s.failure(k, shown); err != nil {
		return nil, Stat{}, err
	}
	return fromWireACL(k.rep.acl), Stat(k.rep.stat), nil
}

// SetACL replaces a node's ACL if version is that of its ACL (Stat.Aversion), or -1.
func (s *Session) SetACL(ctx context.Context, path string, acl []ACL, version int32) (Stat, error) {
	k, shown, err := s.start(wire.OpSetACL, path)
	if err != nil {
		return Stat{}, err
	}
	defer s.s.release(k)
	k.req.acl, k.req.version = toWireACL(acl), version
	s.s.run(ctx, k)
	if err := s.failure(k, shown); err != nil {
		return Stat{}, err
	}
	return Stat(k.rep.stat), nil
}

func toWireACL(acl []ACL) []wire.ACL {
	list := make([]wire.ACL, len(acl))
	for i, a := range acl {
		list[i] = wire.ACL(a)
	}
	return list
}

func fromWireACL(acl []wire.ACL) []ACL {
	list := make([]ACL, len(acl))
	for i, a := range acl {
		list[i] = ACL(a)
	}
	return list
}
