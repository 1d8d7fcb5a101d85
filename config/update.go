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
// value that cannot be decoded is a *RejectedError; one that Validate refuses may be repaired. What f makes the same of
// as it was is not written.
//
// When the reply is lost, Update finds out whether the value was replaced. Where that cannot be told, because others may
// have written just the same, it calls f once more: if f changes nothing any more (as one that sets a field does), all is
// well; else (as with one that counts) it fails with an error that matches client.ErrMaybeApplied.
func Update[T any](ctx context.Context, c *client.Client, path string, f func(T) (T, error), o ...Option[T]) (T, error) {
	u := updater[T]{path: path, opts: newOptions(o), f: f}
	for {
		s, err := c.Session(ctx)
		if err == nil {
			var v T
			var done bool
			if v, done, err = u.try(ctx, s); done {
				return v, nil
			}
			if err == nil || s.Context().Err() != nil && ctx.Err() == nil {
				continue // somebody was faster, or the session ended: look again
			}
		}
		if u.lost != nil && !errors.Is(err, client.ErrMaybeApplied) {
			err = errors.Join(err, u.lost)
		}
		return *new(T), fmt.Errorf("update %s: %w", path, err)
	}
}

type updater[T any] struct {
	path string
	opts *options[T]
	f    func(T) (T, error)
	lost error // of a write that may have taken place
}

// state is a node as it was read.
type state struct {
	client.Node
	there bool
}

// try makes one attempt, and tells whether the value is now as f makes it.
func (u *updater[T]) try(ctx context.Context, s *client.Session) (v T, done bool, err error) {
	before, err := get(ctx, s, u.path)
	if err != nil {
		return v, false, err
	}
	v, data, err := u.next(before)
	switch {
	case err != nil:
		return v, false, err
	case before.there && bytes.Equal(before.Data, data):
		return v, true, nil
	case u.lost != nil:
		return v, false, u.lost
	}
	done, err = swap(ctx, s, u.path, before, data)
	if errors.Is(err, client.ErrMaybeApplied) && ctx.Err() == nil {
		err = u.settle(ctx, s, before, data, err)
	}
	return v, done, err
}

// next is what f makes of the value, and its bytes.
func (u *updater[T]) next(before state) (v T, data []byte, err error) {
	switch {
	case before.there:
		if v, err = u.opts.codec.Decode(before.Data); err != nil {
			return v, nil, &RejectedError{Path: u.path, Version: versionOf(before.Stat), Err: err}
		}
	case u.opts.def != nil:
		v = *u.opts.def
	}
	if v, err = u.f(v); err == nil {
		err = u.opts.check(v)
	}
	if err == nil {
		data, err = u.opts.codec.Encode(v)
	}
	return v, data, err
}

// settle finds out what became of a swap whose reply was lost. It leaves lost set if that cannot be told.
func (u *updater[T]) settle(ctx context.Context, s *client.Session, before state, data []byte, lost error) error {
	u.lost = lost
	after, err := get(ctx, s, u.path)
	if err == nil && before.refutes(after, data) {
		u.lost = nil
	}
	return err
}

// refutes tells whether the state after shows that a write of data over the state before did not take place. The state
// after was read on the session that wrote, attached anew: what its old connection had sent is no longer under way.
func (before state) refutes(after state, data []byte) bool {
	switch {
	case !before.there && !after.there:
		return true
	case !before.there:
		return after.Stat.Version == 0 && !bytes.Equal(after.Data, data) // created by another
	case !after.there || after.Stat.Czxid != before.Stat.Czxid:
		return false
	}
	return after.Stat.Version == before.Stat.Version || // nothing was written
		after.Stat.Version == before.Stat.Version+1 && !bytes.Equal(after.Data, data) // another was faster
}

// get reads a node as it is now, if it is there.
func get(ctx context.Context, s *client.Session, path string) (state, error) {
	node, err := s.Get(ctx, path, client.Fresh())
	if errors.Is(err, client.ErrNoNode) {
		return state{}, nil
	}
	return state{node, err == nil}, err
}

// swap makes the node hold data if it still is as it was before, and tells whether it did.
func swap(ctx context.Context, s *client.Session, path string, before state, data []byte) (bool, error) {
	var err error
	switch {
	case !before.there:
		_, err = s.Create(ctx, path, data, client.Parents())
	case before.Stat.Version == -1:
		return false, unwrap(ctx, s, path)
	default:
		_, err = s.Set(ctx, path, data, before.Stat.Version)
	}
	if errors.Is(err, client.ErrBadVersion) || errors.Is(err, client.ErrNodeExists) || errors.Is(err, client.ErrNoNode) {
		return false, nil
	}
	return err == nil, err
}
