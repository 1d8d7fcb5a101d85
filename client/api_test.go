package client_test

import (
	"context"
	"crypto/tls"
	"iter"
	"log/slog"
	"net"
	"time"

	"github.com/docent-io/docent/client"
)

// The names and signatures that programs are built on. What is written here does not change without a reason: a test
// that does not compile any more is a program that does not.
func _() {
	type (
		ctx   = context.Context
		watch = *client.Watch
	)

	var _ = client.Config{
		Servers: []string(nil), Chroot: "", SessionTimeout: time.Duration(0), RequireTimeout: false, MinMargin: time.Duration(0),
		ConnectTimeout: time.Duration(0), ReadTimeout: time.Duration(0), CloseTimeout: time.Duration(0), TLS: (*tls.Config)(nil),
		Auth: []client.Auth(nil), ACL: (func(path string) []client.ACL)(nil), Retry: client.RetryPolicy{}, Identity: "",
		AllowReadOnly: false, MaxReply: 0, Logger: (*slog.Logger)(nil), Hooks: client.Hooks{},
		DialContext: (func(c ctx, network, addr string) (net.Conn, error))(nil), Resolver: client.Resolver(nil), Resume: (*client.Ticket)(nil),
	}

	var (
		_ func(string) (client.Config, error)              = client.ParseDSN
		_ func() (client.Config, error)                    = client.FromEnv
		_ func(func(string) string) (client.Config, error) = client.FromLookup
		_ func() string                                    = client.BatchIdentity
		_ func(ctx, client.Config) (*client.Client, error) = client.Dial

		_ func(*client.Client, ctx) (*client.Session, error) = (*client.Client).Session
		_ func(*client.Client) client.State                  = (*client.Client).State
		_ func(*client.Client, ctx) iter.Seq[client.State]   = (*client.Client).States
		_ func(*client.Client, string) *client.Client        = (*client.Client).Sub
		_ func(*client.Client) client.Stats                  = (*client.Client).Stats
		_ func(*client.Client) error                         = (*client.Client).Close

		_ = []client.State{client.Connecting, client.Connected, client.Suspended, client.ReadOnly, client.Closed}

		_ func(*client.Session) int64                     = (*client.Session).ID
		_ func(*client.Session) ctx                       = (*client.Session).Context
		_ func(*client.Session) time.Time                 = (*client.Session).Deadline
		_ func(*client.Session) time.Duration             = (*client.Session).Remaining
		_ func(*client.Session) ctx                       = (*client.Session).Lease
		_ func(*client.Session) *client.Batch             = (*client.Session).Batch
		_ func(*client.Session) time.Duration             = (*client.Session).Timeout
		_ func(*client.Session) []string                  = (*client.Session).Pending
		_ func(*client.Session) client.Ticket             = (*client.Session).Ticket
		_ func(*client.Session, ctx, string) error        = (*client.Session).DeleteGuaranteed
		_ func(*client.Session, ctx) ([]client.ID, error) = (*client.Session).WhoAmI

		_ func(*client.Session, ctx, string) (client.Node, watch, error)               = (*client.Session).GetW
		_ func(*client.Session, ctx, string) (client.Stat, bool, watch, error)         = (*client.Session).ExistsW
		_ func(*client.Session, ctx, string) ([]string, client.Stat, watch, error)     = (*client.Session).ChildrenW
		_ func(*client.Session, ctx, string, client.WatchMode) (*client.Stream, error) = (*client.Session).AddWatch
		_ func(*client.Session, ctx, client.Members) (client.Node, error)              = (*client.Session).Reconfigure
		_ func(*client.Session, ctx, ...string) ([]client.Found, error)                = (*client.Session).GetAll
		_ func(*client.Session, ctx, string) ([]string, error)                         = (*client.Session).Ephemerals
		_ func(*client.Session, ctx, string, ...client.ReadOption) (int, error)        = (*client.Session).CountDescendants
		_ func(watch, ctx) (client.Event, error)                                       = watch.Wait
		_ func(watch) error                                                            = watch.Close
		_ func(watch) <-chan struct{}                                                  = watch.Done
		_ func(watch, func()) func() bool                                              = watch.AfterFunc
		_ func(*client.Stream, ctx) (client.Event, error)                              = (*client.Stream).Next
		_ func(*client.Stream) error                                                   = (*client.Stream).Close
	)

	// ops are the operations that a Client and a Session have both, in the words of the specification.
	type ops interface {
		Create(ctx context.Context, path string, data []byte, o ...client.CreateOption) (client.Node, error)
		Get(ctx context.Context, path string, o ...client.ReadOption) (client.Node, error)
		Exists(ctx context.Context, path string, o ...client.ReadOption) (client.Stat, bool, error)
		Children(ctx context.Context, path string, o ...client.ReadOption) ([]string, client.Stat, error)
		Set(ctx context.Context, path string, data []byte, version int32) (client.Stat, error)
		Delete(ctx context.Context, path string, version int32) error
		Sync(ctx context.Context, path string) error
		GetACL(ctx context.Context, path string) ([]client.ACL, client.Stat, error)
		SetACL(ctx context.Context, path string, acl []client.ACL, version int32) (client.Stat, error)
		Txn() *client.Txn
	}

	var (
		_ ops = (*client.Client)(nil)
		_ ops = (*client.Session)(nil)
		_ ops = client.Ops(nil)

		_                                         = []func() client.CreateOption{client.Ephemeral, client.Sequential, client.Container, client.Parents, client.Protected}
		_ func(time.Duration) client.CreateOption = client.TTL
		_ func([]client.ACL) client.CreateOption  = client.WithACL
		_ func() client.ReadOption                = client.Fresh

		_ func(*client.Txn, string, int32) *client.Txn                          = (*client.Txn).Check
		_ func(*client.Txn, string, []byte, ...client.CreateOption) *client.Txn = (*client.Txn).Create
		_ func(*client.Txn, string, []byte, int32) *client.Txn                  = (*client.Txn).Set
		_ func(*client.Txn, string, int32) *client.Txn                          = (*client.Txn).Delete
		_ func(*client.Txn, ctx) ([]client.Result, error)                       = (*client.Txn).Commit

		_ = []client.Code{client.ErrNoNode, client.ErrNodeExists, client.ErrBadVersion, client.ErrNotEmpty, client.ErrNoAuth, client.ErrReadOnly}
		_ = []error{client.ErrSessionExpired, client.ErrSessionDeadline, client.ErrSuspended, client.ErrClosed, client.ErrMaybeApplied, client.ErrDeletePending, client.ErrWatchClosed}
		_ = client.OpError{Op: "", Path: "", Session: int64(0), MaybeApplied: false, Err: error(nil)}
		_ = client.TxnError{Index: 0, Op: "", Path: "", Errs: []error(nil)}
	)
}
