//go:build linux

package faults

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/history"
)

// pulse is the writes of one client that nothing happens to: whether the ensemble makes progress.
type pulse struct {
	mu    sync.Mutex // guards the fields below
	beats []beat
	grown chan struct{}
}

type beat struct{ call, ret time.Time }

func (p *pulse) add(b beat) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beats = append(p.beats, b)
	if p.grown != nil {
		close(p.grown)
		p.grown = nil
	}
}

// after waits for one that was called at t or later.
func (p *pulse) after(ctx context.Context, t time.Time) error {
	for {
		p.mu.Lock()
		if n := len(p.beats); n > 0 && !p.beats[n-1].call.Before(t) {
			p.mu.Unlock()
			return nil
		}
		if p.grown == nil {
			p.grown = make(chan struct{})
		}
		grown := p.grown
		p.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// gap returns the longest time without an answer between from and to.
func (p *pulse) gap(from, to time.Time) (longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := from
	for _, b := range p.beats {
		if b.ret.After(last) && b.ret.Before(to) {
			longest = max(longest, b.ret.Sub(last))
			last = b.ret
		}
	}
	return max(longest, to.Sub(last))
}

// beat writes until ctx ends.
func (w *world) beat(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		b := beat{call: time.Now()}
		outcome, _ := w.do(ctx, w.sure, func(s *client.Session) error {
			_, err := s.Set(ctx, "/pulse", fmt.Append(nil, n), -1)
			return err
		})
		if outcome == history.OK {
			b.ret = time.Now()
			w.pulse.add(b)
		}
		_ = sleep(ctx, 20*time.Millisecond) // the loop looks
	}
}
