package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
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
	Shared  bool      // it is a reader
	Slots   []int     // of a semaphore, those it holds
}

// Queue is the state of a lock at one moment.
type Queue struct {
	Holders []Contender // one at most, but for readers
	Waiting []Contender // in the order in which they came
}

// Inspect tells who holds the lock and who waits for it, as of the moment of the call or later. What it tells may be
// over when it returns. It takes one read for each contender.
func (m *Mutex) Inspect(ctx context.Context) (Queue, error) { return m.inspect(ctx, m.line()) }

func (q *queue) inspect(ctx context.Context, line recipes.Line) (Queue, error) {
	var state Queue
	places, err := line.List(ctx, q.c, client.Fresh())
	if err != nil {
		return state, fmt.Errorf("inspect lock %s: %w", q.path, err)
	}
	alone := false // whoever holds shares with nobody
	for _, place := range places {
		who, ok, err := q.contender(ctx, place)
		switch {
		case err != nil:
			return Queue{}, fmt.Errorf("inspect lock %s: %w", q.path, err)
		case !ok: // gone since: the next one holds, if it was the holder
		case len(state.Holders) == 0 || who.Shared && !alone && len(state.Waiting) == 0:
			state.Holders = append(state.Holders, who)
			alone = !who.Shared
		default:
			state.Waiting = append(state.Waiting, who)
		}
	}
	return state, nil
}

// Break takes the lock away from the holder with the given token, by deleting its node. Its context ends when it hears
// of that, which may be after the next one holds: only the token protects what the lock guards. If there is no such
// holder by now, nothing happens and the error is ErrNotHolder.
func (m *Mutex) Break(ctx context.Context, token uint64) error {
	return m.breakLock(ctx, m.line(), token)
}

// Revoke asks the holder with the given token to finish: see Held.Revoked. It is asked in Curator's way, so the
// holder's Tag is overwritten. If there is no such holder by now, the error is ErrNotHolder.
func (m *Mutex) Revoke(ctx context.Context, token uint64) error {
	return m.revoke(ctx, m.line(), token)
}

func (q *queue) breakLock(ctx context.Context, line recipes.Line, token uint64) error {
	state, err := q.inspect(ctx, line)
	if err != nil {
		return err
	}
	return q.deleteHolder(ctx, state.Holders, token)
}

func (q *queue) revoke(ctx context.Context, line recipes.Line, token uint64) error {
	state, err := q.inspect(ctx, line)
	if err != nil {
		return err
	}
	return q.askHolder(ctx, state.Holders, token)
}

func (q *queue) deleteHolder(ctx context.Context, holders []Contender, token uint64) error {
	who, err := find(holders, token)
	if err == nil {
		err = q.c.Delete(ctx, who.Path, -1) // the name is never used again, so it is the right one, or none
	}
	return q.verdict("break", err)
}

func (q *queue) askHolder(ctx context.Context, holders []Contender, token uint64) error {
	who, err := find(holders, token)
	if err == nil {
		_, err = q.c.Set(ctx, who.Path, []byte(revoke), -1)
	}
	return q.verdict("revoke", err)
}

func find(holders []Contender, token uint64) (Contender, error) {
	for _, who := range holders {
		if who.Token == token {
			return who, nil
		}
	}
	return Contender{}, ErrNotHolder
}

func (q *queue) verdict(verb string, err error) error {
	if errors.Is(err, client.ErrNoNode) {
		err = ErrNotHolder
	}
	if err != nil {
		return fmt.Errorf("%s lock %s: %w", verb, q.path, err)
	}
	return nil
}

// contender reads who has a place; ok is false if it has gone. Foreign libraries put plain text into their nodes: their
// name, or the address of their host.
func (q *queue) contender(ctx context.Context, place recipes.Place) (who Contender, ok bool, err error) {
	node, err := q.c.Get(ctx, zpath.Join(q.path, place.Name))
	if errors.Is(err, client.ErrNoNode) {
		return Contender{}, false, nil // CURATOR-358
	}
	if err != nil {
		return Contender{}, false, err
	}
	who = Contender{
		Token: uint64(node.Stat.Czxid), Session: node.Stat.EphemeralOwner,
		Since: time.UnixMilli(node.Stat.Ctime), Path: node.Path, Shared: reads(place),
	}
	if place.Kind == kindLease {
		who.Slots = parseLease(node.Data).Slots
	}
	if json.Unmarshal(node.Data, &who.Tag) != nil {
		who.Tag = Tag{ID: string(node.Data)}
	}
	return who, true, nil
}
