package rendezvous

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
	"github.com/docent-io/docent/recipes"
)

// patience bounds how long a follower that leaves is kept for the confirmation that its node is gone.
const patience = time.Second

// Point is a place to meet at. It is a description and holds nothing: one Point may be used by several goroutines.
// T is what is posted, and travels as JSON.
type Point[T any] struct {
	c    *client.Client
	path string
	term Holder
}

// Info is what a worker knows of the master.
type Info[T any] struct {
	Value  T
	Epoch  uint64 // grows from posting to posting: work under an older one is void
	Gone   bool   // there is no master now; only Epoch and Poster are set, those of the last one
	Poster string // the identity of its client
}

// Holder is a term of leadership, or anything else that is held through a session. A *leader.Term is one.
type Holder interface {
	Session() *client.Session
	Context() context.Context // ends with the term
	Token() uint64            // grows from term to term
}

// Option changes a Point.
type Option func(*options)

type options struct{ term Holder }

// OnTerm ties what this point posts to a term: it is posted on the term's session and taken back when the term ends. It
// displaces what an earlier term left behind.
func OnTerm(t Holder) Option { return func(o *options) { o.term = t } }

// At returns the point at path, without any I/O.
func At[T any](c *client.Client, path string, o ...Option) *Point[T] {
	var opts options
	for _, opt := range o {
		opt(&opts)
	}
	return &Point[T]{c: c, path: zpath.Join("/", path), term: opts.term}
}

func (p *Point[T]) info() string    { return zpath.Join(p.path, "info") }
func (p *Point[T]) workers() string { return zpath.Join(p.path, "w") }

// envelope is the data of info.
type envelope struct {
	By    string          `json:"by"`              // the identity of the poster
	Token uint64          `json:"token,omitempty"` // of the poster's term, if there is one
	Value json.RawMessage `json:"value"`
}

// Wait returns what the master posted, and waits for one as long as there is none. The first look is fresh: who was told
// of a new master by other means does not see the one before. It needs no node to exist, and goes on across lost
// sessions. A posting that is no JSON for T is an error.
func (p *Point[T]) Wait(ctx context.Context) (Info[T], error) {
	for seen, err := range p.infos(ctx) {
		if err != nil || !seen.Gone {
			return seen.Info, err
		}
	}
	return Info[T]{}, nil // not reached: infos ends with an error
}

// Follow yields the posting, each further one (a new epoch, or new data of the same), and Gone when there is none any
// more. If there is none at first, it waits. A new epoch without Gone before it means that the change was fast: what was
// agreed with the last master is void all the same. While it is ranged over it shows a worker to Gather, on every
// session in turn. It ends after yielding an error: that of ctx, client.ErrClosed, or one that repeating does not help.
func (p *Point[T]) Follow(ctx context.Context) iter.Seq2[Info[T], error] {
	return func(yield func(Info[T], error) bool) {
		here := recipes.NewPresence(p.c, zpath.Join(p.workers(), newWorker(p.c.Identity())), []byte(p.c.Identity()))
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
			defer cancel()
			_ = here.Close(ctx) // what is not confirmed by then goes on in the session
		}()
		last := sighting[T]{Info: Info[T]{Gone: true}}
		for seen, err := range p.infos(ctx) {
			if err == nil {
				if seen.Gone && last.Gone || !seen.Gone && seen.mzxid == last.mzxid {
					continue // nothing new
				}
				if seen.Gone {
					seen.Epoch, seen.Poster = last.Epoch, last.Poster
				}
				last = seen
			}
			if !yield(seen.Info, err) {
				return
			}
		}
	}
}

// sighting is a look at the posting.
type sighting[T any] struct {
	Info[T]
	mzxid int64 // of the posting; 0 if there is none
}

// infos yields what each look at the posting shows. The first look of every session catches up first: another server
// must not show a master that is known to be gone.
func (p *Point[T]) infos(ctx context.Context) iter.Seq2[sighting[T], error] {
	var synced *client.Session
	return recipes.Follow(ctx, p.c, func(ctx context.Context, s *client.Session) (sighting[T], *client.Watch, error) {
		fresh := s != synced
		synced = s
		return p.look(ctx, s, fresh)
	})
}

// look reads the posting. Where there is none it watches for one, without making any node.
func (p *Point[T]) look(ctx context.Context, s *client.Session, fresh bool) (sighting[T], *client.Watch, error) {
	for {
		node, w, err := read(ctx, s, p.info(), fresh)
		if err == nil {
			seen, err := p.decode(node)
			if err != nil {
				w.Close()
			}
			return seen, w, err
		}
		if !errors.Is(err, client.ErrNoNode) {
			return sighting[T]{}, nil, err
		}
		_, there, w, err := s.ExistsW(ctx, p.info())
		if err != nil || !there {
			return sighting[T]{Info: Info[T]{Gone: true}}, w, err
		}
		w.Close() // posted since: read it
	}
}

// read reads and watches a node, with a sync ahead in the same flight if it is to be fresh.
func read(ctx context.Context, s *client.Session, path string, fresh bool) (client.Node, *client.Watch, error) {
	if !fresh {
		return s.GetW(ctx, path)
	}
	batch := s.Batch()
	sync, node := batch.Sync(path), batch.GetW(path)
	if err := batch.Do(ctx); err != nil {
		return client.Node{}, nil, err
	}
	r, err := node.Get()
	if _, syncErr := sync.Get(); syncErr != nil && err == nil {
		r.Watch.Close()
		err = syncErr
	}
	return r.Node, r.Watch, err
}

func (p *Point[T]) decode(node client.Node) (sighting[T], error) {
	if len(node.Data) == 0 {
		return sighting[T]{Info: Info[T]{Gone: true}}, nil // posted in two steps by a stranger, and not yet complete
	}
	var e envelope
	if err := json.Unmarshal(node.Data, &e); err != nil {
		return sighting[T]{}, fmt.Errorf("read posting %s: %w", node.Path, err)
	}
	seen := sighting[T]{Info: Info[T]{Epoch: uint64(node.Stat.Czxid), Poster: e.By}, mzxid: node.Stat.Mzxid}
	if err := json.Unmarshal(e.Value, &seen.Value); err != nil {
		return sighting[T]{}, fmt.Errorf("read posting %s of %s: %w", node.Path, e.By, err)
	}
	return seen, nil
}
