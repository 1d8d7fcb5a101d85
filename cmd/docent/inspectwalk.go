package main

import (
	"context"
	"errors"
	"slices"

	"github.com/docent-io/docent/client"
)

// forest reads many nodes in few round trips. It writes nothing.
type forest struct{ c *client.Client }

// flight is how many reads are under way at once: enough to hide the way to the server, and few enough to leave it time
// for others.
const flight = 256

// inFlight asks about all paths, flight by flight, and calls take with each answer, in order. An answer may be an error
// of its own, such as ErrNoNode or ErrNoAuth; take says whether that ends it all. What is asked must change nothing: it
// is asked once more on the next session when one ends.
func inFlight[T any](ctx context.Context, f forest, paths []string, ask func(*client.Batch, string) *client.Future[T], take func(path string, v T, err error) error) error {
	for part := range slices.Chunk(paths, flight) {
		futures, err := oneFlight(ctx, f, part, ask)
		if err != nil {
			return err
		}
		for i, future := range futures {
			v, err := future.Get()
			if err := take(part[i], v, err); err != nil {
				return err
			}
		}
	}
	return nil
}

func oneFlight[T any](ctx context.Context, f forest, paths []string, ask func(*client.Batch, string) *client.Future[T]) ([]*client.Future[T], error) {
	for {
		s, err := f.c.Session(ctx)
		if err != nil {
			return nil, err
		}
		b, futures := s.Batch(), make([]*client.Future[T], len(paths))
		for i, path := range paths {
			futures[i] = ask(b, path)
		}
		if err = b.Do(ctx); err == nil {
			return futures, nil
		}
		if s.Context().Err() == nil || ctx.Err() != nil {
			return nil, err
		}
	}
}

// read gets nodes. One that has gone, or must not be read, is missing from the result.
func (f forest) read(ctx context.Context, paths []string) (map[string]client.Node, error) {
	nodes := make(map[string]client.Node, len(paths))
	err := inFlight(ctx, f, paths, (*client.Batch).Get, func(path string, r client.Reading, err error) error {
		if err == nil {
			nodes[path] = r.Node
		}
		return passOver(err)
	})
	return nodes, err
}

// list gets lists of children, as read gets nodes.
func (f forest) list(ctx context.Context, paths ...string) (map[string]client.Listing, error) {
	lists := make(map[string]client.Listing, len(paths))
	err := inFlight(ctx, f, paths, (*client.Batch).Children, func(path string, l client.Listing, err error) error {
		if err == nil {
			lists[path] = l
		}
		return passOver(err)
	})
	return lists, err
}

// passOver forgets that a node has gone meanwhile or must not be read.
func passOver(err error) error {
	if errors.Is(err, client.ErrNoNode) || errors.Is(err, client.ErrNoAuth) {
		return nil
	}
	return err
}

// walk visits a node and all below it, each after its parent. What visit returns are the names of the children to go on
// with. A node that must not be read is visited with the error, and nothing below it; one that has gone meanwhile with
// ErrNoNode. Only the names of nodes still to be visited are kept, at most the children of those on one way down.
func (f forest) walk(ctx context.Context, root string, visit func(path string, l client.Listing, err error) []string) error {
	stack := []string{root}
	for len(stack) > 0 {
		n := max(len(stack)-flight, 0)
		next := slices.Clone(stack[n:])
		slices.Reverse(next)
		stack = stack[:n]
		err := inFlight(ctx, f, next, (*client.Batch).Children, func(path string, l client.Listing, err error) error {
			if passOver(err) != nil || path == root && errors.Is(err, client.ErrNoNode) {
				return err
			}
			for _, name := range visit(path, l, err) {
				stack = append(stack, below(path, name))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// below returns the path of a child.
func below(dir, name string) string {
	if dir == "/" {
		return dir + name
	}
	return dir + "/" + name
}

// catchUp makes what is read from now on at least as new as the call. A server without a quorum cannot, and shows what
// it has.
func (f forest) catchUp(ctx context.Context) error {
	err := f.c.Sync(ctx, "/")
	if errors.Is(err, client.ErrReadOnly) {
		return nil
	}
	return err
}
