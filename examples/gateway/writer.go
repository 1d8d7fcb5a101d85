package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/leader"
	"github.com/docent-io/docent/recipes/fence"
)

const writerAt = "metadata/writer"

// store stands for the gateway's database. It takes a write only with a token that is not below the highest it has seen.
type store struct {
	guard fence.Guard
	mu    sync.Mutex // guards rows, and makes the check of a token and the write one step
	rows  map[string]string
}

func (st *store) write(ctx context.Context, token uint64, key, value string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := st.guard.Admit(ctx, "metadata", token); err != nil {
		return err
	}
	st.rows[key] = value
	return nil
}

func (st *store) read(key string) string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.rows[key]
}

// writer is a metadata replica in the term in which it alone may write.
type writer struct {
	*process
	token uint64
	term  context.Context // ends with the term
	began time.Time
	over  chan struct{} // closed when it has noticed that the term is over
	ended time.Time     // when it has noticed; readable once over is closed
}

// electWriter lets replicas elect a writer, and cuts off the first one in the middle of a write.
func (s *story) electWriter() error {
	s.title("Metadata replicas elect one writer, and the store checks its token")
	elected := make(chan *writer)
	if err := s.startReplica("replica-1", elected, mortally); err != nil {
		return err
	}
	first, err := s.nextWriter(elected)
	if err != nil {
		return err
	}
	for _, name := range []string{"replica-2", "replica-3"} {
		if err := s.startReplica(name, elected); err != nil {
			return err
		}
	}
	if err := s.store.write(s.ctx, first.token, "job-1", "running"); err != nil {
		return err
	}
	s.tells("%s is elected and writes job-1 = running with its token, %d", first.name, first.token)

	first.cable.cut()
	s.tells("%s is cut off the network, with one more write under way", first.name)
	second, err := s.nextWriter(elected)
	if err != nil {
		return err
	}
	<-first.over
	s.claim(first.ended.Before(second.began), "its term ended (%v) %v before the next one began",
		context.Cause(first.term), second.began.Sub(first.ended).Round(10*time.Millisecond))
	s.claim(second.token > first.token, "%s is elected, with a higher token, %d", second.name, second.token)
	if err := s.store.write(s.ctx, second.token, "job-1", "done"); err != nil {
		return err
	}
	late := s.store.write(s.ctx, first.token, "job-1", "running")
	s.claim(errors.Is(late, fence.ErrStaleToken), "the late write of %s is refused: the store has seen a higher token than %d", first.name, first.token)
	s.claim(s.store.read("job-1") == "done", "the store still has what %s wrote: job-1 = done", second.name)
	s.writer = second
	return nil
}

// startReplica starts a replica that campaigns until the story ends. Whenever it leads it says so.
func (s *story) startReplica(name string, elected chan<- *writer, change ...func(*client.Config)) error {
	p, err := s.spawn(name, change...)
	if err != nil {
		return err
	}
	s.start(name, func(ctx context.Context) error {
		return leader.Run(ctx, p.Client, writerAt, func(ctx context.Context, t *leader.Term) error {
			w := &writer{process: p, token: t.Token(), term: ctx, began: time.Now(), over: make(chan struct{})}
			defer close(w.over)
			select {
			case elected <- w:
			case <-ctx.Done():
			}
			<-ctx.Done() // leads as long as it may
			w.ended = time.Now()
			return context.Cause(ctx)
		})
	})
	return nil
}

func (s *story) nextWriter(elected <-chan *writer) (*writer, error) {
	select {
	case w := <-elected:
		return w, nil
	case <-s.ctx.Done():
		return nil, fmt.Errorf("wait for a writer: %w", context.Cause(s.ctx))
	}
}
