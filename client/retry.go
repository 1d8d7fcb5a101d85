package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// decorrelated is a backoff whose pauses spread: each is drawn between the least pause and three times the last one
// ("decorrelated jitter", Marc Brooker, AWS Architecture Blog, 2015). It never stops by itself.
type decorrelated struct {
	least, most, last time.Duration
}

var _ backoff.BackOff = (*decorrelated)(nil)

func (d *decorrelated) Reset() { d.last = 0 }

func (d *decorrelated) NextBackOff() time.Duration {
	upper := max(3*d.last, d.least+1)
	d.last = min(d.least+rand.N(upper-d.least), d.most)
	return d.last
}

// pauses returns the pauses of one operation.
func (p RetryPolicy) pauses() backoff.BackOff {
	return &decorrelated{least: p.Initial, most: max(p.Initial, p.Max)}
}

// tries is a loop over attempts at one operation of a Client:
//
//	for t := c.tries(ctx); t.next(op, path, &err); {
//		value, err = t.s.Get(ctx, path)
//	}
type tries struct {
	c     *Client
	ctx   context.Context
	s     *Session
	n     int
	pause backoff.BackOff
}

func (c *Client) tries(ctx context.Context) tries { return tries{c: c, ctx: ctx} }

// next finds a session for the next attempt. It returns false when there is to be none: the last one succeeded or is
// not to be repeated, or there is no session, which *err then tells.
func (t *tries) next(op, path string, err *error) bool {
	if t.n > 0 && (!repeatable(*err) || !t.wait()) {
		return false
	}
	s, sessionErr := t.c.Session(t.ctx)
	if sessionErr != nil {
		if t.n > 0 {
			sessionErr = fmt.Errorf("%w, after: %w", sessionErr, *err)
		}
		*err = &OpError{Op: op, Path: path, Err: sessionErr}
		return false
	}
	t.n++
	t.s = s
	return true
}

// wait pauses before a repetition, and tells whether there is to be one.
func (t *tries) wait() bool {
	policy := t.c.core.cfg.Retry
	if t.n == policy.Attempts {
		return false
	}
	if t.pause == nil {
		t.pause = policy.pauses()
	}
	timer := time.NewTimer(t.pause.NextBackOff())
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.ctx.Done(): // looking for a session will tell
	}
	return true
}

// repeatable tells whether an operation of a session that failed may be repeated on the next session: it was certainly
// not applied, and not for a reason that lies in the request.
func repeatable(err error) bool {
	if err == nil || errors.Is(err, ErrMaybeApplied) {
		return false
	}
	return errors.Is(err, ErrSessionExpired) || errors.Is(err, ErrSessionDeadline) || errors.Is(err, ErrThrottled)
}

// try carries out do on a session, and again where that is safe.
func (c *Client) try(ctx context.Context, do func(*Session) error) (err error) {
	for t := c.tries(ctx); t.next("session", "", &err); {
		err = do(t.s)
	}
	return err
}
