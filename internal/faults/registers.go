//go:build linux

package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/history"
)

// Registers are new every so often, so that each has a history short enough to be checked exactly.
const (
	registers = 12
	fleeting  = 3 // of them are deleted, too
	epoch     = 2 * time.Second
)

// playRegisters reads and writes registers, with and without conditions.
func (w *world) playRegisters(c *client.Client, player int, r *rand.Rand) {
	versions := make(map[string]int32)
	known := make(map[string]bool)
	for i := 0; w.think(r, 8*time.Millisecond); i++ {
		k := r.IntN(registers)
		o := history.Op{Path: fmt.Sprintf("/registers/%d-%d", time.Since(w.start)/epoch, k), Client: player,
			Kind: history.Set, Value: fmt.Sprintf("%d.%d", player, i), Expect: -1}
		switch draw := r.IntN(6); {
		case !known[o.Path], k < fleeting && draw == 0:
			o.Kind, known[o.Path] = history.Create, true
		case draw < 2:
			o.Expect = versions[o.Path]
		case draw < 4:
			o.Kind, o.Value = history.Read, ""
		case draw == 4 && k < fleeting:
			o.Kind, o.Value = history.Delete, ""
		case draw == 4:
			w.checkedRead(c, o)
			continue
		}
		if o = w.operate(c, o); o.Outcome == history.OK {
			versions[o.Path] = o.Version
		}
	}
}

// operate carries out one operation and records it.
func (w *world) operate(c *client.Client, o history.Op) history.Op {
	o.Call = w.tick()
	outcome, sent := w.do(w.ctx, c, func(s *client.Session) (err error) {
		switch o.Kind {
		case history.Create:
			_, err = s.Create(w.ctx, o.Path, []byte(o.Value))
		case history.Set:
			var st client.Stat
			st, err = s.Set(w.ctx, o.Path, []byte(o.Value), o.Expect)
			o.Version = st.Version
		case history.Delete:
			err = s.Delete(w.ctx, o.Path, o.Expect)
		case history.Read:
			o.Value, o.Version, err = w.read(s, o.Path)
		}
		return err
	})
	o.Return, o.Outcome = w.tick(), outcome
	if !sent || o.Kind == history.Read && outcome == history.Unknown {
		return o // it says nothing
	}
	w.record(func(r *records) { r.ops = append(r.ops, o) })
	return o
}

func (w *world) read(s *client.Session, path string) (value string, version int32, err error) {
	o := []client.ReadOption{client.Fresh()}
	if w.plan.sabotage == staleReads {
		o = nil
	}
	n, err := s.Get(w.ctx, path, o...)
	return string(n.Data), n.Stat.Version, err
}

// checkedRead reads whatever the server has, and has the log confirm it. Its node must be one that stays.
func (w *world) checkedRead(c *client.Client, o history.Op) {
	o.Kind = history.Read
	outcome, sent := w.do(w.ctx, c, func(s *client.Session) error {
		n, err := s.Get(w.ctx, o.Path)
		if err != nil {
			return err
		}
		o.Value, o.Version, o.Call = string(n.Data), n.Stat.Version, w.tick()
		_, err = s.Txn().Check(o.Path, n.Stat.Version).Commit(w.ctx)
		return err
	})
	o.Return, o.Outcome = w.tick(), outcome
	if sent && outcome == history.OK {
		w.record(func(r *records) { r.ops = append(r.ops, o) })
	}
}

// patience bounds the search for the order of one register's operations.
const patience = 20 * time.Second

// batch is nodes that were created in one go, in a directory of their own.
type batch struct {
	dir            string
	acked, unknown []string
	due            time.Time // when to look for them
}

// playCreates makes nodes, as many on their way at once as may be, looks for them somewhat later, and removes them.
func (w *world) playCreates(c *client.Client, player int, r *rand.Rand) {
	var open []*batch
	for i := 0; w.think(r, 300*time.Millisecond); i++ {
		b := &batch{dir: fmt.Sprintf("/created/%d-%d", player, i), due: time.Now().Add(time.Duration(r.Int64N(int64(15 * time.Second))))}
		if err := w.make(c, b.dir, ""); err != nil {
			return
		}
		w.fill(c, b, 100+r.IntN(300))
		open = append(open, b)
		for k := 0; k < len(open); {
			if open[k].due.After(time.Now()) {
				k++
				continue
			}
			if w.look(w.load, c, open[k]) {
				w.remove(c, open[k].dir)
				open = append(open[:k], open[k+1:]...)
			} else {
				k++
			}
		}
	}
	w.record(func(rec *records) { rec.batches = append(rec.batches, open...) })
}

// fill creates n nodes in one go.
func (w *world) fill(c *client.Client, b *batch, n int) {
	s, err := c.Session(w.ctx)
	if err != nil {
		return
	}
	all := s.Batch()
	var made []*client.Future[client.Node]
	for i := range n {
		made = append(made, all.Create(fmt.Sprintf("%s/%04d", b.dir, i), []byte(b.dir)))
	}
	_ = all.Do(w.ctx) // each tells its own
	for i, f := range made {
		_, err := f.Get()
		name := fmt.Sprintf("%04d", i)
		switch outcome, _ := w.classify(err); outcome {
		case history.OK:
			b.acked = append(b.acked, name)
		case history.Unknown:
			b.unknown = append(b.unknown, name)
		case history.NodeExists:
			w.fail("%s/%s is there, and was never asked for before", b.dir, name)
		}
	}
}

// look compares what is there with what was acknowledged, and tells whether it could.
func (w *world) look(ctx context.Context, c *client.Client, b *batch) bool {
	names, _, err := c.Children(ctx, b.dir, client.Fresh())
	if outcome, _ := w.classify(err); outcome == history.OK {
		w.check(history.Kept(b.dir, b.acked, b.unknown, names))
		w.creates.Add(int64(len(b.acked)))
		return true
	} else if outcome != "" && outcome != history.Unknown {
		w.fail("%s was made and is not there: %v", b.dir, err)
	}
	return false
}

// remove deletes a directory and all in it. What is left when time is up does no harm.
func (w *world) remove(c *client.Client, dir string) {
	for w.load.Err() == nil {
		s, err := c.Session(w.load)
		if err != nil {
			return
		}
		names, _, err := s.Children(w.load, dir)
		if err != nil {
			if outcome, _ := w.classify(err); outcome == history.NoNode {
				return
			}
			continue
		}
		txn := s.Txn()
		for _, n := range names {
			txn.Delete(dir+"/"+n, -1)
		}
		if _, err := txn.Delete(dir, -1).Commit(w.load); err == nil {
			w.acked.Add(1)
			return
		}
	}
}
