package config

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/recipes"
)

// Load reads the value at path as it is now, after every write that was finished before. It fails with ErrNoConfig when
// there is none and no Default, and with a *RejectedError when it is bad.
func Load[T any](ctx context.Context, c *client.Client, path string, o ...Option[T]) (T, Version, error) {
	opts := newOptions(o)
	node, err := c.Get(ctx, path, client.Fresh())
	if errors.Is(err, client.ErrNoNode) {
		if opts.def != nil {
			return *opts.def, Version{}, nil
		}
		err = fmt.Errorf("%w at %s", ErrNoConfig, path)
	}
	var v T
	if err == nil {
		v, err = opts.read(node)
	}
	if err != nil {
		return *new(T), Version{}, fmt.Errorf("load: %w", err)
	}
	return v, versionOf(node.Stat), nil
}

// Value is a local copy of a value that follows the original until Close. It shows the last good one, whatever comes.
// Its methods may be called by several goroutines at once. What Get returns is shared by all: do not change what it
// points to.
type Value[T any] struct {
	path string
	opts *options[T]
	file string             // of WatchSaved
	stop context.CancelFunc // ends its dialling
	done chan struct{}      // closed when run has ended

	mu       sync.Mutex     // guards the rest
	cache    *recipes.Cache // nil until WatchSaved has a client
	view     view[T]
	good     bool          // view has a value
	fromFile bool          // and that is the file's
	over     bool          // there will be no more changes; view.err says why
	saved    error         // why the file could not be written
	news     chan struct{} // closed and replaced when any of this changes
}

// view is what a Value shows at one moment.
type view[T any] struct {
	value   T
	version Version
	err     error // why the newest was not taken
	count   int   // of the views so far
}

// Watch follows the value at path, and returns when it has the first good one, or the Default. When ctx ends first, the
// error tells what is in the way: that there is none (ErrNoConfig), or that it was refused (*RejectedError). From then on
// ctx does not matter: Close ends it, or the client's.
func Watch[T any](ctx context.Context, c *client.Client, path string, o ...Option[T]) (*Value[T], error) {
	v := newValue(path, o)
	v.cache = recipes.NewNodeCache(c, path)
	go v.run()
	if err := v.awaitGood(ctx); err != nil {
		v.Close()
		return nil, fmt.Errorf("watch configuration %s: %w", path, err)
	}
	return v, nil
}

func newValue[T any](path string, o []Option[T]) *Value[T] {
	return &Value[T]{path: path, opts: newOptions(o), stop: func() {}, done: make(chan struct{}), news: make(chan struct{})}
}

func (v *Value[T]) awaitGood(ctx context.Context) error {
	for {
		v.mu.Lock()
		good, over, err, news := v.good, v.over, v.view.err, v.news
		v.mu.Unlock()
		switch {
		case good:
			return nil
		case over:
			return err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// Get returns the last good value. It costs nothing.
func (v *Value[T]) Get() T { return v.now().value }

// Version is that of the value Get returns: zero for a Default.
func (v *Value[T]) Version() Version { return v.now().version }

// Err is nil while Get returns the newest value there is. Otherwise it says why not: a *RejectedError for a bad one,
// ErrNoConfig when the node was deleted, or why there will be no more changes.
func (v *Value[T]) Err() error { return v.now().err }

// Stale tells whether there may be a newer value that is not known here, because the connection was lost, or there was
// none yet.
func (v *Value[T]) Stale() bool {
	k := v.followed()
	return k == nil || k.Stale()
}

func (v *Value[T]) followed() *recipes.Cache {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.cache
}

// Changes yields the present value, and then every newer one; a slow reader skips some, but never the last. When a newer
// one is refused, or the node is deleted, it yields the last good value with the error that Err returns. It ends after
// yielding the error of ctx, recipes.ErrReleased after Close, or client.ErrClosed.
func (v *Value[T]) Changes(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		seen := 0
		for {
			v.mu.Lock()
			view, over, news := v.view, v.over, v.news
			v.mu.Unlock()
			if view.count > seen {
				if seen = view.count; !yield(view.value, view.err) {
					return
				}
				continue
			}
			if over {
				return
			}
			select {
			case <-news:
			case <-ctx.Done():
				yield(view.value, fmt.Errorf("configuration %s: %w", v.path, context.Cause(ctx)))
				return
			}
		}
	}
}

// Close ends the copy. Get goes on returning the last good value. It may be called again.
func (v *Value[T]) Close() {
	v.stop()
	if k := v.followed(); k != nil {
		k.Close()
	}
	<-v.done
}

func (v *Value[T]) now() view[T] {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.view
}

// run is the goroutine that takes over what the cache holds.
func (v *Value[T]) run() {
	defer close(v.done)
	for snap, err := range v.followed().Changes(context.Background()) { // ends with the cache
		if err != nil {
			v.show(func(next *view[T]) { next.err = fmt.Errorf("configuration %s: %w", v.path, err) }, true)
			return
		}
		node, there := snap.Root()
		if there {
			v.take(node)
		} else {
			v.show(func(next *view[T]) { next.err = fmt.Errorf("%w at %s", ErrNoConfig, v.path) }, false)
		}
	}
}

// take takes over what the node holds, unless it is bad.
func (v *Value[T]) take(node client.Node) {
	value, err := v.opts.read(node)
	if err == nil {
		v.save(node)
	}
	v.show(func(next *view[T]) {
		if next.err = err; err == nil {
			next.value, next.version, v.fromFile = value, versionOf(node.Stat), false
		}
	}, false)
}

// show makes what change makes of the present view the next one.
func (v *Value[T]) show(change func(next *view[T]), over bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	next := v.view
	change(&next)
	switch {
	case v.fromFile:
	case next.err == nil:
		v.good = true
	case !v.good && v.opts.def != nil: // nothing good was ever there
		next.value, v.good = *v.opts.def, true
	}
	if next.version == (Version{}) && errors.Is(next.err, ErrNoConfig) && v.opts.def != nil {
		next.err = nil // the Default is what there is to show
	}
	next.count++
	v.view, v.over = next, over
	close(v.news)
	v.news = make(chan struct{})
}
