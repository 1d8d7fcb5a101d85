//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/history"
)

// result is what one seed came to.
type result struct {
	plan    plan
	took    time.Duration
	acked   int64
	unknown int64
	creates int64
	ops     int
	verdict history.Verdict
	r       records
	wrong   []error
	dir     string // what is kept if something is wrong
}

// fewest is how many requests a second must have been answered on average for a seed to count.
const fewest = 100

func (r *result) rate() float64 { return float64(r.acked) / r.plan.load.Seconds() }

// verdict is a word for the line.
func (r *result) word() string {
	switch {
	case len(r.wrong) > 0:
		return "FAILED"
	case r.rate() < fewest:
		return "thin"
	}
	return "ok"
}

// String returns one line.
func (r *result) String() string {
	n := 0
	var each []string
	for _, name := range slices.Sorted(maps.Keys(r.r.steps)) {
		n += r.r.steps[name]
		each = append(each, fmt.Sprintf("%s %d", name, r.r.steps[name]))
	}
	events, fenced := 0, 0
	for _, s := range r.r.streams {
		events += len(s.Events)
	}
	for _, f := range r.r.fenced {
		fenced += len(f)
	}
	return fmt.Sprintf("%d %s servers=%d seconds=%.0f acked=%d rate=%.0f unknown=%d creates=%d ops=%d histories=%d undecided=%d transfers=%d events=%d fenced=%d sessions=%d faults=%d progress=%v (%s)%s",
		r.plan.seed, r.word(), r.plan.servers, r.took.Seconds(), r.acked, r.rate(), r.unknown, r.creates, r.ops, r.verdict.Histories, r.verdict.Undecided,
		r.r.transfers, events, fenced, len(r.r.sessions), n, r.r.worst.Round(10*time.Millisecond), strings.Join(each, ", "), strings.Join(r.r.notes, ""))
}

// run runs one seed. What is wrong is in the result; an error says that it could not be run.
func run(ctx context.Context, p plan, bin string) (*result, error) {
	dir, err := os.MkdirTemp("", fmt.Sprintf("docent-faults-%d-", p.seed))
	if err != nil {
		return nil, err
	}
	res := &result{plan: p, dir: dir}
	began := time.Now()
	if err := res.run(ctx, bin); err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	res.took = time.Since(began)
	if len(res.wrong) == 0 {
		return res, os.RemoveAll(dir)
	}
	text := errors.Join(res.wrong...).Error() + "\n"
	return res, os.WriteFile(filepath.Join(dir, "wrong.log"), []byte(text), 0o644)
}

func (res *result) run(ctx context.Context, bin string) error {
	p := res.plan
	ctx, cancel := context.WithTimeoutCause(ctx, p.load+3*time.Minute, errors.New("the seed took too long"))
	defer cancel()
	w := &world{plan: p, dir: res.dir, start: time.Now(), ctx: ctx}
	w.r = records{numbered: make(map[string][]history.Numbered), sessions: make(map[*client.Session]bool), steps: make(map[string]int),
		fenced: make(map[string][]fenced), lives: make(map[string]int)}
	defer func() { res.wrong = w.r.wrong }()
	why := canPart()
	if why != nil {
		w.r.notes = append(w.r.notes, fmt.Sprintf(" [no faults of links between servers: %v]", why))
	}
	var err error
	if w.e, err = newEnsemble(p, bin, res.dir, why == nil, w.fail); err != nil {
		return err
	}
	defer w.e.close()
	if err := w.prepare(); err != nil {
		return err
	}
	w.play()
	if w.finish() {
		res.verdict, err = history.Registers(w.r.ops, patience)
		w.check(err)
	}
	w.checkRest()
	res.acked, res.unknown, res.creates, res.ops = w.acked.Load(), w.unknown.Load(), w.creates.Load(), len(w.r.ops)
	res.r = w.r
	return nil
}

// prepare starts the ensemble and makes what has to be there.
func (w *world) prepare() error {
	for _, m := range w.e.members {
		m.start()
	}
	ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
	defer cancel()
	for _, m := range w.e.members {
		if err := m.ready(ctx); err != nil {
			return err
		}
	}
	sure, err := w.e.group("sure")
	if err != nil {
		return err
	}
	for i := range machines {
		g, err := w.e.group(fmt.Sprint("machine ", i+1))
		if err != nil {
			return err
		}
		w.groups = append(w.groups, g)
	}
	if w.sure, err = w.dial(sure, 4*time.Second); err != nil {
		return err
	}
	for _, path := range []string{"/pulse", "/registers", "/created", "/lines", "/bank", "/bells", "/lives", "/fenced"} {
		if err := w.make(w.sure, path, "0"); err != nil {
			return fmt.Errorf("create %s: %w", path, err)
		}
	}
	return nil
}

// machines is on how many the clients are.
const machines = 3

// play lets clients and faults loose on the ensemble, and returns when both have ended.
func (w *world) play() {
	load, stop := context.WithTimeout(w.ctx, w.plan.load)
	defer stop()
	w.load = load
	beating, still := context.WithCancel(w.ctx)
	var heart, players sync.WaitGroup
	defer heart.Wait()
	defer still()
	heart.Go(func() { w.beat(beating) })
	number := 0
	start := func(c *client.Client, f func(c *client.Client, player int, r *rand.Rand)) {
		player := number
		number++
		players.Go(func() { f(c, player, rand.New(rand.NewPCG(w.plan.seed, 100+uint64(player)))) })
	}
	for i, g := range w.groups {
		for k := range 2 {
			c, err := w.dial(g, time.Duration(2+2*k)*time.Second)
			if err != nil {
				w.fail("dial: %v", err)
				return
			}
			defer c.Close()
			start(c, w.playRegisters)
			start(c, w.playRegisters)
			if k == i%2 {
				start(c, w.playCreates)
			}
		}
	}
	w.misfortunes(rand.New(rand.NewPCG(w.plan.seed, 1)))
	ended := make(chan struct{})
	go func() {
		players.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(40 * time.Second):
		buf := make([]byte, 4<<20)
		name := filepath.Join(w.dir, "goroutines.log")
		_ = os.WriteFile(name, buf[:runtime.Stack(buf, true)], 0o644) // it is said below that something is wrong
		w.fail("clients do not come to their end: see %s", name)
		<-ended
	}
}

// finish compares what is there in the end, and tells whether that could be done.
func (w *world) finish() bool {
	w.load = w.ctx
	ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
	defer cancel()
	for _, m := range w.e.members {
		if err := m.ready(ctx); err != nil {
			w.fail("%v", err)
			return false
		}
	}
	for _, b := range w.r.batches {
		if !w.look(ctx, w.sure, b) {
			w.fail("%s cannot be read in the end", b.dir)
			return false
		}
	}
	_, err := w.e.converge(ctx)
	w.check(err)
	return true
}

// checkRest looks at what needs no ensemble any more.
func (w *world) checkRest() {
}

// fenced is a write under a lock.
type fenced struct {
	version int32
	token   uint64
}
