package rendezvous

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/docent-io/docent/client"
)

// ErrPosted: another master's posting lives. The error is a *PostedError that tells whose.
var ErrPosted = errors.New("another master has posted")

// PostedError tells whose posting is in the way. It matches ErrPosted.
type PostedError struct {
	By    string    // the identity of its client
	Epoch uint64    // of its posting
	Since time.Time // by the server's clock
}

// Error implements error.
func (e *PostedError) Error() string {
	return fmt.Sprintf("%v: %s, %v ago", ErrPosted, e.By, time.Since(e.Since).Round(time.Second))
}

// Is makes errors.Is(err, ErrPosted) work.
func (e *PostedError) Is(target error) bool { return target == ErrPosted }

// Post shows v to all who wait and follow, until the session ends, Withdraw is called or, with OnTerm, the term ends.
// Posting again on the same session replaces v under the same epoch. It fails with a *PostedError when the posting of
// another session lives, unless that is of an earlier term than ours; the posting of a master that has just died lives
// for as long as its session does. On an error that matches client.ErrMaybeApplied it may have been posted.
func (p *Point[T]) Post(ctx context.Context, v T) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("post %s: encode %T: %w", p.path, v, err)
	}
	data, err := json.Marshal(envelope{By: p.c.Identity(), Token: p.token(), Value: value})
	if err != nil {
		return fmt.Errorf("post %s: %w", p.path, err)
	}
	s, err := p.session(ctx)
	if err == nil {
		err = p.post(ctx, s, data)
	}
	if err != nil {
		return fmt.Errorf("post %s: %w", p.path, err)
	}
	return nil
}

// Withdraw takes our posting back, if there is one of this client's session (with OnTerm: of the term).
func (p *Point[T]) Withdraw(ctx context.Context) error {
	s, err := p.session(ctx)
	if err == nil {
		err = p.takeBack(ctx, s)
	}
	if err != nil {
		return fmt.Errorf("withdraw %s: %w", p.path, err)
	}
	return nil
}

func (p *Point[T]) token() uint64 {
	if p.term == nil {
		return 0
	}
	return p.term.Token()
}

// session returns the session to post on: the term's, as seen through our client's namespace if that is on it too.
func (p *Point[T]) session(ctx context.Context) (*client.Session, error) {
	if p.term == nil {
		return p.c.Session(ctx)
	}
	if p.term.Context().Err() != nil {
		return nil, fmt.Errorf("the term has ended: %w", context.Cause(p.term.Context()))
	}
	s, err := p.c.Session(ctx)
	if err != nil || s.ID() != p.term.Session().ID() {
		return p.term.Session(), nil
	}
	return s, nil
}

// post puts data there, and sees to it that they end with the term.
func (p *Point[T]) post(ctx context.Context, s *client.Session, data []byte) error {
	created, err := p.put(ctx, s, data)
	if p.term == nil || !created && err == nil {
		return err
	}
	// A posting whose outcome is unknown has to go too. This ends with the session, if not before.
	stop := context.AfterFunc(p.term.Context(), func() { _ = p.takeBack(s.Context(), s) })
	if err != nil && !errors.Is(err, client.ErrMaybeApplied) {
		stop()
	}
	return err
}

// put creates the posting, or makes what is there hold data if that is ours. It tells whether it created it.
func (p *Point[T]) put(ctx context.Context, s *client.Session, data []byte) (created bool, err error) {
	for {
		_, err := s.Create(ctx, p.info(), data, client.Ephemeral(), client.Parents())
		if errors.Is(err, client.ErrNodeExists) {
			created, err = p.replace(ctx, s, data)
		} else {
			created = err == nil
		}
		again := errors.Is(err, client.ErrMaybeApplied) || // look whether it was
			errors.Is(err, client.ErrNoNode) || errors.Is(err, client.ErrBadVersion) // something came in between
		if !again || ctx.Err() != nil {
			return created, err
		}
	}
}

// replace is called when there is a posting. Ours gets new data; that of an earlier term makes way for a new epoch.
func (p *Point[T]) replace(ctx context.Context, s *client.Session, data []byte) (created bool, err error) {
	node, err := s.Get(ctx, p.info())
	if err != nil {
		return false, err
	}
	var old envelope
	_ = json.Unmarshal(node.Data, &old) // what a stranger posted has no token and no name
	switch ours := node.Stat.EphemeralOwner == s.ID(); {
	case ours && old.Token == p.token():
		_, err = s.Set(ctx, p.info(), data, node.Stat.Version)
		return false, err
	case old.Token < p.token() && (ours || old.Token > 0):
		_, err = s.Txn().Delete(p.info(), node.Stat.Version).Create(p.info(), data, client.Ephemeral()).Commit(ctx)
		return err == nil, err
	}
	return false, &PostedError{By: old.By, Epoch: uint64(node.Stat.Czxid), Since: time.UnixMilli(node.Stat.Ctime)}
}

// takeBack deletes the posting if it is of this session and, where there are terms, of this one: another term of the
// same process may have posted since.
func (p *Point[T]) takeBack(ctx context.Context, s *client.Session) error {
	for {
		node, err := s.Get(ctx, p.info(), client.Fresh())
		if err == nil {
			var old envelope
			_ = json.Unmarshal(node.Data, &old)
			if node.Stat.EphemeralOwner != s.ID() || old.Token != p.token() {
				return nil
			}
			err = s.Delete(ctx, p.info(), node.Stat.Version)
		}
		switch {
		case err == nil, errors.Is(err, client.ErrNoNode):
			return nil
		case !errors.Is(err, client.ErrMaybeApplied) && !errors.Is(err, client.ErrBadVersion) || ctx.Err() != nil:
			return err
		}
	}
}
