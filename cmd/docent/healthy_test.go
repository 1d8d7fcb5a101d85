//go:build unix

package main_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
)

// healthy is a well-behaved client of each server, at work while others are not.
type healthy struct {
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	workers []*worker
}

type worker struct {
	c     *client.Client
	took  []time.Duration // of each round of a write and a read
	wrong error
}

func startHealthy(t *testing.T, e ensemble) *healthy {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	h := &healthy{cancel: cancel}
	for i, m := range e {
		w := &worker{c: dial(t, 10*time.Second, m.addr)}
		h.workers = append(h.workers, w)
		h.wg.Go(func() {
			if err := w.work(ctx, fmt.Sprint("/healthy-", i)); err != nil && ctx.Err() == nil {
				w.wrong = err
			}
		})
	}
	return h
}

// work writes and reads back until ctx ends or something fails.
func (w *worker) work(ctx context.Context, path string) error {
	s, err := w.c.Session(ctx)
	if err != nil {
		return err
	}
	if _, err := s.Create(ctx, path, nil); err != nil {
		return err
	}
	for n := int32(0); ; n++ {
		began := time.Now()
		value := fmt.Sprint(n)
		if _, err := s.Set(ctx, path, []byte(value), n); err != nil {
			return err
		}
		node, err := s.Get(ctx, path)
		if err != nil {
			return err
		}
		if string(node.Data) != value {
			return fmt.Errorf("%s is %q, want %q", path, node.Data, value)
		}
		w.took = append(w.took, time.Since(began))
	}
}

// stop ends the work, and fails the test if any of it did not go well or took long. It returns the 99th percentile of the rounds.
func (h *healthy) stop(t *testing.T) time.Duration {
	t.Helper()
	h.cancel()
	h.wg.Wait()
	var took []time.Duration
	for _, w := range h.workers {
		if w.wrong != nil {
			t.Errorf("a healthy client was disturbed: %v", w.wrong)
		}
		if len(w.took) == 0 {
			t.Error("a healthy client did nothing")
		}
		took = append(took, w.took...)
		w.c.Close()
	}
	if len(took) == 0 {
		return 0
	}
	slices.Sort(took)
	worst := took[len(took)-1]
	t.Logf("healthy clients did %d rounds of a write and a read: p50 %v, p99 %v, worst %v", len(took), took[len(took)/2], took[len(took)*99/100], worst)
	if worst > 3*time.Second {
		t.Errorf("a healthy client waited %v", worst)
	}
	return took[len(took)*99/100]
}
