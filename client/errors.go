package client

import (
	"errors"
	"fmt"
	"strings"

	"github.com/docent-io/docent/internal/wire"
)

// Code is an error code of the ZooKeeper protocol. Codes compare with ==, so errors.Is works through any wrapping.
type Code int32

// The codes a server answers with.
const (
	ErrMarshalling           Code = -5   // the server could not decode the request
	ErrUnimplemented         Code = -6   // the server does not know the operation, or has it switched off
	ErrBadArguments          Code = -8   // a path, flag or option the server refuses
	ErrNewConfigNoQuorum     Code = -13  // too few members of the new configuration are in step
	ErrReconfigInProgress    Code = -14  // another change of the members is not finished
	ErrNoNode                Code = -101 // the node, or its parent, does not exist
	ErrNoAuth                Code = -102 // the ACL does not permit it
	ErrBadVersion            Code = -103 // the version given is not the node's
	ErrNoChildrenEphemeral   Code = -108 // ephemeral nodes cannot have children
	ErrNodeExists            Code = -110 // the node exists already
	ErrNotEmpty              Code = -111 // the node has children
	ErrSessionExpired        Code = -112 // a server said that the session has ended
	ErrInvalidACL            Code = -114 // the list is empty or names an unknown scheme or identity
	ErrAuthFailed            Code = -115 // a server refused an entry of Config.Auth
	ErrReadOnly              Code = -119 // a write or sync on a read-only server
	ErrEphemeralLocalSession Code = -120 // an ephemeral node on a local session
	ErrNoWatcher             Code = -121 // no such watch
	ErrReconfigDisabled      Code = -123 // the ensemble's members cannot be changed in this way
	ErrSASLRequired          Code = -124 // the server demands authentication by SASL
	ErrQuotaExceeded         Code = -125 // a hard quota
	ErrThrottled             Code = -127 // the server is overloaded and did not carry it out
	errInconsistent          Code = -2   // in a transaction: not tried, an earlier operation failed
)

// Error says in words what the code means.
func (c Code) Error() string { return wire.Code(c).Error() }

// The errors that no server sends.
var (
	// ErrSessionDeadline: nothing was heard for so long that the session's ephemerals may no longer be ours (a lease
	// ends with it), or that the whole timeout has passed (the session ends with it).
	ErrSessionDeadline = errors.New("session deadline passed unheard")
	// ErrSuspended: the session has no connection, or lost it while the request was under way.
	ErrSuspended = errors.New("connection to the ensemble is lost")
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("client closed")
	// ErrMaybeApplied matches, by errors.Is, every OpError with MaybeApplied set.
	ErrMaybeApplied = errors.New("request may have been applied")
	// ErrDeletePending: a guaranteed deletion is not confirmed yet, and goes on in the background.
	ErrDeletePending = errors.New("deletion not yet confirmed")
	// ErrWatchClosed: the watch or stream was closed by its owner.
	ErrWatchClosed = errors.New("watch closed")
	// ErrTimeoutRefused: the server granted a session timeout that Config.RequireTimeout or Config.MinMargin rules out.
	ErrTimeoutRefused = errors.New("server grants another session timeout")
	// ErrProtocol: a server sent what the protocol does not allow. The connection is dropped.
	ErrProtocol = errors.New("protocol violation")
)

// OpError says which operation failed, on which path, in which session, and why. It unwraps to Err.
type OpError struct {
	Op, Path string
	Session  int64
	// MaybeApplied: it was sent and no answer came, so it may have been carried out all the same.
	// Repeat it only if doing it twice is harmless.
	MaybeApplied bool
	Err          error // a Code, a context error, one of the errors above or a network error
}

// Error tells all of it in one line.
func (e *OpError) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Path != "" {
		fmt.Fprintf(&b, " %s", e.Path)
	}
	if e.Session != 0 {
		fmt.Fprintf(&b, " (session %#x)", uint64(e.Session))
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	if e.MaybeApplied {
		b.WriteString("; it may have been applied")
	}
	return b.String()
}

// Unwrap returns the reason.
func (e *OpError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrMaybeApplied) work.
func (e *OpError) Is(target error) bool { return target == ErrMaybeApplied && e.MaybeApplied }

// TxnError says which operation of a transaction failed. Nothing of the transaction was applied. It unwraps to the
// error of the operation to blame.
type TxnError struct {
	Index int     // of the operation to blame, counted from 0 in the order they were added
	Op    string  // what it was, and where
	Path  string  //
	Errs  []error // one for each operation; nil for those before the one to blame
}

// Error names the operation to blame.
func (e *TxnError) Error() string {
	return fmt.Sprintf("transaction refused: operation %d, %s %s: %v", e.Index, e.Op, e.Path, e.Unwrap())
}

// Unwrap returns the error of the operation to blame.
func (e *TxnError) Unwrap() error { return e.Errs[e.Index] }
