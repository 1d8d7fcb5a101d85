package groups

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
	"github.com/docent-io/docent/recipes"
)

// run is the goroutine that keeps the directory: it shows what the cache holds, after it has settled, and again when the
// guard gives up what it held back.
func (d *Directory) run(ctx context.Context) {
	defer close(d.done)
	defer d.cache.Close()
	changed, ended := make(chan struct{}, 1), make(chan error, 1)
	var pump sync.WaitGroup
	defer pump.Wait()
	pump.Go(func() { ended <- pumpChanges(ctx, d.cache, changed) })

	g := &guard{window: d.opts.guard, sel: d.opts.sel, lost: make(map[string]*loss)}
	entries := make(map[string]*entry)
	timer := time.NewTimer(0)
	timer.Stop()
	defer timer.Stop()
	for first := true; ; first = false {
		select {
		case <-changed:
			if !first && pause(ctx, d.opts.settle) != nil {
				continue // ended tells
			}
		case <-timer.C:
		case err := <-ended:
			d.end(err)
			return
		}
		entries = readEntries(d.cache.Snapshot(), zpath.Join(d.opts.base, d.service), entries)
		shown, held, again := g.look(entries, time.Now())
		if d.show(entries, shown, held); !again.IsZero() {
			timer.Reset(time.Until(again))
		}
	}
}

// pumpChanges pokes changed when there is a new snapshot, and returns why there are no more.
func pumpChanges(ctx context.Context, cache *recipes.Cache, changed chan<- struct{}) error {
	for _, err := range cache.Changes(ctx) {
		if err != nil {
			return err
		}
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	return nil // not reached: Changes ends with an error
}

// readEntries reads the nodes of a service. What has not changed since before stays the same entry.
func readEntries(snap recipes.Snapshot, dir string, before map[string]*entry) map[string]*entry {
	entries := make(map[string]*entry)
	for _, node := range snap.Children(dir) {
		_, name := zpath.Split(node.Path)
		if e := before[name]; e != nil && e.mzxid == node.Stat.Mzxid {
			entries[name] = e
		} else {
			entries[name] = newEntry(name, node)
		}
	}
	return entries
}

func newEntry(name string, node client.Node) *entry {
	e := &entry{id: name, mzxid: node.Stat.Mzxid}
	e.in, e.err = instanceCodec{}.Decode(node.Data)
	e.in.Epoch, e.in.Session = uint64(node.Stat.Czxid), node.Stat.EphemeralOwner
	return e
}

// show makes entries the directory's.
func (d *Directory) show(entries map[string]*entry, shown []*entry, held int) {
	bad, alive := make(map[string]error), make(map[life]bool)
	for name, e := range entries {
		if e.err != nil {
			bad[name] = e.err
		}
	}
	for _, e := range shown {
		alive[e.life()] = true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.shown, shown) {
		d.shown = shown
	}
	d.ready, d.synced, d.held, d.known, d.bad = true, time.Now(), held, len(entries), bad
	d.q.keep(alive)
	d.announce()
}

func (d *Directory) end(why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = fmt.Errorf("discover %s: %w", d.service, why)
	d.announce()
}

// announce wakes whoever waits; the caller holds the lock.
func (d *Directory) announce() {
	close(d.news)
	d.news = make(chan struct{})
}
