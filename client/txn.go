package client

import (
	"context"
	"fmt"

	"github.com/docent-io/docent/internal/wire"
)

// Txn collects operations that are carried out all or not at all. It may be used once, by one goroutine.
type Txn struct {
	session func(ctx context.Context, do func(*Session) error) error
	c       *Client
	ops     []wire.MultiOp
	shown   []string
	err     error
}

// Result is what an operation of a transaction came to.
type Result struct {
	Path string // of a created node, with its sequence number
	// Stat is set by Set and, by servers that tell (docent, ZooKeeper since 3.8.2), by Create.
	Stat Stat
}

// Txn begins a transaction on this session.
func (s *Session) Txn() *Txn {
	return &Txn{c: s.c, session: func(ctx context.Context, do func(*Session) error) error { return do(s) }}
}

// Txn begins a transaction on whatever session there is when it is committed. It is repeated only if it was provably
// never sent.
func (c *Client) Txn() *Txn { return &Txn{c: c, session: c.try} }

func (t *Txn) add(op wire.MultiOp, path string, sequential bool) (*wire.MultiOp, *Txn) {
	full, shown, err := t.c.resolve(path, sequential)
	if err != nil && t.err == nil {
		t.err = &OpError{Op: op.Op.String(), Path: shown, Err: err}
	}
	op.Create.Path, op.Check.Path, op.Set.Path = full, full, full
	t.ops = append(t.ops, op)
	t.shown = append(t.shown, shown)
	return &t.ops[len(t.ops)-1], t
}

// Check makes the transaction fail unless version is that of the node's data (-1: unless the node exists).
func (t *Txn) Check(path string, version int32) *Txn {
	op, _ := t.add(wire.MultiOp{Op: wire.OpCheck}, path, false)
	op.Check.Version = version
	return t
}

// Create makes a node. Parents and Protected are not for transactions.
func (t *Txn) Create(path string, data []byte, o ...CreateOption) *Txn {
	spec := newCreateSpec(o)
	code, flags, ok := spec.opFlags()
	op, _ := t.add(wire.MultiOp{Op: code}, path, spec.sequential)
	if (!ok || spec.parents || spec.protected) && t.err == nil {
		t.err = &OpError{Op: "create", Path: path, Err: fmt.Errorf("%w: options that do not go together", ErrBadArguments)}
	}
	op.Create.Data, op.Create.Flags, op.Create.TTL = data, flags, spec.ttlMillis()
	op.Create.ACL = t.c.aclFor(&spec, t.shown[len(t.shown)-1])
	return t
}

// Set replaces a node's data if version is that of its data, or -1.
func (t *Txn) Set(path string, data []byte, version int32) *Txn {
	op, _ := t.add(wire.MultiOp{Op: wire.OpSetData}, path, false)
	op.Set.Data, op.Set.Version = data, version
	return t
}

// Delete removes a node without children if version is that of its data, or -1.
func (t *Txn) Delete(path string, version int32) *Txn {
	op, _ := t.add(wire.MultiOp{Op: wire.OpDelete}, path, false)
	op.Check.Version = version
	return t
}

// Commit carries the transaction out, and returns the results in the order of the operations. If one of them fails
// nothing is applied, and the error is a *TxnError; errors.Is finds the Code of the operation to blame.
func (t *Txn) Commit(ctx context.Context) ([]Result, error) {
	if t.err != nil {
		return nil, t.err
	}
	var results []Result
	err := t.session(ctx, func(s *Session) (err error) {
		results, err = t.commit(ctx, s)
		return err
	})
	return results, err
}

func (t *Txn) commit(ctx context.Context, s *Session) ([]Result, error) {
	k := s.s.call(wire.OpMulti, "")
	defer s.s.release(k)
	k.req.ops = t.ops
	s.s.run(ctx, k)
	if err := s.failure(k, ""); err != nil {
		return nil, err
	}
	if len(k.rep.results) != len(t.ops) {
		return nil, &OpError{Op: "multi", Session: s.s.id, MaybeApplied: true, Err: fmt.Errorf("%w: %d results of %d operations", ErrProtocol, len(k.rep.results), len(t.ops))}
	}
	if blame := firstFailure(k.rep.results); blame >= 0 {
		return nil, t.refusal(k.rep.results, blame)
	}
	results := make([]Result, len(k.rep.results))
	for i, r := range k.rep.results {
		results[i] = Result{Stat: Stat(r.Stat)}
		if r.Path != "" {
			results[i].Path = t.c.show(r.Path)
		}
	}
	return results, nil
}

// firstFailure returns the index of the operation to blame for a failed transaction, -1 if it succeeded. The protocol
// marks those before it with 0, and those behind it with a code of their own.
func firstFailure(results []wire.MultiResult) int {
	for i := range results {
		if results[i].Op == wire.OpError && results[i].Err != wire.OK {
			return i
		}
	}
	return -1
}

func (t *Txn) refusal(results []wire.MultiResult, blame int) error {
	e := &TxnError{Index: blame, Op: t.ops[blame].Op.String(), Path: t.shown[blame], Errs: make([]error, len(results))}
	for i, r := range results {
		if r.Err != wire.OK {
			e.Errs[i] = Code(r.Err)
		}
	}
	return e
}
