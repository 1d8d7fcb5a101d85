package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/internal/zpath"
)

// parentTries bounds how often a create makes parents that a server's clean-up of empty containers takes away again.
const parentTries = 10

func (spec *createSpec) ttlMillis() int64 {
	return int64((spec.ttl + time.Millisecond - 1) / time.Millisecond)
}

// aclFor returns the ACL of a node to create.
func (c *Client) aclFor(spec *createSpec, shown string) []wire.ACL {
	switch {
	case spec.acl != nil:
		return toWireACL(spec.acl)
	case c.core.cfg.ACL != nil:
		return toWireACL(c.core.cfg.ACL(c.fromChroot(shown)))
	}
	return c.core.openACL
}

// startCreate returns a call that creates a node.
func (s *Session) startCreate(path string, data []byte, spec *createSpec, refused bool) (*call, string, error) {
	op, flags, ok := spec.opFlags()
	full, shown, err := s.c.resolve(path, spec.sequential)
	if err == nil && (!ok || refused) {
		err = fmt.Errorf("%w: options that do not go together", ErrBadArguments)
	}
	if err != nil {
		return nil, shown, &OpError{Op: "create", Path: shown, Session: s.s.id, Err: err}
	}
	k := s.s.call(op, full)
	k.req.data, k.req.flags, k.req.ttl = data, flags, spec.ttlMillis()
	k.req.acl = s.c.aclFor(spec, shown)
	return k, shown, nil
}

// Create makes a node and returns it with its full name.
func (s *Session) Create(ctx context.Context, path string, data []byte, o ...CreateOption) (Node, error) {
	spec := newCreateSpec(o)
	if spec.protected {
		return s.createProtected(ctx, newGuard(path), data, &spec)
	}
	return s.createWithParents(ctx, path, data, &spec)
}

// createWithParents makes a node, and its parents if that is wanted and they are missing.
func (s *Session) createWithParents(ctx context.Context, path string, data []byte, spec *createSpec) (Node, error) {
	for try := 1; ; try++ {
		node, err := s.createOnce(ctx, path, data, spec)
		if !spec.parents || !errors.Is(err, ErrNoNode) || try == parentTries {
			return node, err
		}
		parent, _ := zpath.Split(zpath.Join("", path+"0")) // a path that ends in a slash names its parent
		if err := s.createParent(ctx, parent); err != nil {
			return Node{}, err
		}
	}
}

func (s *Session) createOnce(ctx context.Context, path string, data []byte, spec *createSpec) (Node, error) {
	k, shown, err := s.startCreate(path, data, spec, false)
	if err != nil {
		return Node{}, err
	}
	defer s.s.release(k)
	if spec.siblings != nil {
		s.runWithSiblings(ctx, k, spec.siblings)
	} else {
		s.s.run(ctx, k)
	}
	if err := s.failure(k, shown); err != nil {
		return Node{}, err
	}
	return Node{Path: s.c.show(k.rep.path), Data: data, Stat: Stat(k.rep.stat)}, nil
}

// runWithSiblings carries out a create, and a list of its parent behind it.
func (s *Session) runWithSiblings(ctx context.Context, create *call, names *[]string) {
	parent, _ := zpath.Split(zpath.Join("", create.req.path+"0"))
	list := s.s.call(wire.OpGetChildren2, parent)
	defer s.s.release(list)
	s.s.run(ctx, create, list)
	*names = nil
	if s.failure(list, s.c.show(parent)) == nil {
		*names = list.rep.names
	}
}

// createParent makes a node for others to stand below, and its parents first. That somebody else was faster is fine,
// and so is a lost reply that leaves it made: the create that needs it will tell.
func (s *Session) createParent(ctx context.Context, path string) error {
	err := s.createDir(ctx, path)
	if errors.Is(err, ErrNoNode) && path != "/" {
		parent, _ := zpath.Split(path)
		if err = s.createParent(ctx, parent); err == nil {
			err = s.createDir(ctx, path)
		}
	}
	var op *OpError
	switch {
	case errors.Is(err, ErrNodeExists), errors.Is(err, ErrNoNode):
		return nil
	case errors.As(err, &op) && op.MaybeApplied && ctx.Err() == nil && s.s.ctx.Err() == nil:
		return nil
	}
	return err
}

// createDir makes a container, or a persistent node where the server knows no containers.
func (s *Session) createDir(ctx context.Context, path string) error {
	if path == "/" && s.c.ns != "" {
		return s.rooted().createParent(ctx, s.c.ns)
	}
	_, err := s.createOnce(ctx, path, nil, &createSpec{container: true})
	if errors.Is(err, ErrUnimplemented) {
		_, err = s.createOnce(ctx, path, nil, &createSpec{})
	}
	return err
}

// rooted returns the session without any namespace, for making the chroot itself.
func (s *Session) rooted() *Session {
	return &Session{s: s.s, c: &Client{core: s.s.core, above: true}}
}
