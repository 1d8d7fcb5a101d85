package fence

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// ErrStaleToken says that a resource has already admitted a higher token, so the caller has lost what it held.
var ErrStaleToken = errors.New("fence: stale token")

// Guard remembers the highest token each resource has admitted.
type Guard interface {
	// Admit lets a token pass that is not below the highest admitted for the resource, and remembers it; a lower one
	// gets an error that matches ErrStaleToken. It may be called by several goroutines at once and is atomic. After
	// any other error the token counts as not admitted.
	Admit(ctx context.Context, resource string, token uint64) error
}

// Memory returns a guard for resources that live and die with this process. It is empty at first, so it must not
// outlive or be restarted apart from what it guards.
func Memory() Guard { return &memory{highest: make(map[string]uint64)} }

type memory struct {
	mu      sync.Mutex // guards highest
	highest map[string]uint64
}

func (m *memory) Admit(ctx context.Context, resource string, token uint64) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("fence %s: %w", resource, context.Cause(ctx))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if highest := m.highest[resource]; token < highest {
		return fmt.Errorf("%w: %d for %s, which has seen %d", ErrStaleToken, token, resource, highest)
	}
	m.highest[resource] = token
	return nil
}
