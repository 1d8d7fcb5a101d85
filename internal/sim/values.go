package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/config"
)

// playCounter: each addition counts once, if it is not unknown.
func playCounter() recipe {
	var sure, maybe atomic.Int64
	return recipe{play: func(w *world, c *client.Client, _ int, r *rand.Rand) {
		k := config.NewCounter(c, "/counter", nil)
		for i := 0; i < 2*turns && w.think(r); i++ {
			switch _, err := k.Add(w.ctx, 1); {
			case err == nil:
				sure.Add(1)
				w.record(func(rec *records) { rec.acked++ })
			case errors.Is(err, client.ErrMaybeApplied):
				maybe.Add(1)
			}
		}
	}, check: func(w *world, c *client.Client) {
		n, err := config.NewCounter(c, "/counter", nil).Get(w.ctx)
		if err != nil || n < sure.Load() || n > sure.Load()+maybe.Load() {
			w.t.Errorf("the counter says %d (%v): %d are sure, %d unknown", n, err, sure.Load(), maybe.Load())
		}
	}}
}

// playValue: all update a value, and follow it. Each update counts once, unless it is unknown; nobody sees it go back; and
// in the end all see the last.
func playValue() recipe {
	var sure, maybe atomic.Int64
	var mu sync.Mutex // guards all
	var all []*config.Value[int64]
	play := func(w *world, c *client.Client, _ int, r *rand.Rand) {
		v, err := config.Watch(w.ctx, c, "/value", config.Default[int64](0))
		if err != nil {
			w.t.Errorf("watch: %v", err)
			return
		}
		mu.Lock()
		all = append(all, v)
		mu.Unlock()
		seen, at := v.Get(), v.Version()
		for i := 0; i < 2*turns && w.think(r); i++ {
			ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
			_, err := config.Update(ctx, c, "/value", func(n int64) (int64, error) { return n + 1, nil })
			cancel()
			switch {
			case err == nil:
				sure.Add(1)
				w.record(func(rec *records) { rec.acked++ })
			case errors.Is(err, client.ErrMaybeApplied):
				maybe.Add(1)
			}
			now, version := v.Get(), v.Version()
			if now < seen || at.Newer(version) {
				w.t.Errorf("the value goes from %d of %+v back to %d of %+v", seen, at, now, version)
			}
			seen, at = now, version
		}
	}
	check := func(w *world, c *client.Client) {
		n, _, err := config.Load(w.ctx, c, "/value", config.Default[int64](0))
		if err != nil || n < sure.Load() || n > sure.Load()+maybe.Load() {
			w.t.Errorf("the value is %d (%v): %d updates are sure, %d unknown", n, err, sure.Load(), maybe.Load())
		}
		for _, v := range all {
			for now, err := range v.Changes(w.ctx) {
				if err != nil {
					w.t.Errorf("in the end the value is %d, and this one has %d: %v", n, now, err)
					break
				}
				if now == n {
					break
				}
			}
			v.Close()
		}
	}
	return recipe{play, check}
}

// playBundle: who reads gets all of one bundle, and then newer ones.
func playBundle(w *world, c *client.Client, player int, r *rand.Rand) {
	if player == 0 {
		ctx, cancel := context.WithTimeout(w.ctx, 5*time.Second)
		defer cancel()
		var at config.Version
		for b, err := range config.FollowBundle(ctx, c, "/bundle") {
			if err != nil {
				return
			}
			if at.Newer(b.Version) {
				w.t.Errorf("a bundle of %+v behind %+v", b.Version, at)
			}
			at = b.Version
			w.whole(b)
		}
		return
	}
	w.turns(r, func() error {
		of := []byte(fmt.Sprint(player, " ", w.tick()))
		ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
		defer cancel()
		_, err := config.PublishBundle(ctx, c, "/bundle", map[string][]byte{"a": of, "b": of, "c": of})
		if err == nil {
			w.record(func(rec *records) { rec.acked++ })
		}
		return err
	})
}

func (w *world) whole(b config.Bundle) {
	if a := string(b.Files["a"]); len(b.Files) != 3 || string(b.Files["b"]) != a || string(b.Files["c"]) != a {
		w.t.Errorf("a bundle of several: %q", b.Files)
	}
}

func checkBundle(w *world, c *client.Client) {
	b, err := config.LoadBundle(w.ctx, c, "/bundle")
	if errors.Is(err, config.ErrNoConfig) {
		return // nobody came to publish one
	}
	if err != nil {
		w.t.Errorf("load the bundle: %v", err)
		return
	}
	w.whole(b)
}
