//go:build linux

package faults

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/history"
)

const (
	accounts = 4
	capital  = 400 // all accounts together
)

func account(i int) string { return fmt.Sprint("/bank/", i) }

// playBank moves money between two accounts in one transaction, and looks whether all of it is there.
func (w *world) playBank(c *client.Client, _ int, r *rand.Rand) {
	for w.think(r, 20*time.Millisecond) {
		outcome, _ := w.do(w.ctx, c, func(s *client.Session) error {
			sums, versions, err := w.balance(s)
			if err != nil || r.IntN(3) == 0 {
				return err
			}
			from, to, amount := r.IntN(accounts), r.IntN(accounts-1), 1+r.IntN(9)
			if to >= from {
				to++
			}
			_, err = s.Txn().Set(account(from), []byte(strconv.Itoa(sums[from]-amount)), versions[from]).
				Set(account(to), []byte(strconv.Itoa(sums[to]+amount)), versions[to]).Commit(w.ctx)
			return err
		})
		if outcome == history.OK {
			w.record(func(r *records) { r.transfers++ })
		}
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
	for i, f := range found {
		if f.Err != nil {
			return sums, versions, f.Err
		}
		if sums[i], err = strconv.Atoi(string(f.Node.Data)); err != nil {
			return sums, versions, err
		}
		versions[i] = f.Node.Stat.Version
	}
	w.check(whole(sums))
	return sums, versions, nil
}

// whole tells whether all the money is there.
func whole(sums [accounts]int) error {
	total := 0
	for _, n := range sums {
		total += n
	}
	if total != capital {
		return fmt.Errorf("accounts hold %v, and not %d together", sums, capital)
	}
	return nil
}

// playLine draws numbers. Some of its creates find out by themselves what became of them.
func (w *world) playLine(c *client.Client, player int, r *rand.Rand) {
	for i := 0; w.think(r, 30*time.Millisecond); i++ {
		dir := fmt.Sprint("/lines/", time.Since(w.start)/(10*time.Second))
		n := history.Numbered{Tag: fmt.Sprintf("%d.%d", player, i)}
		o := []client.CreateOption{client.Sequential()}
		if r.IntN(2) == 0 {
			o = append(o, client.Protected())
		}
		if i%20 == 0 && w.make(c, dir, "") != nil {
			return
		}
		n.Call = w.tick()
		outcome, sent := w.do(w.ctx, c, func(s *client.Session) error {
			made, err := s.Create(w.ctx, dir+"/n-", []byte(n.Tag), o...)
			if err != nil {
				return err
			}
			n.Path = made.Path
			n.Number, err = strconv.ParseInt(made.Path[strings.LastIndexByte(made.Path, '-')+1:], 10, 64)
			return err
		})
		switch n.Return = w.tick(); {
		case outcome == history.NoNode: // the next ten seconds have begun
			if w.make(c, dir, "") != nil {
				return
			}
		case sent:
			if outcome != history.OK {
				n.Path = ""
			}
			w.record(func(r *records) { r.numbered[dir] = append(r.numbered[dir], n) })
		}
	}
}
