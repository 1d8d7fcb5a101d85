package config

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
	"github.com/docent-io/docent/recipes"
)

// Reader is one who follows a value and says so: see Announce.
type Reader struct {
	ID      string `json:"id"`                // of its client
	Version *int32 `json:"version,omitempty"` // of the value it has; nil for a Default, or one from a file
	Refused *int32 `json:"refused,omitempty"` // the newer version that it refuses
	Error   string `json:"error,omitempty"`   // why
}

// readersOf is where those who follow the value at path announce themselves: beside the values, for a value's node is
// not to be made by those who read it.
func readersOf(path string) string { return zpath.Join("/config-readers", zpath.Join("", path)) }

// Announce lets others see, with Readers, which version the value has here, and which it refuses and why. It goes on, from
// session to session, until ctx ends or the Value is closed, and returns then; what it announced is gone with it, or with
// the session.
func (v *Value[T]) Announce(ctx context.Context, c *client.Client) (err error) {
	a := announcer{c: c, path: v.path}
	defer func() { err = errors.Join(err, a.close(ctx)) }()
	for _, changed := range v.Changes(ctx) {
		if ctx.Err() != nil || errors.Is(changed, recipes.ErrReleased) || errors.Is(changed, client.ErrClosed) {
			return nil
		}
		if err := a.tell(ctx, v.reader(c.Identity())); err != nil {
			return err
		}
	}
	return nil
}

// Announce is Value.Announce for who reads the value at path by other means: the last state that came is what Readers
// tells of it. It returns when ctx ends or states is closed.
func Announce(ctx context.Context, c *client.Client, path string, states <-chan Reader) (err error) {
	a := announcer{c: c, path: path}
	defer func() { err = errors.Join(err, a.close(ctx)) }()
	for {
		select {
		case r, more := <-states:
			if !more {
				return nil
			}
			if err := a.tell(ctx, r); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// announcer keeps one reader's announcement.
type announcer struct {
	c    *client.Client
	path string
	node *recipes.Presence
}

func (a *announcer) tell(ctx context.Context, r Reader) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if a.node == nil {
		a.node = recipes.NewPresence(a.c, zpath.Join(readersOf(a.path), uuid.NewString()), data)
		err = a.node.Ready(ctx)
	} else {
		err = a.node.Set(ctx, data)
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("announce reader of %s: %w", a.path, err)
	}
	return nil
}

// close takes the announcement away, also when ctx is over.
func (a *announcer) close(ctx context.Context) error {
	if a.node == nil {
		return nil
	}
	return a.node.Close(context.WithoutCancel(ctx))
}

// reader is what is to be said of the present view.
func (v *Value[T]) reader(id string) Reader {
	now := v.now()
	r := Reader{ID: id}
	if now.version != (Version{}) {
		r.Version = &now.version.Number
	}
	if rejected := (*RejectedError)(nil); errors.As(now.err, &rejected) {
		r.Refused, r.Error = &rejected.Version.Number, rejected.Err.Error()
	} else if now.err != nil {
		r.Error = now.err.Error()
	}
	return r
}

// Readers tells who follows the value at path and has announced it, by identity. What cannot be read as a Reader is left
// out.
func Readers(ctx context.Context, c *client.Client, path string) ([]Reader, error) {
	dir := readersOf(path)
	names, _, err := c.Children(ctx, dir, client.Fresh())
	if errors.Is(err, client.ErrNoNode) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("readers of %s: %w", path, err)
	}
	for i, name := range names {
		names[i] = zpath.Join(dir, name)
	}
	found, err := c.GetAll(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("readers of %s: %w", path, err)
	}
	var all []Reader
	for _, f := range found {
		var r Reader
		if f.Err == nil && json.Unmarshal(f.Node.Data, &r) == nil {
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b Reader) int { return cmp.Compare(a.ID, b.ID) })
	return all, nil
}
