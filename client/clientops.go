package client

import (
	"context"
	"errors"
)

// Create makes a node and returns it with its full name. With Ephemeral it belongs to the session of that moment; use
// Session.Create if you need to know which. It is repeated only if it was provably never sent, or is Protected.
func (c *Client) Create(ctx context.Context, path string, data []byte, o ...CreateOption) (n Node, err error) {
	spec := newCreateSpec(o)
	if spec.protected {
		return c.createProtected(ctx, path, data, &spec)
	}
	for t := c.tries(ctx); t.next("create", path, &err); {
		n, err = t.s.createWithParents(ctx, path, data, &spec)
	}
	return n, err
}

// createProtected goes on where Session's leaves off: when the session has ended. An ephemeral of that session goes
// with it, so the next one begins anew; other nodes are looked for first.
func (c *Client) createProtected(ctx context.Context, path string, data []byte, spec *createSpec) (n Node, err error) {
	g := newGuard(path)
	doubt := false
	for t := c.tries(ctx); t.next("create", path, &err); {
		if doubt {
			var found bool
			if n, found, err = t.s.find(ctx, g, spec); found || err != nil {
				n.Data = data
				continue
			}
		}
		n, err = t.s.createProtected(ctx, g, data, spec)
		var op *OpError
		if ctx.Err() == nil && t.s.s.ctx.Err() != nil && errors.As(err, &op) && op.MaybeApplied {
			doubt = !spec.ephemeral
			if spec.ephemeral {
				g = newGuard(path)
			}
			// The doubt is ours now; that the session has ended makes it repeatable.
			err = &OpError{Op: op.Op, Path: op.Path, Session: op.Session, Err: context.Cause(t.s.Context())}
		}
	}
	if doubt && err != nil {
		err = &OpError{Op: "create", Path: path, MaybeApplied: true, Err: err}
	}
	return n, err
}

// Get reads a node.
func (c *Client) Get(ctx context.Context, path string, o ...ReadOption) (n Node, err error) {
	for t := c.tries(ctx); t.next("getData", path, &err); {
		n, err = t.s.Get(ctx, path, o...)
	}
	return n, err
}

// Exists tells whether there is such a node.
func (c *Client) Exists(ctx context.Context, path string, o ...ReadOption) (st Stat, ok bool, err error) {
	for t := c.tries(ctx); t.next("exists", path, &err); {
		st, ok, err = t.s.Exists(ctx, path, o...)
	}
	return st, ok, err
}

// Children returns the names of a node's children, in no particular order, and the node's Stat.
func (c *Client) Children(ctx context.Context, path string, o ...ReadOption) (names []string, st Stat, err error) {
	for t := c.tries(ctx); t.next("getChildren2", path, &err); {
		names, st, err = t.s.Children(ctx, path, o...)
	}
	return names, st, err
}

// Set replaces a node's data if version is that of its data, or -1. It is repeated only if it was provably never sent.
func (c *Client) Set(ctx context.Context, path string, data []byte, version int32) (st Stat, err error) {
	for t := c.tries(ctx); t.next("setData", path, &err); {
		st, err = t.s.Set(ctx, path, data, version)
	}
	return st, err
}

// Delete removes a node without children if version is that of its data, or -1. It is repeated only if it was provably
// never sent.
func (c *Client) Delete(ctx context.Context, path string, version int32) (err error) {
	for t := c.tries(ctx); t.next("delete", path, &err); {
		err = t.s.Delete(ctx, path, version)
	}
	return err
}

// Sync makes the server catch up with its leader: later reads see all that was finished before.
func (c *Client) Sync(ctx context.Context, path string) (err error) {
	for t := c.tries(ctx); t.next("sync", path, &err); {
		err = t.s.Sync(ctx, path)
	}
	return err
}

// GetACL reads a node's ACL.
func (c *Client) GetACL(ctx context.Context, path string) (acl []ACL, st Stat, err error) {
	for t := c.tries(ctx); t.next("getACL", path, &err); {
		acl, st, err = t.s.GetACL(ctx, path)
	}
	return acl, st, err
}

// SetACL replaces a node's ACL if version is that of its ACL (Stat.Aversion), or -1. It is repeated only if it was
// provably never sent.
func (c *Client) SetACL(ctx context.Context, path string, acl []ACL, version int32) (st Stat, err error) {
	for t := c.tries(ctx); t.next("setACL", path, &err); {
		st, err = t.s.SetACL(ctx, path, acl, version)
	}
	return st, err
}

// GetAll reads nodes in one request; see Session.GetAll.
func (c *Client) GetAll(ctx context.Context, paths ...string) (found []Found, err error) {
	for t := c.tries(ctx); t.next("multiRead", "", &err); {
		found, err = t.s.GetAll(ctx, paths...)
	}
	return found, err
}

// CountDescendants returns how many nodes stand below a node, at any depth; see Session.CountDescendants.
func (c *Client) CountDescendants(ctx context.Context, path string, o ...ReadOption) (n int, err error) {
	for t := c.tries(ctx); t.next("getAllChildrenNumber", path, &err); {
		n, err = t.s.CountDescendants(ctx, path, o...)
	}
	return n, err
}

// WhoAmI returns the identities that the server knows the connection by; see Session.WhoAmI.
func (c *Client) WhoAmI(ctx context.Context) (ids []ID, err error) {
	for t := c.tries(ctx); t.next("whoAmI", "", &err); {
		ids, err = t.s.WhoAmI(ctx)
	}
	return ids, err
}
