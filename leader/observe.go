package leader

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/recipes"
)

// ErrNoLeader: there is no candidate at all.
var ErrNoLeader = errors.New("no leader")

// Info is what is known of a leader or candidate.
type Info struct {
	ID, Addr string
	Token    uint64    // the term's, or what it will be
	Acked    bool      // it has begun to act as the leader
	Vacant   bool      // nobody leads; everything else is zero
	Since    time.Time // it leads, by its own clock; or, while not Acked, it is a candidate, by the servers'
	Data     []byte    // what it has published
}

// profile is what a candidate's node says.
type profile struct {
	ID    string    `json:"id"`
	Addr  string    `json:"addr,omitempty"`
	PID   int       `json:"pid,omitempty"`
	Acked bool      `json:"acked"`
	Since time.Time `json:"since,omitzero"`
	Data  []byte    `json:"data,omitempty"`
}

// info makes sense of a candidate's node. Curator's candidates put their id into it, as text.
func info(n client.Node) Info {
	i := Info{Token: uint64(n.Stat.Czxid), Since: time.UnixMilli(n.Stat.Ctime)}
	var p profile
	if json.Unmarshal(n.Data, &p) != nil {
		i.ID = string(n.Data)
		return i
	}
	i.ID, i.Addr, i.Acked, i.Data = p.ID, p.Addr, p.Acked, p.Data
	if p.Acked {
		i.Since = p.Since
	}
	return i
}

// Current returns who leads at path, as of the moment of the call or later, or ErrNoLeader.
func Current(ctx context.Context, c *client.Client, path string) (Info, error) {
	for {
		places, err := lineAt(path).List(ctx, c, client.Fresh())
		if err == nil && len(places) == 0 {
			err = ErrNoLeader
		}
		if err != nil {
			return Info{Vacant: errors.Is(err, ErrNoLeader)}, fmt.Errorf("leader at %s: %w", path, err)
		}
		node, err := c.Get(ctx, lineAt(path).Path(places[0]))
		switch {
		case errors.Is(err, client.ErrNoNode): // gone since; the next one leads
		case err != nil:
			return Info{}, fmt.Errorf("leader at %s: %w", path, err)
		default:
			return info(node), nil
		}
	}
}

// Candidates returns the leader and those who wait, in their order, as of the moment of the call or later.
func Candidates(ctx context.Context, c *client.Client, path string) ([]Info, error) {
	places, err := lineAt(path).List(ctx, c, client.Fresh())
	if err != nil {
		return nil, fmt.Errorf("candidates at %s: %w", path, err)
	}
	var all []Info
	for _, place := range places {
		node, err := c.Get(ctx, lineAt(path).Path(place))
		switch {
		case errors.Is(err, client.ErrNoNode):
		case err != nil:
			return nil, fmt.Errorf("candidates at %s: %w", path, err)
		default:
			all = append(all, info(node))
		}
	}
	return all, nil
}

// Observe yields who leads at path, and again whenever that changes: the leader, what it publishes, that it acts, or
// that there is none (Vacant). It costs one watch, on the leader's node, and goes on from session to session. A reader
// that is slow skips what was overtaken. It ends after yielding an error: that of ctx, client.ErrClosed, or a refusal.
func Observe(ctx context.Context, c *client.Client, path string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		var last *Info
		for now, err := range recipes.Follow(ctx, c, watchLeader(lineAt(path))) {
			if err != nil {
				yield(Info{}, fmt.Errorf("observe leader at %s: %w", path, err))
				return
			}
			if last != nil && same(now, *last) {
				continue
			}
			if last = &now; !yield(now, nil) {
				return
			}
		}
	}
}

func same(a, b Info) bool {
	return a.ID == b.ID && a.Token == b.Token && a.Acked == b.Acked && a.Vacant == b.Vacant && a.Addr == b.Addr &&
		bytes.Equal(a.Data, b.Data)
}

// watchLeader finds the leader by the order of the line, never by an event, and watches its node; or, while there is
// none, the directory.
func watchLeader(l recipes.Line) recipes.Look[Info] {
	return func(ctx context.Context, s *client.Session) (Info, *client.Watch, error) {
		for {
			places, err := l.List(ctx, s)
			if err != nil {
				return Info{}, nil, err
			}
			if len(places) == 0 {
				w, err := watchVacancy(ctx, s, l)
				if w != nil || err != nil {
					return Info{Vacant: true}, w, err
				}
				continue
			}
			node, w, err := s.GetW(ctx, l.Path(places[0]))
			if errors.Is(err, client.ErrNoNode) {
				continue // gone since
			}
			return info(node), w, err
		}
	}
}

// watchVacancy returns a watch that fires when a candidate comes, or nil if one has come already.
func watchVacancy(ctx context.Context, s *client.Session, l recipes.Line) (*client.Watch, error) {
	_, _, w, err := s.ChildrenW(ctx, l.Dir)
	if errors.Is(err, client.ErrNoNode) {
		var exists bool
		if _, exists, w, err = s.ExistsW(ctx, l.Dir); err == nil && exists {
			w.Close()
			return nil, nil
		}
		return w, err
	}
	if err != nil {
		return nil, err
	}
	places, err := l.List(ctx, s)
	if err != nil || len(places) > 0 {
		w.Close()
		return nil, err
	}
	return w, nil
}
