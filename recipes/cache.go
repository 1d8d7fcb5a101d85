package recipes

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
)

// The depths of the caches: how many levels below the root they hold.
const (
	onlyRoot = 0
	children = 1
	allBelow = 1 << 30
)

// Cache is a local copy of a part of the tree that follows the original. An event only marks a node as to be read
// again, and it stays marked until that has succeeded, so nothing is missed for good; between two snapshots there may
// have been others. After a reconnect everything is compared, because what happened meanwhile is told by nobody. The
// methods may be called by several goroutines at once.
type Cache struct {
	c    *client.Client
	root string
	stop context.CancelFunc
	done chan struct{} // closed when run has ended

	mu    sync.Mutex // guards what follows
	snap  Snapshot
	fresh bool          // snap was complete when it was published, and no reason to doubt it has come up since
	err   error         // why it is not, if known
	over  bool          // for good
	news  chan struct{} // closed and replaced when any of this changes

	copy replica // of run alone
}

// NewNodeCache begins a copy of the node at path, which need not exist. Close ends it.
func NewNodeCache(c *client.Client, path string) *Cache { return newCache(c, path, onlyRoot) }

// NewChildrenCache begins a copy of the node at path and of its children. Close ends it.
func NewChildrenCache(c *client.Client, path string) *Cache { return newCache(c, path, children) }

// NewTreeCache begins a copy of the node at path and of all below it. Close ends it.
func NewTreeCache(c *client.Client, path string) *Cache { return newCache(c, path, allBelow) }

func newCache(c *client.Client, path string, depth int) *Cache {
	ctx, stop := context.WithCancel(context.Background())
	k := &Cache{
		c: c, root: zpath.Join("/", path), stop: stop,
		done: make(chan struct{}), news: make(chan struct{}),
		copy: replica{root: zpath.Join("/", path), depth: depth, nodes: make(map[string]client.Node)},
	}
	k.snap.root = k.root
	go k.run(ctx)
	return k
}

// Snapshot returns the present copy: empty before the cache was first complete, and the last good one while the
// ensemble cannot be reached. It costs nothing.
func (k *Cache) Snapshot() Snapshot {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.snap
}

// Stale tells whether the copy may have fallen behind: it was not complete yet, or the connection was lost and not
// everything has been compared since.
func (k *Cache) Stale() bool {
	if k.c.State() != client.Connected && k.c.State() != client.ReadOnly {
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.fresh
}

// Synced waits until the copy is complete. When ctx ends first, the error says as well what is in the way, if that is
// known. After Close it fails at once.
func (k *Cache) Synced(ctx context.Context) error {
	for {
		k.mu.Lock()
		fresh, err, over, news := k.fresh, k.err, k.over, k.news
		k.mu.Unlock()
		switch {
		case fresh:
			return nil
		case over:
			return fmt.Errorf("cache of %s: %w", k.root, err)
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("cache of %s: %w", k.root, errors.Join(ended(ctx), err))
		}
	}
}

// Changes yields the present snapshot as soon as there is one, and then every newer one; a slow reader skips some, but
// never the last. It ends after yielding an error: that of ctx, ErrReleased after Close, or client.ErrClosed.
func (k *Cache) Changes(ctx context.Context) iter.Seq2[Snapshot, error] {
	return func(yield func(Snapshot, error) bool) {
		seen := 0
		for {
			k.mu.Lock()
			snap, err, over, news := k.snap, k.err, k.over, k.news
			k.mu.Unlock()
			switch {
			case snap.version > seen:
				if seen = snap.version; !yield(snap, nil) {
					return
				}
				continue
			case over:
				yield(snap, fmt.Errorf("cache of %s: %w", k.root, err))
				return
			}
			select {
			case <-news:
			case <-ctx.Done():
				yield(snap, fmt.Errorf("cache of %s: %w", k.root, ended(ctx)))
				return
			}
		}
	}
}

// Close ends the cache, its watch and its goroutines. The last snapshot remains. It may be called again.
func (k *Cache) Close() {
	k.stop()
	<-k.done
}

// run is the goroutine that keeps the copy, from session to session.
func (k *Cache) run(ctx context.Context) {
	defer close(k.done)
	var pause time.Duration
	for {
		s, err := k.c.Session(ctx)
		if err == nil {
			err = k.follow(ctx, s)
		}
		switch {
		case ctx.Err() != nil:
			k.doubt(ErrReleased, true)
			return
		case s == nil: // the client is closed
			k.doubt(err, true)
			return
		}
		k.doubt(err, false)
		if s.Context().Err() != nil {
			pause = 0
			continue
		}
		pause = min(max(2*pause, firstPause), lastPause) // refused: what stands in the way may be taken away some day
		_ = rest(ctx, s, pause)
	}
}

// follow keeps the copy on one session, and returns why it cannot go on.
func (k *Cache) follow(ctx context.Context, s *client.Session) error {
	mode := client.PersistentRecursive
	if k.copy.depth == onlyRoot {
		mode = client.Persistent
	}
	stream, err := s.AddWatch(ctx, k.root, mode) // before the first read, so that no change falls in between
	if err != nil {
		return err
	}
	defer stream.Close()
	todo := newMarks(k.root)
	ctx, stop := context.WithCancelCause(ctx)
	var pump sync.WaitGroup
	defer pump.Wait()
	defer stop(nil)
	pump.Go(func() { stop(k.pump(ctx, stream, todo)) })
	for {
		paths, all, err := todo.take(ctx)
		if err != nil {
			return err
		}
		if all {
			k.copy.beginWalk()
		}
		more, err := k.copy.read(ctx, s, paths)
		if err != nil {
			return err
		}
		if !todo.mark(more) {
			k.publish()
		}
	}
}

// pump marks what events name.
func (k *Cache) pump(ctx context.Context, stream *client.Stream, todo *marks) error {
	for {
		ev, err := stream.Next(ctx)
		switch {
		case err != nil:
			return err
		case ev.Type == client.EventResync:
			k.doubt(client.ErrSuspended, false)
			todo.markAll()
		case k.copy.level(ev.Path) <= k.copy.depth:
			todo.mark([]string{ev.Path})
		}
	}
}

// publish makes the copy the snapshot, if they differ, and vouches for it.
func (k *Cache) publish() {
	changed := k.copy.endWalk()
	k.mu.Lock()
	defer k.mu.Unlock()
	if changed || k.snap.version == 0 {
		k.snap = Snapshot{root: k.root, version: k.snap.version + 1, nodes: maps.Clone(k.copy.nodes)}
	}
	k.fresh, k.err = true, nil
	k.announce()
}

// doubt says that the snapshot may be behind, why, and whether it stays so.
func (k *Cache) doubt(why error, over bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fresh, k.err, k.over = false, why, over
	k.announce()
}

func (k *Cache) announce() {
	close(k.news)
	k.news = make(chan struct{})
}
