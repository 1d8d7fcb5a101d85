package server

import (
	"strings"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/tree"
	"github.com/docent-io/docent/server/internal/watch"
)

// A readFunc carries out a read: it looks, registers watches, and says what to answer. It runs under the tree's read
// lock, and is to change nothing but watches.
type readFunc func(r *readCall)

// readCall is one read being carried out.
type readCall struct {
	conn    *conn
	tree    *tree.Tree
	watches *watch.Table[*conn]
	req     any

	err    wire.Code
	zxid   *int64       // in the reply's header, if not the last one applied
	events []tree.Event // to go before the reply
	reply  func(r *readCall, b []byte) []byte

	node  *tree.Node
	count int32
	multi []wire.MultiResult
	names []string
}

// look finds the node at path and checks that the client may do what perm says. It sets r.err if not.
func (r *readCall) look(path string, perm int32) bool {
	r.node = r.tree.Node(path)
	switch {
	case r.node == nil:
		r.err = wire.ErrNoNode
	case !tree.Allowed(r.node.ACL(), perm, *r.conn.ids.Load()):
		r.err = wire.ErrNoAuth
	default:
		return true
	}
	return false
}

// watch registers a watch, unless the connection has as many as it may have. Then the request fails.
func (r *readCall) watch(path string, k watch.Kind) {
	if !r.watches.Add(r.conn, path, k, r.conn.srv.cfg.Limits.Watches) {
		r.conn.srv.stats.watches.Add(1)
		r.err = wire.ErrThrottled
	}
}

func runExists(r *readCall) {
	req := r.req.(*wire.PathWatchRequest)
	if strings.IndexByte(req.Path, 0) >= 0 {
		r.err = wire.ErrBadArguments
		return
	}
	ok := r.look(req.Path, wire.PermRead)
	if req.Watch && (ok || r.err == wire.ErrNoNode) {
		r.watch(req.Path, watch.Data)
	}
	r.reply = replyStat
}

func runGetData(r *readCall) {
	req := r.req.(*wire.PathWatchRequest)
	if r.look(req.Path, wire.PermRead) && req.Watch {
		r.watch(req.Path, watch.Data)
	}
	r.reply = replyData
}

func runGetChildren(r *readCall) {
	r.children()
	r.reply = replyNames
}

func runGetChildren2(r *readCall) {
	r.children()
	r.reply = replyNamesStat
}

func (r *readCall) children() {
	req := r.req.(*wire.PathWatchRequest)
	if r.look(req.Path, wire.PermRead) && req.Watch {
		r.watch(req.Path, watch.Child)
	}
}

func runGetACL(r *readCall) {
	r.look(r.req.(*wire.PathWatchRequest).Path, wire.PermRead|wire.PermAdmin)
	r.reply = replyACL
}

func runGetAllChildrenNumber(r *readCall) {
	path := r.req.(*wire.PathWatchRequest).Path
	if r.look(path, wire.PermRead) {
		r.count = int32(r.tree.Descendants(r.node))
	}
	r.reply = replyCount
}

func runGetEphemerals(r *readCall) {
	prefix := r.req.(*wire.GetEphemeralsRequest).Prefix
	all := strings.TrimSpace(prefix) == "" || prefix == "/"
	for _, p := range r.tree.Ephemerals(r.conn.session) {
		if all || strings.HasPrefix(p, prefix) {
			r.names = append(r.names, p)
		}
	}
	r.reply = func(r *readCall, b []byte) []byte { return wire.AppendStrings(b, r.names) }
}

// runMultiRead answers each read by itself: a failing one does not affect the others.
func runMultiRead(r *readCall) {
	for _, op := range r.req.([]wire.MultiOp) {
		r.err = wire.OK
		res := wire.MultiResult{Op: op.Op}
		switch {
		case !r.look(op.Read.Path, wire.PermRead):
			res = wire.MultiResult{Op: wire.OpError, Err: r.err}
		case op.Op == wire.OpGetData:
			res.Data, res.Stat = r.node.Data(), r.node.Stat()
		default:
			res.Names = r.tree.AppendChildren(nil, r.node)
		}
		r.multi = append(r.multi, res)
	}
	r.err = wire.OK
	r.reply = func(r *readCall, b []byte) []byte { return wire.AppendMultiResults(b, r.multi) }
}

// runSetWatches registers watches again after a reconnect. What changed since the client's last zxid fires at once
// instead; persistent watches get no such event.
func runSetWatches(r *readCall) {
	req := r.req.(*wire.SetWatchesRequest)
	fire := func(t wire.EventType, path string) { r.events = append(r.events, tree.Event{Type: t, Path: path}) }
	for _, p := range req.Data {
		switch n := r.tree.Node(p); {
		case n == nil:
			fire(wire.EventDeleted, p)
		case n.Stat().Mzxid > req.RelativeZxid:
			fire(wire.EventDataChanged, p)
		default:
			r.watch(p, watch.Data)
		}
	}
	for _, p := range req.Exist {
		if r.tree.Node(p) != nil {
			fire(wire.EventCreated, p)
		} else {
			r.watch(p, watch.Data)
		}
	}
	for _, p := range req.Child {
		switch n := r.tree.Node(p); {
		case n == nil:
			fire(wire.EventDeleted, p)
		case n.Stat().Pzxid > req.RelativeZxid:
			fire(wire.EventChildrenChanged, p)
		default:
			r.watch(p, watch.Child)
		}
	}
	for _, p := range req.Persistent {
		r.watch(p, watch.Persistent)
	}
	for _, p := range req.Recursive {
		r.watch(p, watch.Recursive)
	}
}

func runAddWatch(r *readCall) {
	req := r.req.(*wire.AddWatchRequest)
	switch req.Mode {
	case wire.WatchPersistent:
		r.watch(req.Path, watch.Persistent)
	case wire.WatchPersistentRecursive:
		r.watch(req.Path, watch.Recursive)
	default:
		r.err = wire.ErrMarshalling
	}
	r.reply = replyCount
}

func runCheckWatches(r *readCall) { r.watched(r.watches.Check) }

func runRemoveWatches(r *readCall) { r.watched(r.watches.Remove) }

func (r *readCall) watched(f func(*conn, string, wire.WatcherType) bool) {
	req := r.req.(*wire.RemoveWatchesRequest)
	switch {
	case req.Type < wire.WatcherChildren || req.Type > wire.WatcherRecursive:
		r.err = wire.ErrMarshalling
	case !f(r.conn, req.Path, req.Type):
		r.err = wire.ErrNoWatcher
	}
}

func runWhoAmI(r *readCall) {
	r.reply = func(r *readCall, b []byte) []byte {
		ids := append([]wire.ID(nil), *r.conn.ids.Load()...)
		for i := range ids {
			if ids[i].Scheme == "digest" {
				ids[i].ID, _, _ = strings.Cut(ids[i].ID, ":")
			}
		}
		return wire.AppendIDs(b, ids)
	}
}

// runSASL answers as a server without SASL does: a null token.
func runSASL(r *readCall) {
	r.zxid = new(int64)
	r.reply = func(_ *readCall, b []byte) []byte { return wire.AppendBuffer(b, nil) }
}

func refuse(code wire.Code) readFunc { return func(r *readCall) { r.err = code } }

func refuseUnknown(r *readCall) {
	zxid := int64(-1)
	r.err, r.zxid = wire.ErrUnimplemented, &zxid
}

// pong answers a ping: with the last zxid applied, and nothing else.
func pong(*readCall) {}

func authOK(r *readCall) { r.zxid = new(int64) }

func authFailed(r *readCall) { r.err, r.zxid = wire.ErrAuthFailed, new(int64) }

func replyStat(r *readCall, b []byte) []byte {
	stat := r.node.Stat()
	return stat.Append(b)
}

func replyData(r *readCall, b []byte) []byte {
	stat := r.node.Stat()
	return stat.Append(wire.AppendBuffer(b, r.node.Data()))
}

func replyNames(r *readCall, b []byte) []byte {
	return wire.AppendStrings(b, r.tree.AppendChildren(nil, r.node))
}

func replyNamesStat(r *readCall, b []byte) []byte {
	stat := r.node.Stat()
	return stat.Append(replyNames(r, b))
}

func replyCount(r *readCall, b []byte) []byte { return wire.AppendInt32(b, r.count) }

func replyACL(r *readCall, b []byte) []byte {
	acl := r.node.ACL()
	if !tree.Allowed(acl, wire.PermAdmin, *r.conn.ids.Load()) {
		acl = tree.MaskedACL(acl)
	}
	stat := r.node.Stat()
	return stat.Append(wire.AppendACLs(b, acl))
}
