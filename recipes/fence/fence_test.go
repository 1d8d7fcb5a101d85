package fence_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/docent-io/docent/recipes/fence"
)

func TestMemory_AdmitsOnlyWhatDoesNotFall(t *testing.T) {
	ctx := context.Background()
	g := fence.Memory()
	for _, step := range []struct {
		resource string
		token    uint64
		stale    bool
	}{
		{"a", 7, false},
		{"a", 7, false}, // the same holder comes again
		{"a", 9, false},
		{"a", 8, true},
		{"b", 1, false}, // each resource for itself
		{"a", 1<<63 + 1, false},
		{"a", 9, true},
	} {
		err := g.Admit(ctx, step.resource, step.token)
		if got := errors.Is(err, fence.ErrStaleToken); got != step.stale {
			t.Errorf("Admit(%s, %d) = %v, want stale %v", step.resource, step.token, err, step.stale)
		}
	}
}

func TestMemory_EndedContextAdmitsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	g := fence.Memory()
	if err := g.Admit(ctx, "a", 9); !errors.Is(err, context.Canceled) {
		t.Errorf("Admit = %v, want canceled", err)
	}
	if err := g.Admit(context.Background(), "a", 1); err != nil {
		t.Errorf("Admit of a lower token = %v: the refused one was remembered", err)
	}
}

func TestMemory_ConcurrentTokensNeverFall(t *testing.T) {
	g := fence.Memory()
	var passed atomic.Uint64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for token := uint64(i); token < 4000; token += 8 {
				if err := g.Admit(context.Background(), "x", token); err == nil {
					passed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if passed.Load() == 0 {
		t.Error("nothing passed")
	}
	if err := g.Admit(context.Background(), "x", 3998); !errors.Is(err, fence.ErrStaleToken) {
		t.Errorf("Admit below the highest = %v", err)
	}
}

func ExampleGuard() {
	ctx := context.Background()
	guard := fence.Memory() // stands beside the store it guards
	fmt.Println(guard.Admit(ctx, "orders", 41))
	fmt.Println(guard.Admit(ctx, "orders", 42)) // the next holder
	fmt.Println(guard.Admit(ctx, "orders", 41)) // the first one wakes up late
	// Output:
	// <nil>
	// <nil>
	// fence: stale token: 41 for orders, which has seen 42
}
