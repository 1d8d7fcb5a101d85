package replica

import (
	"context"
)

// Replica is one member of the ensemble, running.
type Replica struct{}

// Open starts the member. It returns as soon as its snapshot is restored; a leader is found afterwards.
func Open(cfg Config) (*Replica, error) { return nil, ErrClosed }

// Propose hands over a command: it will be applied on every member, once, in the order of the calls here. It copies cmd
// and never blocks. w comes back in Batch.Waiters when this member applies the command. It never does when the member
// is closed or gets the command's effect inside a snapshot (Machine.Restore is called then); without a majority it waits.
// Errors: ErrClosed, ErrTooLarge.
func (r *Replica) Propose(w any, cmd []byte) error { return ErrClosed }

// Call runs the handler at the leader, here or elsewhere, once at most, and returns its answer after a majority of the
// voters has confirmed, in a round begun after the handler returned, that no later term had begun. So what the handler
// recorded cannot have been overlooked by a leader elected before Call returned. Rounds are shared by waiting calls.
// Errors: ErrNoLeader (not known, lost or not confirmed), ErrTooLarge, ErrClosed, ctx's, or the handler's as *RemoteError.
func (r *Replica) Call(ctx context.Context, req []byte) ([]byte, error) { return nil, ErrClosed }

// RemoteError is an error that the handler returned at the leader.
type RemoteError struct{ Text string }

func (e *RemoteError) Error() string { return e.Text }

// Sync returns when this member has applied everything that was committed, by whatever leader, when Sync was called.
// It costs a confirmed round (see Call) and no log entry. Errors as for Call.
func (r *Replica) Sync(ctx context.Context) error { return ErrClosed }

// Leader tells which member leads, as far as this one knows; ok is false when it knows none.
func (r *Replica) Leader() (id uint64, ok bool) { return 0, false }

// IsLeader tells whether this member believes to lead and has applied all that was committed before its term.
// It may have been deposed without knowing: only Call proves anything.
func (r *Replica) IsLeader() bool { return false }

// Changed returns a channel that is closed at the next change of Leader or IsLeader.
func (r *Replica) Changed() <-chan struct{} { return nil }

// Snapshot takes a snapshot now and cuts the log. It is not an error if there is nothing new.
func (r *Replica) Snapshot() error { return ErrClosed }

// TransferLeadership hands the lead to the most advanced other voter. ErrNoLeader if this member does not lead.
func (r *Replica) TransferLeadership(ctx context.Context) error { return ErrClosed }

// Stats returns the present numbers.
func (r *Replica) Stats() Stats { return Stats{} }

// Done is closed when the replica has stopped, by Close or because its storage or machine failed; Err tells why.
func (r *Replica) Done() <-chan struct{} { return nil }

// Err is nil while the replica runs and after Close; else why it stopped by itself.
func (r *Replica) Err() error { return nil }

// Close hands the lead over first if it has it and another voter can take it, then stops and closes the store.
// No waiter of a command still pending ever comes back.
func (r *Replica) Close() error { return ErrClosed }

// Kill stops as a crash would: no hand-over, nothing marked in the store. It is for tests.
func (r *Replica) Kill() error { return ErrClosed }
