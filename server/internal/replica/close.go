package replica

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// minTrailing is how many entries a snapshot leaves in the log at least.
const minTrailing = 64

// Propose hands over a command: it will be applied on every member, once, in the order of the calls here. It copies cmd
// and never blocks. w comes back in Batch.Waiters when this member applies the command. It never does when the member
// is closed or gets the command's effect inside a snapshot (Machine.Restore is called then); without a majority it waits.
// Errors: ErrClosed, ErrTooLarge.
func (r *Replica) Propose(w any, cmd []byte) error { return r.out.propose(w, cmd) }

// applied is called by the machine's side after a group of entries.
func (r *Replica) applied(index, term uint64) {
	r.nudge(index, term)
	if r.due() {
		signal(r.snap)
	}
}

// due tells whether the log has grown enough for a snapshot.
func (r *Replica) due() bool {
	grown := r.fsm.bytes.Load()
	return grown >= r.cfg.SnapshotBytes && grown >= r.allowance()
}

// allowance is how much the log may grow between two snapshots. A snapshot writes the whole state, so it may be taken only
// once as much was written to the log: what a write costs then does not grow with the state, and neither do log and replay
// beyond what the snapshot itself takes.
func (r *Replica) allowance() int64 {
	list, err := r.cfg.Store.Snapshots().List()
	if err != nil || len(list) == 0 {
		return r.cfg.SnapshotBytes
	}
	return max(r.cfg.SnapshotBytes, list[0].Size)
}

// snapLoop takes a snapshot whenever the log has grown enough.
func (r *Replica) snapLoop(ctx context.Context) {
	for {
		select {
		case <-r.snap:
		case <-ctx.Done():
			return
		}
		if !r.due() {
			continue
		}
		if err := r.Snapshot(); err != nil && ctx.Err() == nil {
			r.log.Error("snapshot failed", "member", r.cfg.ID, "err", err)
		}
	}
}

// Snapshot takes a snapshot now and cuts the log. It is not an error if there is nothing new.
func (r *Replica) Snapshot() error {
	if r.closing.Err() != nil {
		return ErrClosed
	}
	// What stays in the log, for followers a little behind, is bounded by bytes: an entry may be small or large. But some
	// entries must stay: raft cannot bring back a member whose log, with entries that never got a majority, goes on behind
	// the snapshot it installs. A leader has at most maxInFlight and one of those; this is room for many terms of them.
	conf := r.raft.ReloadableConfig()
	conf.TrailingLogs = max(r.cfg.Store.Log().Newest(r.allowance()/4), minTrailing)
	if err := r.raft.ReloadConfig(conf); err != nil {
		return err
	}
	err := r.raft.Snapshot().Error()
	if errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	r.snapshots.Add(1)
	return nil
}

// TransferLeadership hands the lead to the most advanced other voter. ErrNoLeader if this member does not lead.
func (r *Replica) TransferLeadership(ctx context.Context) error {
	if r.closing.Err() != nil {
		return ErrClosed
	}
	if r.raft.State() != raft.Leader {
		return ErrNoLeader
	}
	return r.await(ctx, func() raft.Future { return r.raft.LeadershipTransfer() }) // takes an election time-out or two at most
}

// await asks raft for something and waits for it. If ctx ends first, whether it happens is not known.
func (r *Replica) await(ctx context.Context, ask func() raft.Future) error {
	done := make(chan error, 1)
	r.mu.Lock()
	if !r.stopping {
		r.loops.Go(func() { done <- ask().Error() })
	} else {
		done <- ErrClosed
	}
	r.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Stats returns the present numbers.
func (r *Replica) Stats() Stats {
	var compared mark
	if last := r.comparer.last.Load(); last != nil {
		compared = *last
	}
	return Stats{
		Term:         r.raft.CurrentTerm(),
		AppliedIndex: r.fsm.index.Load(),
		CommitIndex:  r.raft.CommitIndex(),
		LogBytes:     r.cfg.Store.Log().Size(),
		PendingBytes: r.out.pendingBytes(),
		Elections:    r.elections.Load(),
		Resends:      r.resends.Load(),
		Refused:      r.fsm.refused.Load(),
		Snapshots:    r.snapshots.Load(),
		Restores:     r.fsm.restores.Load(),

		Comparisons:   r.comparer.rounds.Load(),
		Mismatches:    r.comparer.mismatches.Load(),
		ComparedIndex: compared.index,
	}
}

// Done is closed when the replica has stopped, by Close or because its storage or machine failed; Err tells why.
func (r *Replica) Done() <-chan struct{} { return r.done }

// Err is nil while the replica runs and after Close; else why it stopped by itself.
func (r *Replica) Err() error {
	select {
	case <-r.done:
		return r.err
	default:
		return nil
	}
}

// Close hands the lead over first if it has it and another voter can take it, then stops and closes the store.
// No waiter of a command still pending ever comes back.
func (r *Replica) Close() error {
	if len(r.members.Load().others) > 0 && r.raft.State() == raft.Leader && r.closing.Err() == nil {
		ctx, cancel := context.WithTimeout(r.closing, 2*r.cfg.ElectionTimeout)
		if err := r.TransferLeadership(ctx); err != nil {
			r.log.Info("could not hand the lead over", "member", r.cfg.ID, "err", err)
		}
		cancel()
	}
	r.cancel(ErrClosed)
	return r.shutdown(true)
}

// Kill stops as a crash would: no hand-over, nothing marked in the store. It is for tests.
func (r *Replica) Kill() error {
	r.cancel(ErrClosed)
	return r.shutdown(false)
}

// supervise stops the replica when its storage or its machine fails. It ends with the replica.
func (r *Replica) supervise() {
	select {
	case <-r.cfg.Store.Failed():
		r.cancel(fmt.Errorf("storage: %w", r.cfg.Store.Err()))
	case <-r.closing.Done():
	}
	switch err := context.Cause(r.closing); {
	case errors.Is(err, ErrRemoved):
		r.log.Warn("removed from the ensemble: stopped", "member", r.cfg.ID)
		r.shutdown(true)
	case !errors.Is(err, ErrClosed):
		r.log.Error("stopped", "member", r.cfg.ID, "err", err)
		r.shutdown(false)
	}
}

// shutdown ends everything, once; whoever comes later waits for it. Our own loops go first, while raft still lives: it then
// answers all that they wait for (a leader without a network steps down within its lease), which it does not once it is shut down.
func (r *Replica) shutdown(clean bool) error {
	var err error
	if r.stopped.CompareAndSwap(false, true) { // not a sync.Once: whoever waits for a lock stops the clock of testing/synctest
		cause := context.Cause(r.closing)
		if errors.Is(cause, ErrClosed) {
			cause = nil
		}
		r.out.close()
		if r.port != nil {
			err = r.port.close()
		}
		r.mu.Lock()
		r.stopping = true
		r.mu.Unlock()
		r.loops.Wait()
		err = errors.Join(err, r.raft.Shutdown().Error())
		if clean {
			err = errors.Join(err, r.ahead.write(everything), r.cfg.Store.Close())
		} else {
			err = errors.Join(err, r.cfg.Store.Kill())
		}
		r.err = cause
		close(r.done)
	}
	<-r.done
	return err
}
