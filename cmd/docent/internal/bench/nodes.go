package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/docent-io/docent/internal/wire"
)

// nodes names what is read and set, and knows what must be in it: ROOT/d00012/n34 is node 1234. Folders of 100 keep
// lists of children short.
type nodes struct {
	root    string
	n, size int
	pattern []byte
}

const perFolder = 100

func newNodes(cfg *Config) *nodes {
	ns := &nodes{root: cfg.Root, n: cfg.Nodes, size: cfg.Size, pattern: make([]byte, cfg.Size)}
	for i := range ns.pattern {
		ns.pattern[i] = byte(i*i>>3) ^ byte(i)
	}
	return ns
}

func (ns *nodes) folders() int { return (ns.n + perFolder - 1) / perFolder }

// inFolder returns how many nodes a folder has.
func (ns *nodes) inFolder(folder int) int { return min(perFolder, ns.n-folder*perFolder) }

func (ns *nodes) appendFolder(b []byte, folder int) []byte {
	return appendDigits(append(append(b, ns.root...), "/d"...), folder, 5)
}

func (ns *nodes) appendPath(b []byte, key int) []byte {
	return appendDigits(append(ns.appendFolder(b, key/perFolder), "/n"...), key%perFolder, 2)
}

func (ns *nodes) path(key int) string { return string(ns.appendPath(nil, key)) }

func (ns *nodes) pathLen() int { return len(ns.root) + len("/d00000/n00") }

// appendData appends the data of a node: its number, as far as there is room for it, and a pattern.
func (ns *nodes) appendData(b []byte, key int) []byte {
	start := len(b)
	b = append(b, ns.pattern...)
	if ns.size >= 8 {
		binary.BigEndian.PutUint64(b[start:], uint64(key))
	}
	return b
}

// holds tells whether data are those of a node.
func (ns *nodes) holds(data []byte, key int) bool {
	if len(data) != ns.size {
		return false
	}
	if ns.size < 8 {
		return bytes.Equal(data, ns.pattern)
	}
	return binary.BigEndian.Uint64(data) == uint64(key) && bytes.Equal(data[8:], ns.pattern[8:])
}

// appendDigits appends v with at least width digits.
func appendDigits(b []byte, v, width int) []byte {
	start := len(b)
	for range width {
		b = append(b, '0')
	}
	for i := len(b) - 1; i >= start; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
	return b
}

const (
	multiOps   = 100       // of a transaction that creates or deletes nodes
	multiBytes = 256 << 10 // of its data
	multiAhead = 4         // transactions under way on a connection
)

// create makes the root, its folders and all nodes, over a few connections at once.
func (ns *nodes) create(ctx context.Context, cfg *Config) error {
	var first []wire.MultiOp
	for _, p := range []string{ns.root, ns.root + "/c", ns.root + "/e"} { // of create and of ephemeral
		first = append(first, createOp(p, nil))
	}
	if err := ns.multi(ctx, cfg, 1, func(int) []wire.MultiOp { return first }); err != nil {
		return fmt.Errorf("create %s: %w", ns.root, err)
	}
	folders := ns.folders()
	if err := ns.multi(ctx, cfg, (folders+multiOps-1)/multiOps, func(i int) (ops []wire.MultiOp) {
		for f := i * multiOps; f < min(folders, (i+1)*multiOps); f++ {
			ops = append(ops, createOp(string(ns.appendFolder(nil, f)), nil))
		}
		return ops
	}); err != nil {
		return fmt.Errorf("create folders: %w", err)
	}
	per := ns.perMulti()
	err := ns.multi(ctx, cfg, (ns.n+per-1)/per, func(i int) (ops []wire.MultiOp) {
		for k := i * per; k < min(ns.n, (i+1)*per); k++ {
			ops = append(ops, createOp(ns.path(k), ns.appendData(nil, k)))
		}
		return ops
	})
	if err != nil {
		return fmt.Errorf("create nodes: %w", err)
	}
	return nil
}

func (ns *nodes) perMulti() int { return max(1, min(multiOps, multiBytes/max(ns.size, 1))) }

// remove deletes all that create made, and what the load left: nodes of connections that broke.
func (ns *nodes) remove(ctx context.Context, cfg *Config) error {
	if err := ns.multi(ctx, cfg, ns.folders(), func(f int) (ops []wire.MultiOp) {
		for k := range ns.inFolder(f) {
			ops = append(ops, deleteOp(ns.path(f*perFolder+k)))
		}
		return append(ops, deleteOp(string(ns.appendFolder(nil, f))))
	}); err != nil {
		return fmt.Errorf("delete nodes: %w", err)
	}
	l, err := dialAny(ctx, cfg, 0)
	if err != nil {
		return err
	}
	defer l.close()
	defer context.AfterFunc(ctx, func() { l.nc.Close() })()
	for _, p := range []string{ns.root + "/c", ns.root + "/e", ns.root} {
		if err := l.removeAll(p); err != nil {
			return fmt.Errorf("delete %s: %w", p, err)
		}
	}
	return nil
}

// removeAll deletes a node and its children. What the leader has is asked for, since another server may lag behind.
func (l *link) removeAll(path string) error {
	if _, err := l.call(1, wire.OpSync, func(b []byte) []byte { return wire.AppendString(b, path) }); err != nil {
		return err
	}
	body, err := l.call(2, wire.OpGetChildren, func(b []byte) []byte { return wire.AppendBool(wire.AppendString(b, path), false) })
	if err != nil {
		return err
	}
	r := wire.NewReader(body)
	names := r.Strings()
	if r.Err() != nil {
		return r.Err()
	}
	for i, name := range append(names, "") {
		p := path
		if i < len(names) {
			p += "/" + name
		}
		m := wire.PathVersionRequest{Path: p, Version: -1}
		if _, err := l.call(int32(i+3), wire.OpDelete, m.Append); err != nil && !errors.Is(err, wire.ErrNoNode) {
			return err // an ephemeral node may be gone by itself
		}
	}
	return nil
}

func createOp(path string, data []byte) wire.MultiOp {
	return wire.MultiOp{Op: wire.OpCreate, Create: wire.CreateRequest{Path: path, Data: data, ACL: openACL}}
}

func deleteOp(path string) wire.MultiOp {
	return wire.MultiOp{Op: wire.OpDelete, Check: wire.PathVersionRequest{Path: path, Version: -1}}
}

// multi carries out n transactions, in any order, over one connection to each server.
func (ns *nodes) multi(ctx context.Context, cfg *Config, n int, ops func(int) []wire.MultiOp) error {
	if n == 0 {
		return nil
	}
	var wg sync.WaitGroup
	lanes := min(n, len(cfg.Addrs))
	errs := make([]error, lanes)
	for lane := range lanes {
		wg.Go(func() {
			l, err := dialAny(ctx, cfg, lane)
			if err != nil {
				errs[lane] = err
				return
			}
			defer l.close()
			defer context.AfterFunc(ctx, func() { l.nc.Close() })()
			errs[lane] = l.pipeline(lane, n, lanes, ops)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// pipeline carries out the transactions first, first+step, ..., a few at a time.
func (l *link) pipeline(first, n, step int, ops func(int) []wire.MultiOp) error {
	sent, answered := first, first
	for answered < n {
		for sent < n && sent-answered < multiAhead*step {
			l.send(int32(sent+1), wire.OpMulti, func(b []byte) []byte { return wire.AppendMulti(b, ops(sent)) })
			sent += step
		}
		if err := l.flush(); err != nil {
			return err
		}
		body, err := l.reply(int32(answered + 1))
		if err != nil {
			return err
		}
		r := wire.NewReader(body)
		for _, res := range r.MultiResults() {
			if res.Op == wire.OpError && res.Err != wire.OK {
				return res.Err
			}
		}
		if r.Err() != nil {
			return r.Err()
		}
		answered += step
	}
	return nil
}
