package recipes

import (
	"context"
	"fmt"
	"iter"

	"github.com/docent-io/docent/client"
)

// Look reads what is followed, on the session of the moment, and returns a watch that fires when it may have changed.
// With an error it returns no watch.
type Look[T any] func(ctx context.Context, s *client.Session) (T, *client.Watch, error)

// Follow yields what look sees, and again whenever its watch has fired, for as long as ctx lives. It goes on with the
// next session when one has ended, and looks again then. What it yields is a level, not a history: several changes in
// short order may show as one, and the same thing may be seen twice. The watch stays set while the loop's body runs, so
// nothing is missed meanwhile.
//
// It ends after yielding an error: that of ctx, client.ErrClosed, or one that repeating does not help. Leaving the loop
// closes the watch.
func Follow[T any](ctx context.Context, c *client.Client, look Look[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			s, err := c.Session(ctx)
			if err != nil {
				yield(*new(T), fmt.Errorf("follow: %w", err))
				return
			}
			if goOn, err := followOn(ctx, s, look, yield); !goOn {
				return
			} else if err != nil && s.Context().Err() == nil {
				yield(*new(T), fmt.Errorf("follow: %w", err))
				return
			}
		}
	}
}

// followOn follows on one session. It returns false when the loop is over, else why it cannot go on here.
func followOn[T any](ctx context.Context, s *client.Session, look Look[T], yield func(T, error) bool) (goOn bool, err error) {
	for {
		seen, w, err := look(ctx, s)
		if err != nil {
			return true, err
		}
		if !yield(seen, nil) {
			w.Close()
			return false, nil
		}
		if _, err := w.Wait(ctx); err != nil {
			w.Close()
			return true, err
		}
	}
}
