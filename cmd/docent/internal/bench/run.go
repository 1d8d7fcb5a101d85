package bench

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"sync"
	"time"
)

// run is a load that is being put on servers.
type run struct {
	cfg   *Config
	nodes *nodes
	keys  keyPicker
	gaps  *gaps
	// The clock of the run starts at t0; what happens between from and end counts.
	t0        time.Time
	from, end time.Duration
}

func (r *run) clock() time.Duration { return time.Since(r.t0) }

// cleanUpTime is how long deleting what was created may take.
const cleanUpTime = 2 * time.Minute

// Run creates the nodes, puts the load on the servers, deletes the nodes, and returns what it measured. Any reply that is
// not what it must be ends it with a [WrongReply]; without a time line every error does. If the nodes cannot be deleted, there are
// both a result and an error.
func Run(ctx context.Context, cfg Config) (res *Result, err error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	r := &run{cfg: &cfg, nodes: newNodes(&cfg), keys: uniform(cfg.Nodes), from: cfg.WarmUp, end: cfg.WarmUp + cfg.Duration}
	r.gaps = newGaps(cfg.Timeline > 0, r.from, r.end)
	if cfg.Zipf > 0 {
		r.keys = zipf(cfg.Nodes, cfg.Zipf)
	}
	cfg.progress("creating %d nodes of %d bytes", cfg.Nodes, cfg.Size)
	if err := r.nodes.create(ctx, &cfg); err != nil {
		return nil, err
	}
	if !cfg.Keep {
		defer func() {
			cfg.progress("deleting the nodes")
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
			defer cancel()
			err = errors.Join(err, r.nodes.remove(ctx, &cfg))
		}()
	}
	idle, err := newIdlers(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	defer idle.close()
	return r.load(ctx)
}

// load is the run itself.
func (r *run) load(ctx context.Context) (*Result, error) {
	cfg := r.cfg
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cfg.progress("connecting")
	workers, err := r.connect(ctx)
	if err != nil {
		return nil, err
	}
	cfg.progress("warming up for %v, then measuring for %v", cfg.WarmUp, cfg.Duration)
	r.t0 = time.Now()
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() {
			if err := w.work(ctx); err != nil {
				cancel(err)
			}
		})
	}
	used, err := r.watchProcesses(ctx)
	if err != nil {
		cancel(err)
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	res := r.result(workers)
	res.Processes = used
	for _, p := range used {
		res.CPUPerOp += p.CPU * 1e6 / float64(max(res.Ops, 1))
	}
	return res, nil
}

// connect opens the connections, some at once.
func (r *run) connect(ctx context.Context) ([]*worker, error) {
	cfg := r.cfg
	workers := make([]*worker, cfg.Conns)
	err := eachOf(cfg.Conns, 32, func(i int) error {
		w := &worker{run: r, id: i, server: i % len(cfg.Addrs), rng: rand.New(rand.NewPCG(cfg.Seed, uint64(i)))}
		w.slots = make([]pending, 1<<bits.Len(uint(cfg.InFlight)))
		if cfg.Conns*cfg.Nodes <= 16<<20 {
			w.versions = make([]int32, cfg.Nodes)
		}
		workers[i] = w
		return w.begin(ctx)
	})
	if err == nil {
		return workers, nil
	}
	for _, w := range workers {
		if w != nil && w.link != nil {
			w.link.nc.Close()
		}
	}
	return nil, fmt.Errorf("connect: %w", err)
}

// watchProcesses returns what the servers' processes used while the run counted, at the end of that.
func (r *run) watchProcesses(ctx context.Context) ([]Process, error) {
	pause(ctx, r.from-r.clock())
	before, err := processes(r.cfg.Pids)
	if err != nil {
		return nil, err
	}
	pause(ctx, r.end-r.clock())
	after, err := processes(r.cfg.Pids)
	if err != nil {
		return nil, err
	}
	for i := range after {
		after[i].CPU -= before[i].CPU
	}
	return after, nil
}

// eachOf calls f with 0 to n-1, so many at once, and returns the errors.
func eachOf(n, atOnce int, f func(int) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex // guards next and errs
	next, errs := 0, []error(nil)
	take := func(err error) (int, bool) {
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			errs = append(errs, err)
		}
		i := next
		next++
		return i, i < n && len(errs) == 0
	}
	for range min(n, atOnce) {
		wg.Go(func() {
			for i, ok := take(nil); ok; {
				i, ok = take(f(i))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
