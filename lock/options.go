package lock

import "context"

// Option changes how a lock is taken.
type Option func(*options)

type options struct {
	note   string
	strict bool
	alive  func(context.Context) error
	layout Layout
}

// Note puts a remark beside the holder's identity, for whoever asks who holds the lock and why.
func Note(text string) Option { return func(o *options) { o.note = text } }

// LoseOnSuspend ends what is held as soon as the connection is lost, with the cause client.ErrSuspended, as Curator
// does. Without it, a hold outlives a lost connection up to the session's deadline, so that the restart of a server
// goes unnoticed; that is no less safe, for the deadline lies ahead of the moment another may be let in.
func LoseOnSuspend() Option { return func(o *options) { o.strict = true } }

// WithHeartbeat makes a hold depend on the program's own word, for a session lives as long as its process does, and the
// process may live on although the work has come to a stop. While the lock is held, f is called at once and then every
// third of the session's timeout. When it returns an error, or has not returned when its context ends, at the time of
// the next call, the hold is lost with the cause ErrNotAlive, and the next one may come. The session stays.
//
// Calls run on a goroutine of their own, one at a time for each hold (LockAll: for all of it together). A call that is
// late is not waited for, so f must not touch what Unlock's caller then takes away.
func WithHeartbeat(f func(context.Context) error) Option { return func(o *options) { o.alive = f } }

// Layout is how the nodes of contenders are named.
type Layout int

// The layouts. Contenders of both are honoured under either; which one to take depends on who else comes.
const (
	LayoutCurator Layout = iota // _c_<uuid>-lock-<number>: for docent, Curator, go-zookeeper, and kazoo with a pattern
	LayoutKazoo                 // _c_<uuid>-__lock__<number>: for docent, go-zookeeper and plain kazoo, not for Curator
)

// Compat names our nodes so that contenders of another library honour them. All processes should agree on it.
func Compat(layout Layout) Option { return func(o *options) { o.layout = layout } }
