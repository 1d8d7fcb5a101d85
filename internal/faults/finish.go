//go:build linux

package faults

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/history"
)

// finish compares what is there in the end, and tells whether that could be done.
func (w *world) finish() {
	w.load = w.ctx
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	if err := w.e.ready(ctx); err != nil {
		w.fail("in the end: %v", err)
		return
	}
	for _, b := range w.r.batches {
		if !w.look(ctx, w.sure, b) {
			w.fail("%s cannot be read in the end", b.dir)
		}
	}
	for dir, creates := range w.r.numbered {
		there, err := w.everything(ctx, dir)
		w.check(err)
		if err == nil {
			w.check(history.Sequences(creates, there))
		}
	}
	if s, err := w.sure.Session(ctx); err == nil {
		_, _, err = w.balance(s)
		w.check(err)
	}
	w.check(w.sure.Close())
	digest, err := w.e.converge(ctx)
	w.check(err)
	w.told("all members are at %s", digest)
	w.settle(w.before)
	for _, m := range w.e.members {
		m.stop(ctx)
		if out, err := exec.CommandContext(ctx, m.bin, "check", m.data).CombinedOutput(); err != nil {
			w.fail("docent check: %v: %s", err, out)
		}
	}
}

// everything reads all children of a directory.
func (w *world) everything(ctx context.Context, dir string) (map[string]string, error) {
	names, _, err := w.sure.Children(ctx, dir, client.Fresh())
	if err != nil {
		return nil, fmt.Errorf("read in the end: %w", err)
	}
	s, err := w.sure.Session(ctx)
	if err != nil {
		return nil, err
	}
	b := s.Batch()
	var nodes []*client.Future[client.Reading]
	for _, n := range names {
		nodes = append(nodes, b.Get(dir+"/"+n))
	}
	if err := b.Do(ctx); err != nil {
		return nil, fmt.Errorf("read in the end: %w", err)
	}
	there := make(map[string]string)
	for _, f := range nodes {
		n, err := f.Get()
		if err != nil {
			return nil, fmt.Errorf("read in the end: %w", err)
		}
		there[n.Node.Path] = string(n.Node.Data)
	}
	return there, nil
}

// checkRest looks at what needs no ensemble any more.
func (w *world) checkRest() history.Verdict {
	v, err := history.Registers(w.r.ops, patience)
	w.check(err)
	w.check(history.Bells(w.r.bells, w.r.streams))
	for name, writes := range w.r.fenced {
		w.check(inOrder(name, writes))
	}
	return v
}
