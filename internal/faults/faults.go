//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/history"
	"github.com/docent-io/docent/internal/testkit"
)

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
	w.r = records{numbered: make(map[string][]history.Numbered), steps: make(map[string]int),
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
	if w.home, err = newSpace(false); err != nil {
		return err
	}
	defer w.home.close()
	if p.smallDisk >= 0 {
		undo, err := w.e.members[p.smallDisk].smallDisk()
		if err != nil {
			w.plan.smallDisk = -1
			w.r.notes = append(w.r.notes, fmt.Sprintf(" [no full disk: %v]", err))
		} else {
			defer func() { w.check(undo(len(w.r.wrong) > 0)) }()
		}
	}
	if err := w.prepare(); err != nil {
		return err
	}
	w.play()
	w.finish()
	cancel() // and with that come the findings of the connections
	w.listeners.Wait()
	res.verdict = w.checkRest()
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
	for _, m := range w.e.members {
		u, err := m.usage(ctx)
		if err != nil {
			return err
		}
		w.before = append(w.before, u)
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
	for _, path := range []string{"/pulse", "/registers", "/created", "/lines", "/bank", "/bells", "/lives", "/fenced", "/fenced/mutex", "/fenced/leader", bell(0), bell(1), bell(2)} {
		if err := w.make(w.sure, path, "0"); err != nil {
			return fmt.Errorf("create %s: %w", path, err)
		}
	}
	for i := range accounts {
		if err := w.make(w.sure, account(i), strconv.Itoa(capital/accounts)); err != nil {
			return fmt.Errorf("create %s: %w", account(i), err)
		}
	}
	for _, name := range []string{"mutex", "mutex", "mutex", "leader", "leader"} {
		cfg := puppetConfig{Servers: w.groups[len(w.all)%machines].addrs, Name: name, Timeout: 3 * time.Second, Sabotage: w.plan.sabotage}
		w.all = append(w.all, &puppet{w: w, cfg: cfg})
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
	var heart, players, followers sync.WaitGroup
	defer heart.Wait()
	defer still()
	heart.Go(func() { w.beat(beating) })
	number := 0
	start := func(c *client.Client, f func(c *client.Client, player int, r *rand.Rand)) {
		player := number
		number++
		players.Go(func() { f(c, player, rand.New(rand.NewPCG(w.plan.seed, 100+uint64(player)))) })
	}
	var locks, terms testkit.Roster[string]
	following, end := context.WithCancel(w.ctx)
	defer end()
	for i, g := range w.groups {
		for k := range 2 {
			c, err := w.dial(g, time.Duration(3+2*k)*time.Second)
			if err != nil {
				w.fail("dial: %v", err)
				return
			}
			defer c.Close()
			start(c, w.playRegisters)
			start(c, w.playRegisters)
			if k == i%2 {
				start(c, w.playCreates)
				start(c, w.playLine)
				start(c, w.playTurns("mutex", &locks))
			} else {
				start(c, w.playBells)
				start(c, w.playWatches)
				start(c, w.playBank)
				start(c, w.playTurns("leader", &terms))
			}
			followers.Go(func() { w.playStream(c, 10*i+k, rand.New(rand.NewPCG(w.plan.seed, 50+uint64(10*i+k))), following) })
		}
		start(nil, w.playLives(g))
		start(nil, w.playLives(g))
	}
	for _, p := range w.all {
		p.start()
	}
	w.misfortunes(rand.New(rand.NewPCG(w.plan.seed, 1)))
	w.ended(&players, "clients")
	end()
	w.ended(&followers, "streams")
	for _, p := range w.all {
		p.kill()
	}
}

// ended waits until a group of goroutines has.
func (w *world) ended(all *sync.WaitGroup, who string) {
	over := make(chan struct{})
	go func() {
		all.Wait()
		close(over)
	}()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	select {
	case <-over:
	case <-limit.C:
		buf := make([]byte, 4<<20)
		name := filepath.Join(w.dir, "goroutines.log")
		_ = os.WriteFile(name, buf[:runtime.Stack(buf, true)], 0o644) // that something is wrong is said anyway
		w.fail("%s do not come to their end: see %s", who, name)
		<-over
	}
}
