package config

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/google/uuid"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
	"github.com/docent-io/docent/recipes"
)

// ErrOverflow: the sum does not fit into the counter's format.
var ErrOverflow = errors.New("counter overflows")

// Counter is a shared number that is added to exactly once, also when replies are lost. A missing node counts as zero.
//
// Beside each change it writes its number into an ephemeral node of its own below the counter, in the same transaction:
// after a lost reply that tells whether the change took place, whatever others have written since. The counter's own
// bytes stay free for it, so other libraries' clients may take part.
//
// Its methods may be called by several goroutines at once; changes by one Counter happen one after another.
type Counter struct {
	c     *client.Client
	path  string
	codec recipes.Codec[int64]
	turn  chan struct{} // holds one token: who has it may use what follows

	s      *client.Session // of the marker
	marker string
	done   int64 // number of the last change that was tried
}

// NewCounter returns the counter at path in the format of codec, nil for Decimal, without any I/O.
func NewCounter(c *client.Client, path string, codec recipes.Codec[int64]) *Counter {
	if codec == nil {
		codec = Decimal()
	}
	return &Counter{c: c, path: zpath.Join("/", path), codec: codec, turn: make(chan struct{}, 1)}
}

// Get reads the number, after every change that was finished before.
func (k *Counter) Get(ctx context.Context) (int64, error) {
	node, err := k.c.Get(ctx, k.path, client.Fresh())
	if errors.Is(err, client.ErrNoNode) {
		return 0, nil
	}
	var n int64
	if err == nil {
		n, err = k.codec.Decode(node.Data)
	}
	if err != nil {
		return 0, fmt.Errorf("read counter %s: %w", k.path, err)
	}
	return n, nil
}

// Add adds delta and returns the sum. It adds once, or not at all if it fails; only if the session ends, or ctx does,
// before its outcome is known, the error matches client.ErrMaybeApplied.
func (k *Counter) Add(ctx context.Context, delta int64) (int64, error) {
	n, _, err := k.change(ctx, func(n int64) (int64, bool, error) {
		if delta > 0 && n > math.MaxInt64-delta || delta < 0 && n < math.MinInt64-delta {
			return n, false, ErrOverflow
		}
		return n + delta, true, nil
	})
	if err != nil {
		return 0, fmt.Errorf("add to counter %s: %w", k.path, err)
	}
	return n, nil
}

// CompareAndSet makes the number next if it is old, and tells whether it was. Errors are those of Add.
func (k *Counter) CompareAndSet(ctx context.Context, old, next int64) (bool, error) {
	_, set, err := k.change(ctx, func(n int64) (int64, bool, error) { return next, n == old, nil })
	if err != nil {
		return false, fmt.Errorf("set counter %s: %w", k.path, err)
	}
	return set, nil
}

// Close removes what the counter keeps below its node, which otherwise goes with the session. The number stays.
func (k *Counter) Close(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s := k.s
	if k.s = nil; s == nil || s.Context().Err() != nil {
		return nil
	}
	if err := s.DeleteGuaranteed(ctx, k.marker); err != nil && s.Context().Err() == nil {
		return fmt.Errorf("close counter %s: %w", k.path, err)
	}
	return nil
}

// change makes the number what f makes of it, unless f says no.
func (k *Counter) change(ctx context.Context, f func(int64) (int64, bool, error)) (n int64, changed bool, err error) {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return 0, false, context.Cause(ctx)
	}
	for {
		s, err := k.c.Session(ctx)
		if err != nil {
			return 0, false, err
		}
		n, changed, again, err := k.try(ctx, s, f)
		lost := s.Context().Err() != nil && ctx.Err() == nil && !errors.Is(err, client.ErrMaybeApplied)
		if again && err == nil || lost && err != nil {
			continue
		}
		return n, changed, err
	}
}

// try makes one attempt on one session.
func (k *Counter) try(ctx context.Context, s *client.Session, f func(int64) (int64, bool, error)) (n int64, changed, again bool, err error) {
	before, err := get(ctx, s, k.path)
	if err != nil {
		return 0, false, false, err
	}
	if before.there {
		if n, err = k.codec.Decode(before.Data); err != nil {
			return 0, false, false, &RejectedError{Path: k.path, Version: versionOf(before.Stat), Err: err}
		}
	}
	n, changed, err = f(n)
	if err != nil || !changed {
		return n, false, false, err
	}
	data, err := k.codec.Encode(n)
	if err != nil {
		return 0, false, false, err
	}
	switch {
	case !before.there: // begin with zero: to create twice is harmless
		zero, err := k.codec.Encode(0)
		if err == nil {
			_, err = s.Create(ctx, k.path, zero, client.Parents())
		}
		return 0, false, true, harmless(err)
	case before.Stat.Version == -1:
		return 0, false, true, unwrap(ctx, s, k.path)
	}
	if again, err = k.mark(ctx, s); err != nil || again {
		return 0, false, again, err
	}
	applied, err := k.commit(ctx, s, data, before.Stat.Version)
	return n, applied, !applied, err
}

// mark sees to it that there is a marker of this session. If it could not tell, it says to look again.
func (k *Counter) mark(ctx context.Context, s *client.Session) (again bool, err error) {
	if k.s == s {
		return false, nil
	}
	marker := zpath.Join(k.path, "w-"+uuid.NewString())
	if _, err = s.Create(ctx, marker, []byte("0"), client.Ephemeral()); err != nil {
		if errors.Is(err, client.ErrMaybeApplied) {
			err = errors.Join(harmless(err), s.DeleteGuaranteed(ctx, marker))
		}
		return true, harmless(err)
	}
	k.s, k.marker = s, marker
	return false, nil
}

// commit writes data and the marker in one transaction, and tells whether it did.
func (k *Counter) commit(ctx context.Context, s *client.Session, data []byte, version int32) (bool, error) {
	k.done++
	number := strconv.FormatInt(k.done, 10)
	_, err := s.Txn().Set(k.path, data, version).Set(k.marker, []byte(number), -1).Commit(ctx)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, client.ErrNoNode):
		k.s = nil // the marker, or the counter with it, was deleted by somebody
		return false, nil
	case errors.Is(err, client.ErrBadVersion):
		return false, nil
	case !errors.Is(err, client.ErrMaybeApplied) || ctx.Err() != nil:
		return false, err
	}
	// The session is attached anew by the time of this answer, so what its old connection had sent is settled.
	mine, readErr := get(ctx, s, k.marker)
	if readErr != nil || !mine.there {
		return false, errors.Join(err, readErr)
	}
	return string(mine.Data) == number, nil
}

// harmless is nil for errors after which only another look tells how things are.
func harmless(err error) error {
	for _, h := range []error{client.ErrMaybeApplied, client.ErrNodeExists, client.ErrNoNode} {
		if errors.Is(err, h) {
			return nil
		}
	}
	return err
}
