package replica

import (
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// network is raft's transport with one fault of v1.8.0 mended: when a follower refuses entries, the leader's goroutine
// that reads a pipeline's answers leaves at once, and the one that sends may go on; the second request after that blocks
// for ever, and this follower gets nothing more. See pipeline.
// It also tells which entries a follower has stored.
type network struct {
	*raft.NetworkTransport
	early  func(id raft.ServerID, req *raft.AppendEntriesRequest)
	stored func(id raft.ServerID, req *raft.AppendEntriesRequest)
}

// AppendEntries sends one request and waits for the answer.
func (n network) AppendEntries(id raft.ServerID, addr raft.ServerAddress, req *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) error {
	n.early(id, req)
	err := n.NetworkTransport.AppendEntries(id, addr, req, resp)
	if err == nil && resp.Success && len(req.Entries) > 0 {
		n.stored(id, req)
	}
	return err
}

// AppendEntriesPipeline returns a pipeline that does not block once it has failed.
func (n network) AppendEntriesPipeline(id raft.ServerID, addr raft.ServerAddress) (raft.AppendPipeline, error) {
	inner, err := n.NetworkTransport.AppendEntriesPipeline(id, addr)
	if err != nil {
		return nil, err
	}
	p := &pipeline{AppendPipeline: inner, answers: make(chan raft.AppendFuture), closed: make(chan struct{}),
		early:  func(req *raft.AppendEntriesRequest) { n.early(id, req) },
		stored: func(req *raft.AppendEntriesRequest) { n.stored(id, req) }}
	p.loop.Go(p.drain)
	return p, nil
}

// pipeline takes the answers of another one. The first that is no success is the last it passes on; it refuses further
// requests then, and throws later answers away, so that nobody waits for a reader who has left.
type pipeline struct {
	raft.AppendPipeline
	early   func(*raft.AppendEntriesRequest)
	stored  func(*raft.AppendEntriesRequest)
	answers chan raft.AppendFuture
	failed  atomic.Bool
	closed  chan struct{}
	once    sync.Once
	loop    sync.WaitGroup
}

// AppendEntries sends a request.
func (p *pipeline) AppendEntries(req *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	if p.failed.Load() {
		return nil, raft.ErrPipelineShutdown
	}
	p.early(req)
	return p.AppendPipeline.AppendEntries(req, resp)
}

// Consumer returns the answers.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.answers }

// Close ends the pipeline.
func (p *pipeline) Close() error {
	p.once.Do(func() { close(p.closed) })
	err := p.AppendPipeline.Close()
	p.loop.Wait()
	return err
}

func (p *pipeline) drain() {
	for {
		select {
		case f := <-p.AppendPipeline.Consumer():
			if p.failed.Load() {
				continue
			}
			// Nobody may be sending when the reader learns of the failure and leaves.
			if f.Error() != nil || !f.Response().Success {
				p.failed.Store(true)
			} else if req := f.Request(); len(req.Entries) > 0 {
				p.stored(req)
			}
			select {
			case p.answers <- f:
			case <-p.closed:
				return
			}
		case <-p.closed:
			return
		}
	}
}
