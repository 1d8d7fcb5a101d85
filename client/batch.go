package client

import (
	"context"

	"github.com/docent-io/docent/internal/wire"
)

// Batch collects operations that are sent in one go, and carried out in their order; unlike those of a transaction they
// succeed or fail each by itself, and other clients' operations may come in between. It may be used once, by one
// goroutine.
type Batch struct {
	s     *Session
	items []batchItem
}

type batchItem struct {
	k      *call
	shown  string
	settle func(k *call, err error) // fills in the future
}

// Future is the result of one operation of a batch, once Do has returned.
type Future[T any] struct {
	value T
	err   error
}

// Get returns the result.
func (f *Future[T]) Get() (T, error) { return f.value, f.err }

// Existence is the result of Exists in a batch.
type Existence struct {
	Stat  Stat
	OK    bool   // there is such a node
	Watch *Watch // of ExistsW
}

// Listing is the result of Children in a batch.
type Listing struct {
	Names []string
	Stat  Stat
	Watch *Watch // of ChildrenW
}

// Reading is the result of Get in a batch.
type Reading struct {
	Node  Node
	Watch *Watch // of GetW
}

// Batch begins a batch.
func (s *Session) Batch() *Batch { return &Batch{s: s} }

// queue adds an operation; fill makes the result of a successful call, or of one that failed with err.
func queue[T any](b *Batch, k *call, shown string, err error, fill func(k *call, err error) (T, error)) *Future[T] {
	f := new(Future[T])
	if err != nil {
		f.err = err
		return f
	}
	b.items = append(b.items, batchItem{k, shown, func(k *call, err error) { f.value, f.err = fill(k, err) }})
	return f
}

// Get reads a node.
func (b *Batch) Get(path string) *Future[Reading] {
	k, shown, err := b.s.start(wire.OpGetData, path)
	return b.reading(k, nil, shown, err)
}

// GetW reads a node and sets a watch on it; see Session.GetW.
func (b *Batch) GetW(path string) *Future[Reading] {
	k, w, shown, err := b.s.startW(wire.OpGetData, path)
	return b.reading(k, w, shown, err)
}

func (b *Batch) reading(k *call, w *Watch, shown string, err error) *Future[Reading] {
	return queue(b, k, shown, err, func(k *call, err error) (Reading, error) {
		if err != nil {
			return Reading{}, err
		}
		return Reading{Node{Path: shown, Data: k.rep.data, Stat: Stat(k.rep.stat)}, w}, nil
	})
}

// Exists tells whether there is such a node.
func (b *Batch) Exists(path string) *Future[Existence] {
	k, shown, err := b.s.start(wire.OpExists, path)
	return b.existence(k, nil, shown, err)
}

// ExistsW tells whether there is such a node, and sets a watch either way; see Session.ExistsW.
func (b *Batch) ExistsW(path string) *Future[Existence] {
	k, w, shown, err := b.s.startW(wire.OpExists, path)
	return b.existence(k, w, shown, err)
}

func (b *Batch) existence(k *call, w *Watch, shown string, err error) *Future[Existence] {
	return queue(b, k, shown, err, func(k *call, err error) (Existence, error) {
		stat, ok, err := existsResult(k, err)
		if err != nil {
			return Existence{}, err
		}
		return Existence{stat, ok, w}, nil
	})
}

// Children returns the names of a node's children, in no particular order.
func (b *Batch) Children(path string) *Future[Listing] {
	k, shown, err := b.s.start(wire.OpGetChildren2, path)
	return b.listing(k, nil, shown, err)
}

// ChildrenW returns the names of a node's children and sets a watch on that list; see Session.ChildrenW.
func (b *Batch) ChildrenW(path string) *Future[Listing] {
	k, w, shown, err := b.s.startW(wire.OpGetChildren2, path)
	return b.listing(k, w, shown, err)
}

func (b *Batch) listing(k *call, w *Watch, shown string, err error) *Future[Listing] {
	return queue(b, k, shown, err, func(k *call, err error) (Listing, error) {
		if err != nil {
			return Listing{}, err
		}
		return Listing{k.rep.names, Stat(k.rep.stat), w}, nil
	})
}

// Create makes a node. Parents, Protected and WithSiblings are not for batches.
func (b *Batch) Create(path string, data []byte, o ...CreateOption) *Future[Node] {
	spec := newCreateSpec(o)
	k, shown, err := b.s.startCreate(path, data, &spec, spec.parents || spec.protected || spec.siblings != nil)
	return queue(b, k, shown, err, func(k *call, err error) (Node, error) {
		if err != nil {
			return Node{}, err
		}
		return Node{Path: b.s.c.show(k.rep.path), Data: data, Stat: Stat(k.rep.stat)}, nil
	})
}

// Set replaces a node's data if version is that of its data, or -1.
func (b *Batch) Set(path string, data []byte, version int32) *Future[Stat] {
	k, shown, err := b.s.start(wire.OpSetData, path)
	if err == nil {
		k.req.data, k.req.version = data, version
	}
	return queue(b, k, shown, err, func(k *call, err error) (Stat, error) {
		if err != nil {
			return Stat{}, err
		}
		return Stat(k.rep.stat), nil
	})
}

// Delete removes a node without children if version is that of its data, or -1.
func (b *Batch) Delete(path string, version int32) *Future[struct{}] {
	k, shown, err := b.s.start(wire.OpDelete, path)
	if err == nil {
		k.req.version = version
	}
	return queue(b, k, shown, err, func(_ *call, err error) (struct{}, error) { return struct{}{}, err })
}

// Sync makes the server catch up with its leader before what comes behind it.
func (b *Batch) Sync(path string) *Future[struct{}] {
	k, shown, err := b.s.start(wire.OpSync, path)
	return queue(b, k, shown, err, func(_ *call, err error) (struct{}, error) { return struct{}{}, err })
}

// Do sends the batch and waits for all its answers. Its error is that of the first operation that got no answer; what
// servers refused is an error of its own future alone. When the connection is lost, what changes nothing is repeated on
// the session's next one, unless a write of the batch was lost: then all that got no answer fails.
func (b *Batch) Do(ctx context.Context) error {
	calls := make([]*call, len(b.items))
	for i, it := range b.items {
		calls[i] = it.k
	}
	b.s.s.run(ctx, calls...)
	var first error
	for _, it := range b.items {
		err := b.s.failure(it.k, it.shown)
		if first == nil && it.k.err != nil {
			first = err
		}
		it.settle(it.k, err)
		b.s.s.release(it.k)
	}
	b.items = nil
	return first
}
