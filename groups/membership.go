package groups

import (
	"context"
	"errors"
	"fmt"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
	"github.com/docent-io/docent/recipes"
)

// Membership is a member's own side of a group: its node is kept there until Leave, from session to session. Its
// methods may be called by several goroutines at once.
type Membership[T any] struct {
	id    string
	codec recipes.Codec[T]
	p     *recipes.Presence
}

// Join makes this process a member of the group at path, known to the others as self, and returns when it is one. While
// a node of the same ID belongs to somebody else it waits for that to go; when ctx ends first, it fails with an error
// that matches recipes.ErrTaken, and leaves nothing behind.
func Join[T any](ctx context.Context, c *client.Client, path string, self T, o ...Option) (*Membership[T], error) {
	opts, err := newOptions(o)
	if err != nil {
		return nil, fmt.Errorf("join group %s: %w", path, err)
	}
	if opts.id == "" {
		opts.id = newID(c.Identity())
	}
	m := &Membership[T]{id: opts.id, codec: recipes.JSON[T]()}
	data, err := m.codec.Encode(self)
	if err != nil {
		return nil, fmt.Errorf("join group %s: %w", path, err)
	}
	m.p = recipes.NewPresence(c, zpath.Join(path, m.id), data)
	if err := m.p.Ready(ctx); err != nil {
		return nil, fmt.Errorf("join group %s: %w", path, errors.Join(err, m.p.Close(ctx)))
	}
	return m, nil
}

// ID is the member's name in the group.
func (m *Membership[T]) ID() string { return m.id }

// Context is that of the present stay in the group: it ends when the others may no longer see this member, because its
// session ended, somebody deleted its node, or it left. After a while the member is back, with a new Context.
func (m *Membership[T]) Context() context.Context { return m.p.Context() }

// Ready waits until the member is in the group: after an interruption, until it is back.
func (m *Membership[T]) Ready(ctx context.Context) error { return m.p.Ready(ctx) }

// Update changes what the others see, now and after every interruption, and returns when they can see it. If ctx ends
// first they will see it as soon as that is possible.
func (m *Membership[T]) Update(ctx context.Context, self T) error {
	data, err := m.codec.Encode(self)
	if err == nil {
		err = m.p.Set(ctx, data)
	}
	if err != nil {
		return fmt.Errorf("update member %s: %w", m.id, err)
	}
	return nil
}

// Leave ends the membership for good. Nil means that the node is gone; an error that matches client.ErrDeletePending,
// that its deletion goes on in the background. It may be called again.
func (m *Membership[T]) Leave(ctx context.Context) error { return m.p.Close(ctx) }
