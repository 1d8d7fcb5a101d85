package sim

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/history"
	"github.com/docent-io/docent/internal/wire"
)

// The nodes that all clients work on. Those below /fleeting come and go; the others stay, so that a version stands for one
// value.
const (
	registers = 3
	accounts  = 3
	capital   = 300 // all accounts together
)

func register(i int) string { return fmt.Sprint("/registers/", i) }
func fleeting(i int) string { return fmt.Sprint("/fleeting/", i) }
func account(i int) string  { return fmt.Sprint("/bank/", i) }

// prepare makes what has to be there before the faults begin.
func (w *world) prepare(c *client.Client) {
	for _, dir := range []string{"/registers", "/fleeting", "/bank", "/lines", "/lives", "/mortals", "/counter", "/fenced"} {
		if _, err := c.Create(w.ctx, dir, []byte("0")); err != nil {
			w.t.Fatalf("create %s: %v", dir, err)
		}
	}
	for i := range registers {
		w.operate(c, -1, history.Op{Path: register(i), Kind: history.Create, Value: "first"})
	}
	for i := range accounts {
		if _, err := c.Create(w.ctx, account(i), []byte(strconv.Itoa(capital/accounts))); err != nil {
			w.t.Fatalf("create %s: %v", account(i), err)
		}
	}
}

// operate carries out one operation and records it.
func (w *world) operate(c *client.Client, player int, o history.Op) history.Op {
	o.Client, o.Call = player, w.tick()
	var done func()
	outcome, sent := w.do(c, func(s *client.Session) (err error) {
		switch o.Kind {
		case history.Create:
			var n client.Node
			n, err = s.Create(w.ctx, o.Path, []byte(o.Value))
			done = func() {
				w.acknowledged(s, n.Stat.Czxid, o.Call, history.Change{Type: wire.EventCreated, Path: o.Path})
			}
		case history.Set:
			var st client.Stat
			st, err = s.Set(w.ctx, o.Path, []byte(o.Value), o.Expect)
			o.Version = st.Version
			done = func() {
				w.acknowledged(s, st.Mzxid, o.Call, history.Change{Type: wire.EventDataChanged, Path: o.Path})
			}
		case history.Delete:
			err = s.Delete(w.ctx, o.Path, o.Expect)
		case history.Read:
			var n client.Node
			if w.plan.sabotage == staleReads {
				n, err = s.Get(w.ctx, o.Path)
			} else {
				n, err = s.Get(w.ctx, o.Path, client.Fresh())
			}
			o.Value, o.Version = string(n.Data), n.Stat.Version
		}
		return err
	})
	o.Return, o.Outcome = w.tick(), outcome
	if !sent || o.Kind == history.Read && outcome == history.Unknown {
		return o // it says nothing
	}
	if outcome == history.OK && done != nil {
		done()
	}
	w.record(func(r *records) { r.ops = append(r.ops, o) })
	return o
}

// playRegisters reads and writes registers, with and without conditions.
func (w *world) playRegisters(c *client.Client, player int, r *rand.Rand) {
	versions := make(map[string]int32)
	for i := 0; i < w.plan.ops+w.plan.hot && w.think(r); i++ {
		n := 0
		if i >= w.plan.hot {
			n = r.IntN(registers)
		}
		o := history.Op{Path: register(n), Kind: history.Set, Value: fmt.Sprintf("%d.%d", player, i), Expect: -1}
		switch r.IntN(6) {
		case 0, 1:
			o.Expect = versions[o.Path]
		case 2, 3:
			o.Kind, o.Value = history.Read, ""
		case 4:
			w.checkedRead(c, player, o.Path)
			continue
		}
		if o = w.operate(c, player, o); o.Outcome == history.OK {
			versions[o.Path] = o.Version
		}
	}
}

// checkedRead reads whatever the server has, and has the log confirm it. Its node must be one that stays.
func (w *world) checkedRead(c *client.Client, player int, path string) {
	o := history.Op{Client: player, Path: path, Kind: history.Read}
	outcome, sent := w.do(c, func(s *client.Session) error {
		n, err := s.Get(w.ctx, path)
		if err != nil {
			return err
		}
		o.Value, o.Version, o.Call = string(n.Data), n.Stat.Version, w.tick()
		_, err = s.Txn().Check(path, n.Stat.Version).Commit(w.ctx)
		return err
	})
	o.Return, o.Outcome = w.tick(), outcome
	if sent && outcome == history.OK {
		w.record(func(r *records) { r.ops = append(r.ops, o) })
	}
}

// playFleeting creates and deletes nodes.
func (w *world) playFleeting(c *client.Client, player int, r *rand.Rand) {
	for i := 0; i < w.plan.ops && w.think(r); i++ {
		o := history.Op{Path: fleeting(r.IntN(2)), Expect: -1}
		switch r.IntN(4) {
		case 0, 1:
			o.Kind, o.Value = history.Create, fmt.Sprintf("%d.%d", player, i)
		case 2:
			o.Kind = history.Delete
		case 3:
			o.Kind = history.Read
		}
		w.operate(c, player, o)
	}
}

// playBank moves money between two accounts in one transaction, and looks whether all of it is there.
func (w *world) playBank(c *client.Client, player int, r *rand.Rand) {
	for i := 0; i < w.plan.ops && w.think(r); i++ {
		call := w.tick()
		w.do(c, func(s *client.Session) error {
			sums, versions, err := w.balance(s)
			if err != nil || r.IntN(3) == 0 {
				return err
			}
			from, to, amount := r.IntN(accounts), r.IntN(accounts-1), 1+r.IntN(9)
			if to >= from {
				to++
			}
			half := s.Txn().Set(account(from), []byte(strconv.Itoa(sums[from]-amount)), versions[from])
			if w.plan.sabotage == tornMulti {
				if _, err := half.Commit(w.ctx); err != nil {
					return err
				}
				half = s.Txn()
			}
			res, err := half.Set(account(to), []byte(strconv.Itoa(sums[to]+amount)), versions[to]).Commit(w.ctx)
			if err == nil {
				w.acknowledged(s, res[0].Stat.Mzxid, call, history.Change{Type: wire.EventDataChanged, Path: account(from)},
					history.Change{Type: wire.EventDataChanged, Path: account(to)})
			}
			return err
		})
	}
}

// balance reads all accounts at one moment.
func (w *world) balance(s *client.Session) (sums [accounts]int, versions [accounts]int32, err error) {
	var paths []string
	for i := range accounts {
		paths = append(paths, account(i))
	}
	found, err := s.GetAll(w.ctx, paths...)
	if err != nil {
		return sums, versions, err
	}
	total := 0
	for i, f := range found {
		if f.Err != nil {
			return sums, versions, f.Err
		}
		if sums[i], err = strconv.Atoi(string(f.Node.Data)); err != nil {
			return sums, versions, err
		}
		versions[i] = f.Node.Stat.Version
		total += sums[i]
	}
	if total != capital {
		w.t.Errorf("accounts hold %v, and not %d together", sums, capital)
	}
	return sums, versions, nil
}

// playLine draws numbers. Some of its creates find out by themselves what became of them.
func (w *world) playLine(c *client.Client, player int, r *rand.Rand) {
	for i := 0; i < w.plan.ops && w.think(r); i++ {
		n := history.Numbered{Tag: fmt.Sprintf("%d.%d", player, i), Call: w.tick()}
		o := []client.CreateOption{client.Sequential()}
		if r.IntN(2) == 0 {
			o = append(o, client.Protected())
		}
		outcome, _ := w.do(c, func(s *client.Session) error {
			made, err := s.Create(w.ctx, "/lines/n-", []byte(n.Tag), o...)
			if err != nil {
				return err
			}
			n.Path = made.Path
			n.Number, err = strconv.ParseInt(made.Path[strings.LastIndexByte(made.Path, '-')+1:], 10, 64)
			w.acknowledged(s, made.Stat.Czxid, n.Call, history.Change{Type: wire.EventCreated, Path: made.Path})
			return err
		})
		if outcome != history.OK {
			n.Path = ""
		}
		n.Return = w.tick()
		w.record(func(r *records) { r.numbered = append(r.numbered, n) })
	}
}
