package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/docent-io/docent/internal/zpath"
)

// guard is a name by which a create is found again when its reply was lost (Curator's layout).
type guard struct {
	dir    string // the parent, as the caller knows it
	prefix string // what the node's name begins with
	path   string // what to create
}

func newGuard(path string) guard {
	dir, name := "/", strings.TrimPrefix(path, "/")
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, name = "/"+strings.Trim(path[:i], "/"), path[i+1:]
	}
	g := guard{dir: dir, prefix: "_c_" + uuid.NewString() + "-"}
	g.path = strings.TrimSuffix(dir, "/") + "/" + g.prefix + name
	return g
}

// createProtected makes a node whose name tells it apart from all others. When the reply is lost it looks for the node
// before it tries again: behind a sync, for the state this session has seen need not contain its own create.
func (s *Session) createProtected(ctx context.Context, g guard, data []byte, spec *createSpec) (Node, error) {
	for again := false; ; again = true {
		node, err := s.createWithParents(ctx, g.path, data, spec)
		if !errors.Is(err, ErrMaybeApplied) && !(again && errors.Is(err, ErrNodeExists)) {
			return node, err
		}
		if spec.siblings != nil {
			*spec.siblings = nil // it is from before
		}
		found, ok, findErr := s.find(ctx, g, spec)
		switch {
		case ok:
			found.Data = data
			return found, nil
		case findErr != nil:
			s.s.deletes.search(s, g)
			return Node{}, &OpError{Op: "create", Path: g.path, Session: s.s.id, MaybeApplied: true, Err: fmt.Errorf("%w; looking for it: %w", err, findErr)}
		}
	}
}

// find looks for a guarded node. If there are several (a create was carried out late) it keeps the one with the lowest
// number and deletes the others. An ephemeral of another session is none of ours.
func (s *Session) find(ctx context.Context, g guard, spec *createSpec) (Node, bool, error) {
	paths, err := s.findAll(ctx, g)
	if err != nil {
		return Node{}, false, err
	}
	var kept *Node
	for _, path := range paths {
		if kept != nil {
			if err := s.DeleteGuaranteed(ctx, path); err != nil && !errors.Is(err, ErrDeletePending) {
				return Node{}, false, err
			}
			continue
		}
		stat, ok, err := s.Exists(ctx, path)
		if err != nil {
			return Node{}, false, err
		}
		if ok && (!spec.ephemeral || stat.EphemeralOwner == s.s.id) {
			kept = &Node{Path: path, Stat: stat}
		}
	}
	if kept == nil {
		return Node{}, false, nil
	}
	return *kept, true, nil
}

// findAll returns the paths of the nodes with the guard's prefix, in the order of their names.
func (s *Session) findAll(ctx context.Context, g guard) ([]string, error) {
	names, _, err := s.Children(ctx, g.dir, Fresh())
	if errors.Is(err, ErrNoNode) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, name := range names {
		if strings.HasPrefix(name, g.prefix) {
			paths = append(paths, zpath.Join(g.dir, name))
		}
	}
	slices.Sort(paths)
	return paths, nil
}
