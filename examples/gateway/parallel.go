package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/rendezvous"
)

const (
	workers   = 3
	numbers   = 3000 // the workers add up 1 to this
	meetAt    = "jobs/job-1/meet"
	barrierAt = "jobs/job-1/step"
)

// endpoint is what the master posts: where it listens for results.
type endpoint struct{ Addr string }

// parallelJob is one job: a master and its workers, each a process, and what they noted for the narrator.
type parallelJob struct {
	mu      sync.Mutex // guards the rest
	arrived []time.Time
	started []time.Time
	epochs  []uint64 // the posting that each worker answered to
	sum     int
	report  barrier.Report
}

// runParallelJob lets a master and workers meet, start together, and end together.
func (s *story) runParallelJob() error {
	s.title("job-1 runs in parallel: its master and workers meet, start together and end together")
	job := &parallelJob{}
	var all sync.WaitGroup
	join := func(p *process, part func(context.Context) error) {
		all.Add(1)
		s.start(p.name, func(ctx context.Context) error { defer all.Done(); return part(ctx) })
	}
	for i := range workers {
		p, err := s.spawn(fmt.Sprintf("worker-%d", i+1))
		if err != nil {
			return err
		}
		join(p, func(ctx context.Context) error { return job.work(ctx, p, i) })
	}
	s.tells("%d workers start and wait at %s: nobody has told them where the master is", workers, meetAt)
	p, err := s.spawn("master")
	if err != nil {
		return err
	}
	join(p, func(ctx context.Context) error { return job.lead(ctx, p, s) })
	all.Wait()
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	together := len(job.started) == workers+1 && !slices.MinFunc(job.started, time.Time.Compare).Before(slices.MaxFunc(job.arrived, time.Time.Compare))
	s.claim(len(job.epochs) == workers && len(slices.Compact(job.epochs)) == 1, "all %d workers found the same master (epoch %d)", workers, job.epochs[0])
	s.claim(together, "nobody started before the last one had come")
	s.claim(job.sum == numbers*(numbers+1)/2, "their parts add up: 1 + 2 + … + %d = %d", numbers, job.sum)
	s.claim(len(job.report.Left) == workers+1 && len(job.report.Crashed) == 0, "they ended together: %d left, %d crashed",
		len(job.report.Left), len(job.report.Crashed))
	return nil
}

// lead is the master: it says where it is, waits for the workers, starts with them, and collects what they send.
func (j *parallelJob) lead(ctx context.Context, p *process, s *story) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	point := rendezvous.At[endpoint](p.Client, meetAt)
	if err := point.Post(ctx, endpoint{ln.Addr().String()}); err != nil {
		return err
	}
	s.tells("the master posts that it listens on %s, and gathers %d workers", ln.Addr(), workers)
	if err := point.Gather(ctx, workers); err != nil {
		return err
	}
	report, err := j.step(ctx, p, func(context.Context) error {
		for range workers {
			part, err := receive(ln)
			if err != nil {
				return err
			}
			j.sum += part
		}
		return nil
	})
	j.report = report
	return err
}

// work is a worker: it waits for the master, starts with the others, and sends its part of the sum.
func (j *parallelJob) work(ctx context.Context, p *process, number int) error {
	for info, err := range rendezvous.At[endpoint](p.Client, meetAt).Follow(ctx) {
		if err != nil {
			return err
		}
		if info.Gone {
			continue // the master died: wait for the next one
		}
		j.note(func() { j.epochs = append(j.epochs, info.Epoch) })
		_, err := j.step(ctx, p, func(ctx context.Context) error {
			part := 0
			for n := number + 1; n <= numbers; n += workers {
				part += n
			}
			return deliver(ctx, info.Value.Addr, part)
		})
		return err
	}
	return nil // not reached: Follow ends with an error
}

// step does something between the beginning and the end that all have in common.
func (j *parallelJob) step(ctx context.Context, p *process, do func(context.Context) error) (barrier.Report, error) {
	j.note(func() { j.arrived = append(j.arrived, time.Now()) })
	return barrier.New(p.Client, barrierAt, workers+1).Run(ctx, func(ctx context.Context) error {
		j.note(func() { j.started = append(j.started, time.Now()) })
		return do(ctx)
	})
}

func (j *parallelJob) note(f func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f()
}

func receive(ln net.Listener) (part int, err error) {
	conn, err := ln.Accept()
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	_, err = fmt.Fscanln(conn, &part)
	return part, err
}

func deliver(ctx context.Context, addr string, part int) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = fmt.Fprintln(conn, part)
	return err
}
