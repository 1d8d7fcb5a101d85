package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/docent-io/docent/client"
)

// Update replaces the value at path by what f makes of it, and returns that. If somebody else changes it at the same
// time, f is called again with the outcome of that. Where there is no node, f gets the Default or else the zero value,
// and the node is created with its parents. An error of f or of Validate ends it, and nothing is changed. A present
// value that cannot be decoded is a *RejectedError; one that Validate refuses may be repaired.
//
// When the reply is lost, Update finds out on the same session what happened. Where that cannot be told, because others
// have changed the value meanwhile or the session has ended, it fails with an error that matches client.ErrMaybeApplied.
func Update[T any](ctx context.Context, c *client.Client, path string, f func(T) (T, error), o ...Option[T]) (T, error) {
	u := updater[T]{path: path, opts: newOptions(o), f: f}
	for {
		s, err := c.Session(ctx)
		if err != nil {
			return *new(T), fmt.Errorf("update %s: %w", path, err)
		}
		v, done, err := u.try(ctx, s)
		if err != nil && (s.Context().Err() == nil || ctx.Err() != nil || errors.Is(err, client.ErrMaybeApplied)) {
			return *new(T), fmt.Errorf("update %s: %w", path, err)
		}
		if done && err == nil {
			return v, nil
		} // else somebody was faster, or the session ended before anything was written
	}
}

type updater[T any] struct {
	path string
	opts *options[T]
	f    func(T) (T, error)
}

// try makes one attempt, and tells whether the value was replaced.
func (u updater[T]) try(ctx context.Context, s *client.Session) (v T, done bool, err error) {
	before, there, err := get(ctx, s, u.path)
	if err != nil {
		return v, false, err
	}
	if there {
		if v, err = u.opts.codec.Decode(before.Data); err != nil {
			return v, false, &RejectedError{Path: u.path, Version: versionOf(before.Stat), Err: err}
		}
	} else if u.opts.def != nil {
		v = *u.opts.def
	}
	if v, err = u.f(v); err == nil {
		err = u.opts.check(v)
	}
	if err != nil {
		return v, false, err
	}
	data, err := u.opts.codec.Encode(v)
	if err != nil {
		return v, false, err
	}
	done, err = swap(ctx, s, u.path, before, there, data)
	return v, done, err
}

// get reads a node as it is now, if it is there.
func get(ctx context.Context, s *client.Session, path string) (node client.Node, there bool, err error) {
	node, err = s.Get(ctx, path, client.Fresh())
	if errors.Is(err, client.ErrNoNode) {
		return client.Node{}, false, nil
	}
	return node, err == nil, err
}

// swap makes the node hold data if it still is as it was before, and tells whether it did.
func swap(ctx context.Context, s *client.Session, path string, before client.Node, there bool, data []byte) (bool, error) {
	var err error
	switch {
	case !there:
		_, err = s.Create(ctx, path, data, client.Parents())
	case bytes.Equal(before.Data, data):
		return true, nil
	case before.Stat.Version == -1:
		return false, unwrap(ctx, s, path)
	default:
		_, err = s.Set(ctx, path, data, before.Stat.Version)
	}
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, client.ErrBadVersion), errors.Is(err, client.ErrNodeExists), errors.Is(err, client.ErrNoNode):
		return false, nil
	case errors.Is(err, client.ErrMaybeApplied) && ctx.Err() == nil:
		return settle(ctx, s, path, before, there, data, err)
	}
	return false, err
}

// settle finds out whether a swap took place whose reply was lost. The request was sent on this session, so once that
// is attached again the request can no longer be under way.
func settle(ctx context.Context, s *client.Session, path string, before client.Node, there bool, data []byte, lost error) (bool, error) {
	after, thereNow, err := get(ctx, s, path)
	if err != nil {
		return false, errors.Join(lost, err)
	}
	next := before.Stat.Version + 1
	if !there {
		next = 0
	}
	switch {
	case !there && !thereNow,
		there && thereNow && after.Stat.Czxid == before.Stat.Czxid && after.Stat.Version == before.Stat.Version:
		return false, nil // nothing has happened
	case thereNow && after.Stat.Version == next && (!there || after.Stat.Czxid == before.Stat.Czxid):
		return bytes.Equal(after.Data, data), nil // the one write since was ours, or another's
	}
	return false, lost
}
