package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/recipes"
)

// ErrNotHolder: the token given is not the present holder's.
var ErrNotHolder = errors.New("token is not the holder's")

// Tag is what a contender says of itself in its node.
type Tag struct {
	ID   string `json:"id"`             // client.Config.Identity
	Note string `json:"note,omitempty"` // see Note
}

// Contender is one who holds a lock or waits for it.
type Contender struct {
	Tag
	Token   uint64    // the one it has, or will have, as the holder
	Session int64     // the session that owns its node
	Since   time.Time // when it came, by the servers' clock
	Path    string    // of its node
}

// Queue is the state of a lock at one moment.
type Queue struct {
	Holder  *Contender  // nil when the lock is free
	Waiting []Contender // in the order in which they will hold it
}

// Inspect tells who holds the lock and who waits for it, as of the moment of the call or later. What it tells may be
// over when it returns. It takes one read for each contender.
func (m *Mutex) Inspect(ctx context.Context) (Queue, error) {
	var q Queue
	places, err := m.line(nil).List(ctx, m.c, client.Fresh())
	if err != nil {
		return q, fmt.Errorf("inspect lock %s: %w", m.path, err)
	}
	for _, place := range places {
		who, ok, err := m.contender(ctx, m.c, place)
		switch {
		case err != nil:
			return Queue{}, fmt.Errorf("inspect lock %s: %w", m.path, err)
		case !ok: // gone since: the next one holds, if it was the holder
		case q.Holder == nil:
			q.Holder = &who
		default:
			q.Waiting = append(q.Waiting, who)
		}
	}
	return q, nil
}

// Break takes the lock away from the holder with the given token, by deleting its node. Its context ends when it hears
// of that, which may be after the next one holds: only the token protects what the lock guards. If the holder is
// another one by now, nothing happens and the error is ErrNotHolder.
func (m *Mutex) Break(ctx context.Context, token uint64) error {
	holder, err := m.holder(ctx, token)
	if err == nil {
		err = m.c.Delete(ctx, holder.Path, -1) // the name is never used again, so it is the right one, or none
	}
	if errors.Is(err, client.ErrNoNode) {
		err = ErrNotHolder
	}
	if err != nil {
		return fmt.Errorf("break lock %s: %w", m.path, err)
	}
	return nil
}

// Revoke asks the holder with the given token to finish: see Held.Revoked. It is asked in Curator's way, so the
// holder's Tag is overwritten. If the holder is another one by now, the error is ErrNotHolder.
func (m *Mutex) Revoke(ctx context.Context, token uint64) error {
	holder, err := m.holder(ctx, token)
	if err == nil {
		_, err = m.c.Set(ctx, holder.Path, []byte(revoke), -1)
	}
	if errors.Is(err, client.ErrNoNode) {
		err = ErrNotHolder
	}
	if err != nil {
		return fmt.Errorf("revoke lock %s: %w", m.path, err)
	}
	return nil
}

// holder finds the holder, if it has the given token.
func (m *Mutex) holder(ctx context.Context, token uint64) (Contender, error) {
	places, err := m.line(nil).List(ctx, m.c, client.Fresh())
	if err != nil {
		return Contender{}, err
	}
	for _, place := range places[:min(len(places), 1)] {
		who, ok, err := m.contender(ctx, m.c, place)
		if err != nil {
			return Contender{}, err
		}
		if ok && who.Token == token {
			return who, nil
		}
	}
	return Contender{}, ErrNotHolder
}

// contender reads who has a place; ok is false if it has gone. Foreign libraries put plain text into their nodes: their
// name, or the address of their host.
func (m *Mutex) contender(ctx context.Context, ops client.Ops, place recipes.Place) (who Contender, ok bool, err error) {
	node, err := ops.Get(ctx, m.line(nil).Path(place))
	if errors.Is(err, client.ErrNoNode) {
		return Contender{}, false, nil // CURATOR-358
	}
	if err != nil {
		return Contender{}, false, err
	}
	who = Contender{
		Token: uint64(node.Stat.Czxid), Session: node.Stat.EphemeralOwner,
		Since: time.UnixMilli(node.Stat.Ctime), Path: node.Path,
	}
	if json.Unmarshal(node.Data, &who.Tag) != nil {
		who.Tag = Tag{ID: string(node.Data)}
	}
	return who, true, nil
}
