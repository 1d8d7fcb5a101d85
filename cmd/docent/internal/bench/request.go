package bench

import (
	"fmt"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

var openACL = []wire.ACL{{Perms: wire.PermAll, Scheme: "world", ID: "anyone"}}

// pending is a request under way.
type pending struct {
	kind kind
	due  time.Duration // when it was due or, in a closed load, sent; on the clock of the run
	key  int           // of get, set and exists; folder of children; number of create
}

// add appends a request of the mix to the output buffer.
func (w *worker) add(due time.Duration) {
	p := pending{kind: w.cfg.Mix.pick(w.rng), due: due}
	w.path = w.path[:0]
	switch p.kind {
	case get, set, exists:
		p.key = w.keys.pick(w.rng)
		w.path = w.nodes.appendPath(w.path, p.key)
	case children:
		p.key = w.keys.pick(w.rng) / perFolder
		w.path = w.nodes.appendFolder(w.path, p.key)
	case syncAll:
		w.path = append(w.path, w.nodes.root...)
	case create:
		if w.created {
			p.kind = del
		} else {
			w.number++
		}
		w.created = !w.created
		p.key = w.number
		w.path = w.appendOwn(w.path, p.key)
	case ephemeral:
		if path, ok := w.names.pop(); ok {
			p.kind = ephemeralDelete
			w.path = append(w.path, path...)
		} else {
			w.path = append(append(w.path, w.nodes.root...), sequential...)
		}
	}
	sent := w.sent.Load()
	w.slots[sent&uint64(len(w.slots)-1)] = p
	w.encode(xidOf(sent), &p)
	w.sent.Store(sent + 1)
}

// sequential is what the names of sequential nodes begin with, behind the root.
const sequential = "/e/x-"

// appendOwn appends the path of a node that this worker creates and deletes.
func (w *worker) appendOwn(b []byte, number int) []byte {
	b = appendDigits(append(append(b, w.nodes.root...), "/c/"...), w.id, 5)
	return appendDigits(append(b, '-'), number, 10)
}

var opOf = [kinds]wire.Op{
	get: wire.OpGetData, set: wire.OpSetData, exists: wire.OpExists, children: wire.OpGetChildren2, syncAll: wire.OpSync,
	create: wire.OpCreate, ephemeral: wire.OpCreate, del: wire.OpDelete, ephemeralDelete: wire.OpDelete,
}

// encode appends the request to w.path.
func (w *worker) encode(xid int32, p *pending) {
	l := w.link
	start := l.begin(xid, opOf[p.kind])
	b := append(wire.AppendInt32(l.out, int32(len(w.path))), w.path...)
	switch p.kind {
	case get, exists, children:
		b = wire.AppendBool(b, false)
	case set:
		b = w.nodes.appendData(wire.AppendInt32(b, int32(w.nodes.size)), p.key)
		b = wire.AppendInt32(b, -1)
	case create:
		b = w.nodes.appendData(wire.AppendInt32(b, int32(w.nodes.size)), p.key)
		b = wire.AppendInt32(wire.AppendACLs(b, openACL), wire.FlagPersistent)
	case ephemeral:
		b = w.nodes.appendData(wire.AppendInt32(b, int32(w.nodes.size)), 0)
		b = wire.AppendInt32(wire.AppendACLs(b, openACL), wire.FlagEphemeralSequential)
	case del, ephemeralDelete:
		b = wire.AppendInt32(b, -1)
	}
	l.out = b
	l.end(start)
}

// xidOf numbers requests from 1; it begins anew before the numbers run out.
func xidOf(seq uint64) int32 { return int32(seq%(1<<31-2)) + 1 }

// A WrongReply says how a reply is not what the request must get.
type WrongReply struct {
	Kind string // of request
	What string
}

func (e *WrongReply) Error() string { return fmt.Sprintf("wrong reply to %s: %s", e.Kind, e.What) }

func wrong(k kind, format string, args ...any) error {
	return &WrongReply{Kind: k.String(), What: fmt.Sprintf(format, args...)}
}

// check reads the body of a successful reply, and returns what is wrong with it.
func (w *worker) check(p *pending, r *wire.Reader) error {
	var stat wire.Stat
	switch p.kind {
	case get:
		data := r.Buffer()
		if stat.Decode(r); r.Err() == nil && !w.nodes.holds(data, p.key) {
			return wrong(get, "%d bytes that are not those of %s", len(data), w.nodes.path(p.key))
		}
	case set, exists:
		stat.Decode(r)
	case children:
		n, _ := r.Count(4)
		for range n {
			r.Buffer()
		}
		if stat.Decode(r); r.Err() == nil && (n != w.nodes.inFolder(p.key) || stat.NumChildren != int32(n)) {
			return wrong(children, "%d names, and %d children, want %d", n, stat.NumChildren, w.nodes.inFolder(p.key))
		}
	case create, syncAll:
		want := w.nodes.root
		if p.kind == create {
			want = string(w.appendOwn(nil, p.key))
		}
		if path := r.Buffer(); r.Err() == nil && string(path) != want {
			return wrong(p.kind, "path %.200q, want %q", path, want)
		}
	case ephemeral:
		path := r.Buffer()
		if prefix := w.nodes.root + sequential; r.Err() == nil && (len(path) != len(prefix)+10 || string(path[:len(prefix)]) != prefix) {
			return wrong(ephemeral, "path %.200q, want %q and ten digits", path, prefix)
		}
		w.names.push(string(path))
	}
	if r.Err() != nil || r.Len() > 0 {
		return wrong(p.kind, "a body that ends too early or too late (%v, %d bytes left)", r.Err(), r.Len())
	}
	if p.kind == get || p.kind == set || p.kind == exists {
		return w.checkStat(p, &stat)
	}
	return nil
}

// checkStat checks what every node has in common, and that this session sees versions in order: never one that is older
// than what it saw before, and after its own write a newer one.
func (w *worker) checkStat(p *pending, stat *wire.Stat) error {
	if int(stat.DataLength) != w.nodes.size {
		return wrong(p.kind, "data length %d, want %d", stat.DataLength, w.nodes.size)
	}
	if w.versions == nil {
		return nil
	}
	if last := w.versions[p.key]; stat.Version < last || p.kind == set && stat.Version == last {
		return wrong(p.kind, "version %d of %s, after this session saw %d", stat.Version, w.nodes.path(p.key), last)
	}
	w.versions[p.key] = stat.Version
	return nil
}
