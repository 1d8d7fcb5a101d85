package tree_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
)

// model is the tree as a plain map, written from the protocol reference as naively as can be: it copies everything
// before a multi, and looks through everything to find children.
type model struct {
	nodes map[string]mnode
	now   int64
	zxid  int64
}

type mnode struct {
	data    string
	null    bool
	stat    wire.Stat // without the counts of children
	creates int32
	owner   int64 // also of containers (-1) and TTL nodes (-2)
}

// children returns the names below every path.
func (m *model) children() map[string][]string {
	names := make(map[string][]string)
	for p := range m.nodes {
		if p != "/" {
			names[parentOf(p)] = append(names[parentOf(p)], p[strings.LastIndex(p, "/")+1:])
		}
	}
	return names
}

func (m *model) stat(path string, children int) wire.Stat {
	n := m.nodes[path]
	s := n.stat
	s.NumChildren = int32(children)
	s.Cversion = 2*n.creates - s.NumChildren
	s.DataLength = int32(len(n.data))
	if n.owner > 0 {
		s.EphemeralOwner = n.owner
	}
	return s
}

func parentOf(path string) string {
	if i := strings.LastIndex(path, "/"); i > 0 {
		return path[:i]
	}
	return "/"
}

func (m *model) do(session int64, op *wire.MultiOp) (string, wire.Code) {
	switch op.Op {
	case wire.OpCreate, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL:
		return m.create(session, op)
	case wire.OpDelete:
		n, ok := m.nodes[op.Check.Path]
		switch {
		case !ok:
			return "", wire.ErrNoNode
		case op.Check.Version != -1 && op.Check.Version != n.stat.Version:
			return "", wire.ErrBadVersion
		case len(m.children()[op.Check.Path]) > 0:
			return "", wire.ErrNotEmpty
		}
		m.remove(op.Check.Path)
	case wire.OpSetData:
		n, ok := m.nodes[op.Set.Path]
		if !ok {
			return "", wire.ErrNoNode
		}
		if op.Set.Version != -1 && op.Set.Version != n.stat.Version {
			return "", wire.ErrBadVersion
		}
		n.data, n.null = string(op.Set.Data), op.Set.Data == nil
		n.stat.Version++
		n.stat.Mzxid, n.stat.Mtime = m.zxid, m.now
		m.nodes[op.Set.Path] = n
	case wire.OpCheck:
		n, ok := m.nodes[op.Check.Path]
		if !ok {
			return "", wire.ErrNoNode
		}
		if op.Check.Version != -1 && op.Check.Version != n.stat.Version {
			return "", wire.ErrBadVersion
		}
	}
	return "", wire.OK
}

func (m *model) create(session int64, op *wire.MultiOp) (string, wire.Code) {
	req := &op.Create
	p, ok := m.nodes[parentOf(req.Path)]
	if !ok {
		return "", wire.ErrNoNode
	}
	path, owner := req.Path, int64(0)
	if req.Flags == wire.FlagSequential || req.Flags == wire.FlagEphemeralSequential || req.Flags == wire.FlagPersistentSequentialTTL {
		path += fmt.Sprintf("%010d", p.creates)
	}
	if _, ok := m.nodes[path]; ok {
		return "", wire.ErrNodeExists
	}
	if p.owner > 0 {
		return "", wire.ErrNoChildrenEphemeral
	}
	switch {
	case op.Op == wire.OpCreateContainer:
		owner = -1
	case op.Op == wire.OpCreateTTL:
		owner = -2
	case req.Flags == wire.FlagEphemeral || req.Flags == wire.FlagEphemeralSequential:
		owner = session
	}
	m.nodes[path] = mnode{data: string(req.Data), null: req.Data == nil, owner: owner,
		stat: wire.Stat{Czxid: m.zxid, Mzxid: m.zxid, Pzxid: m.zxid, Ctime: m.now, Mtime: m.now}}
	p.creates++
	p.stat.Pzxid = m.zxid
	m.nodes[parentOf(path)] = p
	return path, wire.OK
}

func (m *model) remove(path string) {
	delete(m.nodes, path)
	p := m.nodes[parentOf(path)]
	p.stat.Pzxid = m.zxid
	m.nodes[parentOf(path)] = p
}

// TestTree_AgainstModel runs random transactions on the tree and on the model, and compares all there is to see.
func TestTree_AgainstModel(t *testing.T) {
	steps := 2000
	if testing.Short() {
		steps = 300
	}
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := run{T: t, rand: rand.New(rand.NewPCG(seed, 1)), w: newWorld(t), open: map[int64]bool{1: true}, nextID: 2}
			r.w.feature = tree.FeatureTTL
			r.m = model{nodes: map[string]mnode{"/": {}, "/zookeeper": {}, "/zookeeper/quota": {}, "/zookeeper/config": {stat: wire.Stat{Aversion: -1}}}}
			for range steps {
				r.step()
				if t.Failed() {
					return
				}
			}
		})
	}
}

type run struct {
	*testing.T
	rand   *rand.Rand
	w      *world
	m      model
	open   map[int64]bool
	nextID int64
}

func (r *run) step() {
	r.w.now += r.rand.Int64N(3)
	r.m.now, r.m.zxid = r.w.now, r.w.Zxid()+1
	ids := slices.Sorted(maps.Keys(r.open))
	r.w.session = ids[r.rand.IntN(len(ids))]
	r.w.epoch = 1
	switch k := r.rand.IntN(100); {
	case k < 60:
		op := r.op(false)
		path, code := r.m.do(r.w.session, &op)
		if got := r.w.one(op); got.Err != code || got.Path != path {
			r.Errorf("%v = %v, %q, want %v, %q", op, got.Err, got.Path, code, path)
		}
	case k < 90:
		r.multi()
	case k < 92 && len(ids) < 5:
		r.w.open(r.nextID)
		r.open[r.nextID] = true
		r.nextID++
	case k < 94 && len(ids) > 1:
		r.close(r.w.session)
	case k < 97:
		r.reap()
	default:
		r.w.Tree = restored(r, r.w.Tree)
	}
	r.compare()
}

func (r *run) close(id int64) {
	delete(r.open, id)
	r.w.close(id)
	for path, n := range r.m.nodes {
		if n.owner == id {
			r.m.remove(path)
		}
	}
}

func (r *run) reap() {
	paths := r.w.Reapable(r.w.now, 0, 2)
	for _, path := range paths {
		r.m.zxid = r.w.Zxid() + 1
		if got := r.w.reap(path, 0); got.Err != wire.OK {
			r.Errorf("reap of %s = %v", path, got.Err)
		}
		r.m.remove(path)
	}
}

func (r *run) multi() {
	ops := make([]wire.MultiOp, r.rand.IntN(6))
	before, digest, counts := maps.Clone(r.m.nodes), r.w.Digest(), r.w.Counts()
	failed := -1
	var paths []string
	var code wire.Code
	for i := range ops {
		ops[i] = r.op(true)
		if failed < 0 {
			var path string
			if path, code = r.m.do(r.w.session, &ops[i]); code != wire.OK {
				failed = i
			}
			paths = append(paths, path)
		}
	}
	got := r.w.multi(ops...)
	if failed >= 0 {
		r.m.nodes = before
		if got.Multi[failed].Err != code || r.w.Digest() != digest || r.w.Counts() != counts || len(r.w.events) > 0 {
			r.Errorf("multi %v failed with %v, want %v at %d; or it left something", ops, got.Multi, code, failed)
		}
		return
	}
	for i, m := range got.Multi {
		if m.Err != wire.OK || m.Path != paths[i] {
			r.Errorf("multi %v: result %d is %v, want %q", ops, i, m, paths[i])
		}
	}
}

// op returns a random operation on few paths, so that they meet.
func (r *run) op(multi bool) wire.MultiOp {
	path := ""
	for range 1 + r.rand.IntN(3) {
		path += "/" + string(rune('a'+r.rand.IntN(3)))
	}
	if r.rand.IntN(8) == 0 { // one that a sequential create made
		path = "/" + string(rune('a'+r.rand.IntN(3))) + "0000000000"
	}
	version := int32(r.rand.IntN(4)) - 1
	if r.rand.IntN(2) == 0 {
		version = -1
	}
	kinds := 6
	if multi {
		kinds = 7
	}
	switch r.rand.IntN(kinds) {
	case 0:
		return del(path, version)
	case 1:
		return set(path, strings.Repeat("y", r.rand.IntN(5)), version)
	case 2:
		return container(path)
	case 3:
		return ttl(path, int64(1+r.rand.IntN(20)))
	case 6:
		return check(path, version)
	}
	m := create(path, int32(r.rand.IntN(4)))
	if r.rand.IntN(3) == 0 {
		m.Create.Data = nil
	}
	return m
}

func (r *run) compare() {
	if c := r.w.Counts(); c.Nodes != len(r.m.nodes) {
		r.Fatalf("%d nodes, want %d", c.Nodes, len(r.m.nodes))
	}
	size, counts := int64(0), tree.Counts{Nodes: len(r.m.nodes), Sessions: len(r.open)}
	ephemerals, children := make(map[int64][]string), r.m.children()
	for path, want := range r.m.nodes {
		n := r.w.Node(path)
		if n == nil {
			r.Fatalf("no node %s", path)
		}
		if got, stat := n.Stat(), r.m.stat(path, len(children[path])); got != stat {
			r.Errorf("Stat of %s = %+v, want %+v", path, got, stat)
		}
		if n.Path() != path || string(n.Data()) != want.data || path[1:] != "" && !strings.HasPrefix(path, "/zoo") && (n.Data() == nil) != want.null {
			r.Errorf("%s has data %#v, want %q (null: %v)", path, n.Data(), want.data, want.null)
		}
		slices.Sort(children[path])
		if got := r.w.children(path); !slices.Equal(got, children[path]) {
			r.Errorf("children of %s = %v, want %v", path, got, children[path])
		}
		size += int64(len(path) + len(want.data))
		switch {
		case want.owner == -1:
			counts.Containers++
		case want.owner == -2:
			counts.TTLs++
		case want.owner > 0:
			counts.Ephemerals++
			ephemerals[want.owner] = append(ephemerals[want.owner], path)
		}
	}
	counts.DataSize = size
	if got := r.w.Counts(); got != counts {
		r.Errorf("Counts = %+v, want %+v", got, counts)
	}
	for id := range r.open {
		slices.Sort(ephemerals[id])
		if got := r.w.Ephemerals(id); !slices.Equal(got, ephemerals[id]) {
			r.Errorf("Ephemerals(%d) = %v, want %v", id, got, ephemerals[id])
		}
	}
}
