package groups

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
	"github.com/docent-io/docent/recipes"
)

// Directory is a local copy of who offers a service, which follows the original until its context ends or it is closed.
// Its methods may be called by several goroutines at once, and but for Synced, PickWait and Changes they do not wait.
type Directory struct {
	service string
	opts    options
	err     error // what is wrong with the options
	cache   *recipes.Cache
	stop    context.CancelFunc
	done    chan struct{} // closed when run has ended

	mu       sync.Mutex // guards the rest
	shown    []*entry   // in the order of their IDs; replaced, never changed
	ready    bool       // shown is complete, as of synced
	synced   time.Time
	held     int
	known    int // nodes, whether shown or not
	bad      map[string]error
	over     error         // why there will be no more changes
	news     chan struct{} // closed and replaced when any of this changes
	q        quarantine
	inFlight map[life]int
	turn     uint64
}

// Discover begins to follow the instances of a service and returns at once: Synced tells when all are known. It ends
// with ctx or Close; what it knew by then can still be read.
func Discover(ctx context.Context, c *client.Client, service string, o ...Option) *Directory {
	d := &Directory{
		service: service, done: make(chan struct{}), news: make(chan struct{}), inFlight: make(map[life]int),
	}
	d.opts, d.err = newOptions(o)
	d.err = errors.Join(d.err, checkID("the name of a service", service))
	d.q = quarantine{first: d.opts.quarantine, most: maxQuarantine, failed: make(map[life]*failure)}
	ctx, d.stop = context.WithCancel(ctx)
	if d.err != nil {
		d.over = fmt.Errorf("discover %s: %w", service, d.err)
		close(d.done)
		return d
	}
	d.cache = recipes.NewChildrenCache(c, zpath.Join(d.opts.base, service))
	go d.run(ctx)
	return d
}

// Close ends the directory. It may be called again.
func (d *Directory) Close() {
	d.stop()
	<-d.done
}

// Synced waits until all instances are known that were there when it was called first, and so does not return because
// there are none yet. It fails when ctx or the directory ends, or its options are wrong.
func (d *Directory) Synced(ctx context.Context) error {
	for {
		d.mu.Lock()
		ready, over, news := d.ready, d.over, d.news
		d.mu.Unlock()
		switch {
		case ready:
			return nil
		case over != nil:
			return over
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("discover %s: %w", d.service, context.Cause(ctx))
		}
	}
}

// All returns the selected instances, those that drain too, in the order of their IDs. Their Meta is shared: do not
// change it.
func (d *Directory) All() []Instance {
	d.mu.Lock()
	defer d.mu.Unlock()
	return instances(d.shown)
}

// Stale tells whether instances may have come or gone unnoticed: the first copy is not complete, the connection was
// lost and not everything has been compared since, or the directory has ended.
func (d *Directory) Stale() bool {
	d.mu.Lock()
	ended := !d.ready || d.over != nil
	d.mu.Unlock()
	return ended || d.cache.Stale()
}

// Health is how far a directory can be trusted.
type Health struct {
	Synced      time.Time        // when its copy was last known to be complete
	Stale       bool             // see Directory.Stale
	Instances   int              // that are shown
	Held        int              // of them: held back after a mass removal, and probably gone
	Quarantined int              // that failed a picker of this process and are left alone now
	Unreadable  map[string]error // nodes that are no instances, by name
	Err         error            // why the directory has ended, if it has
}

// Health reports on the directory.
func (d *Directory) Health() Health {
	stale, now := d.Stale(), time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	h := Health{Synced: d.synced, Stale: stale, Instances: len(d.shown), Held: d.held, Unreadable: d.bad, Err: d.over}
	if !stale {
		h.Synced = now
	}
	for _, e := range d.shown {
		if !d.q.admits(e.life(), now) {
			h.Quarantined++
		}
	}
	return h
}

// Changes yields the selected instances once they are known, and again after every change; a slow reader skips some, but
// never the last. It ends after yielding an error: that of ctx, or why the directory has ended.
func (d *Directory) Changes(ctx context.Context) iter.Seq2[[]Instance, error] {
	return func(yield func([]Instance, error) bool) {
		var seen []*entry
		for first := true; ; {
			d.mu.Lock()
			shown, ready, over, news := d.shown, d.ready, d.over, d.news
			d.mu.Unlock()
			if ready && (first || !slices.Equal(shown, seen)) {
				first, seen = false, shown
				if !yield(instances(shown), nil) {
					return
				}
				continue
			}
			if over != nil {
				yield(instances(shown), over)
				return
			}
			select {
			case <-news:
			case <-ctx.Done():
				yield(instances(shown), fmt.Errorf("discover %s: %w", d.service, context.Cause(ctx)))
				return
			}
		}
	}
}

func instances(entries []*entry) []Instance {
	list := make([]Instance, len(entries))
	for i, e := range entries {
		list[i] = e.in
	}
	return list
}

func (e *entry) life() life { return life{e.id, e.in.Epoch} }
