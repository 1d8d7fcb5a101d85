package differential

import (
	"fmt"
	"math/rand/v2"

	"github.com/docent-io/docent/internal/wire"
)

// A request is one step: an operation, and its body, which may hold what a side calls a zxid or a session.
type request struct {
	op   wire.Op
	xid  int32 // one with a meaning of its own, or 0
	what string
	body func(s *side, session int) []byte
}

// A generator makes requests: mostly such as make sense, on few nodes, so that they meet; and some that do not.
type generator struct {
	rng        *rand.Rand
	world      string          // everything of this age is below it
	made       []string        // sequential nodes of this world
	restricted map[string]bool // nodes that not everybody may read
}

func newGenerator(seed uint64) *generator {
	return &generator{rng: rand.New(rand.NewPCG(seed, 0)), restricted: make(map[string]bool)}
}

// newWorld lets the nodes so far rest, so that trees stay small and ACLs do not lock everybody out for good.
func (g *generator) newWorld(n int) request {
	g.world, g.made = fmt.Sprintf("/w%d", n), nil
	clear(g.restricted)
	return g.fixed(wire.OpCreate, g.world, (&wire.CreateRequest{Path: g.world, Data: []byte{}, ACL: open}).Append(nil, wire.OpCreate))
}

// Sessions below this number use watches that fire once, the others lasting ones: stacking them on one node changed
// with 3.9.0 (ZOOKEEPER-4466), and so did checking and removing lasting ones (ZOOKEEPER-4472).
const oneShotSessions = 2

// next makes a request for a session.
func (g *generator) next(session int) request {
	once := session < oneShotSessions
	n := g.rng.IntN(1000)
	for _, k := range kinds() {
		if n -= k.share; n < 0 {
			return k.make(g, once)
		}
	}
	return g.read(wire.OpGetData, once)
}

// kinds are what requests there are, with how many of a thousand. What is left over are reads of data.
func kinds() []kind {
	return []kind{
		{170, func(g *generator, _ bool) request { return g.create() }},
		{90, func(g *generator, _ bool) request { return g.delete() }},
		{110, func(g *generator, _ bool) request { return g.set() }},
		{60, func(g *generator, once bool) request { return g.exists(once) }},
		{60, func(g *generator, once bool) request { return g.read(wire.OpGetChildren, once) }},
		{60, func(g *generator, once bool) request { return g.read(wire.OpGetChildren2, once) }},
		{20, func(g *generator, _ bool) request { return g.pathOnly(wire.OpGetACL) }},
		{20, func(g *generator, _ bool) request { return g.pathOnly(wire.OpSync) }},
		{20, func(g *generator, _ bool) request { return g.pathOnly(wire.OpGetAllChildrenNumber) }},
		{20, func(g *generator, _ bool) request { return g.pathOnly(wire.OpGetEphemerals) }},
		{25, func(g *generator, _ bool) request { return g.setACL() }},
		{80, func(g *generator, _ bool) request { return g.multi() }},
		{30, func(g *generator, _ bool) request { return g.multiRead() }},
		{40, func(g *generator, once bool) request { return g.watch(once) }},
		{15, func(g *generator, once bool) request { return g.setWatches(once) }},
		{10, func(g *generator, _ bool) request { return g.auth() }},
		{10, func(g *generator, _ bool) request { return g.fixed(wire.OpWhoAmI, "", nil) }},
		{15, func(g *generator, _ bool) request { return g.quota() }},
		{6, func(g *generator, _ bool) request { return g.fixed(wire.OpCloseSession, "", nil) }},
		{25, func(g *generator, once bool) request { return g.nonsense(once) }},
	}
}

type kind struct {
	share int
	make  func(g *generator, once bool) request
}

// fixed is a request that is the same on both sides.
func (g *generator) fixed(op wire.Op, what string, body []byte) request {
	return request{op: op, what: what, body: func(*side, int) []byte { return body }}
}

// path picks a node: mostly one of a small tree, sometimes a numbered one, the system's, or no path at all.
func (g *generator) path() string {
	switch n := g.rng.IntN(100); {
	case n < 4:
		return pick(g.rng, []string{"/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota", "/zookeeper/none"})
	case n < 7:
		return pick(g.rng, []string{"", "a", "//", g.world + "/", g.world + "//a", g.world + "/./a", g.world + "/../a", g.world + "/\x00", g.world + "/\u0001b", g.world + "/\ud7ff\uf8ff", g.world + "/.", g.world + "/..."})
	case n < 25 && len(g.made) > 0:
		return pick(g.rng, g.made)
	case n < 30:
		return g.world
	}
	p := g.world
	for range 1 + g.rng.IntN(3) {
		p += "/" + pick(g.rng, []string{"a", "b", "c", "ü"})
	}
	return p
}

func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }

func (g *generator) data() []byte {
	switch n := g.rng.IntN(20); {
	case n == 0:
		return nil
	case n == 1:
		return []byte{}
	case n == 2:
		return make([]byte, g.rng.IntN(3000))
	}
	return fmt.Appendf(nil, "data %d", g.rng.IntN(1000))
}

func (g *generator) version() int32 {
	switch n := g.rng.IntN(10); {
	case n < 6:
		return -1
	case n < 9:
		return int32(g.rng.IntN(4))
	}
	return pick(g.rng, []int32{-2, 1 << 30, -1 << 31})
}

var open = []wire.ACL{{Perms: wire.PermAll, Scheme: "world", ID: "anyone"}}

// The digests are those of user:password with the password pw.
var acls = [][]wire.ACL{
	{{Perms: wire.PermRead, Scheme: "world", ID: "anyone"}},
	{{Perms: wire.PermAll, Scheme: "auth", ID: ""}},
	{{Perms: wire.PermAll, Scheme: "ip", ID: "127.0.0.1"}},
	{{Perms: wire.PermAll, Scheme: "ip", ID: "10.0.0.0/8"}, {Perms: wire.PermRead, Scheme: "world", ID: "anyone"}},
	{{Perms: wire.PermRead | wire.PermWrite, Scheme: "digest", ID: "ann:tesPTyD5jIG6q7zJKxqsvkAkbtk="}},
	{{Perms: wire.PermAll, Scheme: "world", ID: "anyone"}, {Perms: wire.PermAll, Scheme: "world", ID: "anyone"}},
	{{Perms: wire.PermCreate | wire.PermDelete | wire.PermRead, Scheme: "world", ID: "anyone"}, {Perms: wire.PermAll, Scheme: "auth", ID: "x"}},
	{{Perms: 0, Scheme: "world", ID: "anyone"}},
	{{Perms: wire.PermAll, Scheme: "world", ID: "somebody"}},
	{{Perms: wire.PermAll, Scheme: "digest", ID: "ann"}},
	{{Perms: wire.PermAll, Scheme: "ip", ID: "300.0.0.1"}},
	{{Perms: wire.PermAll, Scheme: "ip", ID: "10.0.0.0/33"}},
	{{Perms: wire.PermAll, Scheme: "none", ID: "x"}},
	{},
}

// acl picks an ACL for a node: mostly that everybody may do everything.
func (g *generator) acl(path string, unusual int) []wire.ACL {
	if g.rng.IntN(100) >= unusual {
		return open
	}
	g.restricted[path] = true
	return pick(g.rng, acls)
}

func (g *generator) create() request {
	op := pick(g.rng, []wire.Op{wire.OpCreate, wire.OpCreate, wire.OpCreate2, wire.OpCreate2, wire.OpCreateContainer, wire.OpCreateTTL})
	m := wire.CreateRequest{Path: g.path(), Data: g.data()}
	m.ACL = g.acl(m.Path, 12)
	switch op {
	case wire.OpCreate, wire.OpCreate2:
		m.Flags = int32(g.rng.IntN(4))
		if g.rng.IntN(50) == 0 {
			m.Flags = pick(g.rng, []int32{wire.FlagContainer, wire.FlagTTL, 7, -1, 1 << 20})
		}
	case wire.OpCreateContainer:
		m.Flags = wire.FlagContainer
	case wire.OpCreateTTL:
		m.Flags, m.TTL = pick(g.rng, []int32{wire.FlagTTL, wire.FlagPersistentSequentialTTL}), pick(g.rng, []int64{1 << 30, 1 << 35, 1<<40 - 1})
	}
	return g.fixed(op, fmt.Sprintf("%q flags %d acl %v", m.Path, m.Flags, m.ACL), m.Append(nil, op))
}

// learn keeps the names that servers gave.
func (g *generator) learn(path string) {
	if len(g.made) < 20 {
		g.made = append(g.made, path)
	} else {
		g.made[g.rng.IntN(len(g.made))] = path
	}
	delete(g.restricted, path)
}

func (g *generator) delete() request {
	m := wire.PathVersionRequest{Path: g.path(), Version: g.version()}
	return g.fixed(wire.OpDelete, fmt.Sprintf("%q version %d", m.Path, m.Version), m.Append(nil))
}

func (g *generator) set() request {
	m := wire.SetDataRequest{Path: g.path(), Data: g.data(), Version: g.version()}
	return g.fixed(wire.OpSetData, fmt.Sprintf("%q version %d", m.Path, m.Version), m.Append(nil))
}

func (g *generator) setACL() request {
	path := g.path()
	m := wire.SetACLRequest{Path: path, ACL: g.acl(path, 40), Version: g.version()}
	return g.fixed(wire.OpSetACL, fmt.Sprintf("%q version %d %v", m.Path, m.Version, m.ACL), m.Append(nil))
}

func (g *generator) read(op wire.Op, once bool) request {
	m := wire.PathWatchRequest{Path: g.path(), Watch: once && g.rng.IntN(2) == 0}
	return g.fixed(op, fmt.Sprintf("%q watch %t", m.Path, m.Watch), m.Append(nil))
}

// exists sets no watch on what may not be read: there 3.8 would, and 3.9.2 refuses (ZOOKEEPER-2590).
func (g *generator) exists(once bool) request {
	m := wire.PathWatchRequest{Path: g.path(), Watch: once && g.rng.IntN(2) == 0}
	m.Watch = m.Watch && !g.restricted[m.Path]
	return g.fixed(wire.OpExists, fmt.Sprintf("%q watch %t", m.Path, m.Watch), m.Append(nil))
}

func (g *generator) pathOnly(op wire.Op) request {
	m := wire.PathRecord{Path: g.path()}
	return g.fixed(op, fmt.Sprintf("%q", m.Path), m.Append(nil))
}

// multi holds no create2 (ZOOKEEPER-4026) and no flags unknown (§3.3), which 3.8 answers otherwise.
func (g *generator) multi() request {
	var ops []wire.MultiOp
	what := ""
	for range g.rng.IntN(5) {
		m := wire.MultiOp{Op: pick(g.rng, []wire.Op{wire.OpCreate, wire.OpDelete, wire.OpSetData, wire.OpCheck, wire.OpCreateContainer})}
		path := g.path()
		switch m.Op {
		case wire.OpCreate:
			m.Create = wire.CreateRequest{Path: path, Data: g.data(), ACL: g.acl(path, 5), Flags: int32(g.rng.IntN(4))}
		case wire.OpCreateContainer:
			m.Create = wire.CreateRequest{Path: path, Data: g.data(), ACL: g.acl(path, 5), Flags: wire.FlagContainer}
		case wire.OpSetData:
			m.Set = wire.SetDataRequest{Path: path, Data: g.data(), Version: g.version()}
		default:
			m.Check = wire.PathVersionRequest{Path: path, Version: g.version()}
		}
		ops = append(ops, m)
		what += fmt.Sprintf("%v %q flags %d version %d/%d; ", m.Op, path, m.Create.Flags, m.Check.Version, m.Set.Version)
	}
	return g.fixed(wire.OpMulti, what, wire.AppendMulti(nil, ops))
}

func (g *generator) multiRead() request {
	var ops []wire.MultiOp
	what := ""
	for range g.rng.IntN(4) {
		m := wire.MultiOp{Op: pick(g.rng, []wire.Op{wire.OpGetData, wire.OpGetChildren}), Read: wire.PathWatchRequest{Path: g.path()}}
		ops = append(ops, m)
		what += fmt.Sprintf("%v %q; ", m.Op, m.Read.Path)
	}
	return g.fixed(wire.OpMultiRead, what, wire.AppendMulti(nil, ops))
}

// watch adds a lasting watch, or asks for and removes those that fire once.
func (g *generator) watch(once bool) request {
	path := g.path()
	if once {
		op := pick(g.rng, []wire.Op{wire.OpCheckWatches, wire.OpRemoveWatches})
		m := wire.RemoveWatchesRequest{Path: path, Type: wire.WatcherType(pick(g.rng, []int32{1, 2, 3, 0, 9}))}
		return g.fixed(op, fmt.Sprintf("%q type %d", m.Path, m.Type), m.Append(nil))
	}
	m := wire.AddWatchRequest{Path: path, Mode: wire.WatchMode(len(path) % 2)} // always the same one on a path
	return g.fixed(wire.OpAddWatch, fmt.Sprintf("%q mode %d", m.Path, m.Mode), m.Append(nil))
}

// setWatches is what a client sends after a reconnect, with the zxid it has seen last, or an older one.
func (g *generator) setWatches(once bool) request {
	var m wire.SetWatchesRequest
	lists := []*[]string{&m.Data, &m.Exist, &m.Child}
	op := pick(g.rng, []wire.Op{wire.OpSetWatches, wire.OpSetWatches2})
	if !once {
		op = wire.OpSetWatches2
	}
	for range g.rng.IntN(5) {
		path := g.path()
		list := pick(g.rng, lists)
		switch {
		case g.restricted[path]:
			continue
		case !once && len(path)%2 == 0:
			list = &m.Persistent
		case !once:
			list = &m.Recursive
		}
		*list = append(*list, path)
	}
	early := g.rng.IntN(3) == 0
	return request{op: op, xid: wire.XidSetWatches, what: fmt.Sprintf("%+v early %t", m, early), body: func(s *side, i int) []byte {
		m := m
		if m.RelativeZxid = s.sessions[i].zxid; early {
			m.RelativeZxid = 0
		}
		return m.Append(nil, op)
	}}
}

// quota sets a quota for a subtree of this world, as zkCli does, or reads how much of it is used. Other ways of setting
// one, or of taking it away, are not among it: 3.8 dies of some at the next write below.
func (g *generator) quota() request {
	path := "/zookeeper/quota" + g.world
	if g.rng.IntN(2) == 0 {
		m := wire.PathWatchRequest{Path: path + "/a/" + pick(g.rng, []string{"zookeeper_limits", "zookeeper_stats"})}
		return g.fixed(wire.OpGetData, fmt.Sprintf("%q", m.Path), m.Append(nil))
	}
	var ops []wire.MultiOp
	for _, n := range []struct{ name, data string }{{"", ""}, {"/a", ""}, {"/a/zookeeper_limits", "count=3,bytes=100"}, {"/a/zookeeper_stats", "count=0,bytes=0"}} {
		ops = append(ops, wire.MultiOp{Op: wire.OpCreate, Create: wire.CreateRequest{Path: path + n.name, Data: []byte(n.data), ACL: open}})
	}
	return g.fixed(wire.OpMulti, fmt.Sprintf("quota at %q", path), wire.AppendMulti(nil, ops))
}

func (g *generator) auth() request {
	m := pick(g.rng, []wire.AuthRequest{
		{Scheme: "digest", Auth: []byte("ann:pw")}, {Scheme: "digest", Auth: []byte("bob:pw")}, {Scheme: "digest", Auth: []byte("ann:pw")},
		{Scheme: "ip", Auth: []byte{}}, {Scheme: "none", Auth: []byte("x")},
	})
	return request{op: wire.OpAuth, xid: wire.XidAuth, what: m.Scheme, body: func(*side, int) []byte { return m.Append(nil) }}
}

// nonsense is a request whose body is cut short, too long, or of another kind, or of a kind that does not exist.
func (g *generator) nonsense(once bool) request {
	if g.rng.IntN(8) == 0 {
		return g.fixed(wire.Op(pick(g.rng, []int32{10, 23, 99, 108, 1000, -5})), "unknown", nil)
	}
	session := oneShotSessions
	if once {
		session = 0
	}
	q := g.next(session)
	for q.xid != 0 || q.op == wire.OpCloseSession || q.op == wire.OpWhoAmI {
		q = g.next(session)
	}
	body := q.body(nil, 0)
	switch n := g.rng.IntN(4); {
	case n == 0 && len(body) > 0:
		body = body[:g.rng.IntN(len(body))]
		q.what += fmt.Sprintf(" cut to %d bytes", len(body))
	case n == 1:
		body = append(body, 1, 2, 3)
		q.what += " and 3 bytes more"
	case n == 2:
		body = nil
		q.what = "without a body"
	default:
		body = wire.AppendInt32(nil, pick(g.rng, []int32{-1, -2, 1 << 30}))
		q.what = fmt.Sprintf("body %x", body)
	}
	return g.fixed(q.op, q.what, body)
}
