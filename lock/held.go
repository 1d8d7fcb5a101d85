package lock

import (
	"context"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/recipes"
)

// closeTime bounds Close: a few round trips to an ensemble that is there.
const closeTime = 3 * time.Second

// Held is a lock that is held, or was. The methods may be called by several goroutines at once.
type Held struct {
	hold    *recipes.Hold
	ctx     context.Context
	asked   sync.Once
	revoked chan struct{}
}

func (h *Held) begin(q *queue, hold *recipes.Hold, m mode) {
	h.hold, h.ctx = hold, q.mark(hold.Context(), m)
}

// Context ends when the lock is no longer ours, right before anybody else can hold it. Do the work under it. The cause
// is ErrReleased after Unlock, ErrLockLost when our node was deleted, client.ErrSuspended with LoseOnSuspend, ErrNotAlive
// with WithHeartbeat, else what became of the session: client.ErrSessionDeadline, ErrSessionExpired or ErrClosed.
func (h *Held) Context() context.Context { return h.ctx }

// Token is the fencing token: it grows from holder to holder of a path. Give it to the resource with every request, and
// let it refuse a token that is lower than one it has seen.
func (h *Held) Token() uint64 { return h.hold.Token() }

// Session is the session the lock is held through.
func (h *Held) Session() *client.Session { return h.hold.Session() }

// Valid tells whether the lock is ours at this moment, as far as can be known without asking a server. It is cheap.
func (h *Held) Valid() bool { return h.hold.Valid() }

// Lost tells whether it ended otherwise than by Unlock.
func (h *Held) Lost() bool { return h.hold.Lost() }

// Txn begins a transaction that fails, as a whole, if the lock is no longer ours: a late holder cannot write.
func (h *Held) Txn() *client.Txn { return h.hold.Txn() }

// Revoked is closed when somebody has politely asked for the lock, by Mutex.Revoke or Curator's Revoker. Nothing else
// happens: it is up to the holder to finish and unlock.
func (h *Held) Revoked() <-chan struct{} { return h.revoked }

// Unlock ends the context and lets the next one in. Nil means that our node is gone, also if it was before (see Lost),
// or goes with its session, which has ended. ErrReleasePending means that ctx ended, or the connection was lost, before
// that was confirmed: it goes on in the background. It may be called again.
func (h *Held) Unlock(ctx context.Context) error { return h.hold.Release(ctx) }

// Close is Unlock within three seconds, for defer.
func (h *Held) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	return h.Unlock(ctx)
}

// notice is called with the data that somebody has put into our node.
func (h *Held) notice(data []byte) {
	if string(data) == revoke {
		h.asked.Do(func() { close(h.revoked) })
	}
}
