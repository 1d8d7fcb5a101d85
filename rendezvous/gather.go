package rendezvous

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"

	"github.com/google/uuid"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/recipes"
)

// Gather waits until n workers follow this point at one moment. It goes on across lost sessions; with OnTerm it ends
// with the term. Only the master should call it: it watches the list of workers, and wakes with each that comes or goes.
func (p *Point[T]) Gather(ctx context.Context, n int) error {
	if p.term != nil {
		both, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(p.term.Context(), func() { cancel(context.Cause(p.term.Context())) })()
		ctx = both
	}
	for present, err := range recipes.Follow(ctx, p.c, p.count) {
		if err != nil {
			return fmt.Errorf("gather %d workers at %s, of which %d are here: %w", n, p.path, present, err)
		}
		if present >= n {
			return nil
		}
	}
	return nil // not reached: Follow ends with an error
}

// count counts the workers, and watches their directory, or for it to come.
func (p *Point[T]) count(ctx context.Context, s *client.Session) (int, *client.Watch, error) {
	for {
		names, _, w, err := s.ChildrenW(ctx, p.workers())
		if err == nil {
			present := 0
			for _, name := range names {
				if isWorker(name) {
					present++
				}
			}
			return present, w, nil
		}
		if !errors.Is(err, client.ErrNoNode) {
			return 0, nil, err
		}
		_, there, w, err := s.ExistsW(ctx, p.workers())
		if err != nil || !there {
			return 0, w, err
		}
		w.Close() // the directory has come since: list it
	}
}

// newWorker makes the name of a worker's node: <guid>-<who>. Two workers of one process are two.
func newWorker(identity string) string {
	guid := uuid.New()
	return hex.EncodeToString(guid[:]) + "-" + url.PathEscape(identity)
}

// isWorker recognises such a name. Whatever else lies in the directory is not counted.
func isWorker(name string) bool {
	const guidLen = 2 * len(uuid.UUID{})
	if len(name) <= guidLen || name[guidLen] != '-' {
		return false
	}
	_, err := hex.DecodeString(name[:guidLen])
	return err == nil
}
