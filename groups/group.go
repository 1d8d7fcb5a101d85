package groups

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
	"github.com/docent-io/docent/recipes"
)

// Member is a member as others see it.
type Member[T any] struct {
	ID    string
	Value T      // what it says about itself
	Epoch uint64 // grows when a member comes back, or another one takes its ID
	Err   error  // why Value could not be read; it is here all the same

	mzxid int64
}

// Snapshot is a group at one moment.
type Snapshot[T any] struct {
	Members []Member[T] // in the order of their IDs
	Stale   bool        // the connection was lost: some may have come or gone since
}

// Members reads who is in the group at path, in the order of their IDs: everybody who had joined before the call began,
// and has not left. A group that does not exist has no members.
func Members[T any](ctx context.Context, c *client.Client, path string) ([]Member[T], error) {
	s, err := c.Session(ctx)
	if err != nil {
		return nil, fmt.Errorf("read group %s: %w", path, err)
	}
	names, _, err := s.Children(ctx, path, client.Fresh())
	if errors.Is(err, client.ErrNoNode) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read group %s: %w", path, err)
	}
	batch, nodes := s.Batch(), make([]*client.Future[client.Reading], len(names))
	for i, name := range names {
		nodes[i] = batch.Get(zpath.Join(path, name))
	}
	if err := batch.Do(ctx); err != nil {
		return nil, fmt.Errorf("read group %s: %w", path, err)
	}
	members := make([]Member[T], 0, len(names))
	for _, f := range nodes {
		switch r, err := f.Get(); {
		case err == nil:
			members = append(members, newMember[T](r.Node))
		case !errors.Is(err, client.ErrNoNode): // it left in between
			return nil, fmt.Errorf("read group %s: %w", path, err)
		}
	}
	sortMembers(members)
	return members, nil
}

// Watch yields the group at path, and again after every change. Changes in short order may show as one (see WithSettle).
// It is for the few who have to know everybody: a group whose members all watch each other wakes them all for each. It
// ends after yielding an error: that of ctx, or client.ErrClosed.
func Watch[T any](ctx context.Context, c *client.Client, path string, o ...Option) iter.Seq2[Snapshot[T], error] {
	return func(yield func(Snapshot[T], error) bool) {
		opts, err := newOptions(o)
		if err != nil {
			yield(Snapshot[T]{}, fmt.Errorf("watch group %s: %w", path, err))
			return
		}
		cache := recipes.NewChildrenCache(c, path)
		defer cache.Close()
		var last Snapshot[T]
		first := true
		for _, err := range cache.Changes(ctx) {
			if err == nil && !first {
				err = pause(ctx, opts.settle)
			}
			if err != nil {
				last.Stale = true
				yield(last, fmt.Errorf("watch group %s: %w", path, err))
				return
			}
			members := snapshotMembers[T](cache.Snapshot(), path)
			if !first && slices.EqualFunc(members, last.Members, sameMember[T]) {
				continue
			}
			first, last = false, Snapshot[T]{Members: members, Stale: cache.Stale()}
			if !yield(last, nil) {
				return
			}
		}
	}
}

func snapshotMembers[T any](snap recipes.Snapshot, path string) []Member[T] {
	var members []Member[T]
	for _, node := range snap.Children(path) {
		members = append(members, newMember[T](node))
	}
	sortMembers(members)
	return members
}

func newMember[T any](node client.Node) Member[T] {
	_, name := zpath.Split(node.Path)
	m := Member[T]{ID: name, Epoch: uint64(node.Stat.Czxid), mzxid: node.Stat.Mzxid}
	m.Value, m.Err = recipes.JSON[T]().Decode(node.Data)
	return m
}

func sortMembers[T any](members []Member[T]) {
	slices.SortFunc(members, func(a, b Member[T]) int { return strings.Compare(a.ID, b.ID) })
}

// sameMember compares by zxids: a member that was deleted and came back with the same version is another one.
func sameMember[T any](a, b Member[T]) bool {
	return a.ID == b.ID && a.Epoch == b.Epoch && a.mzxid == b.mzxid
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
