package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/leader"
	"github.com/docent-io/docent/lock"
)

// held is what holds have in common.
type held interface {
	Context() context.Context
	Session() *client.Session
	Token() uint64
}

// holding is who says that it holds, since when.
type holding struct {
	shared  bool
	weight  int // of permits
	session int64
	token   uint64
	at      time.Duration
}

func (h holding) String() string {
	return fmt.Sprintf("session %#x with token %#x since %v", uint64(h.session), h.token, h.at)
}

// exclusive holds a thing of which there is one. While no session is ended by force, two contexts never live together.
func (w *world) exclusive(r *rand.Rand, roster *testkit.Roster[holding], h held, shared bool) error {
	ctx := h.Context()
	together := roster.Enter(ctx, holding{shared, 0, h.Session().ID(), h.Token(), time.Since(w.start)})
	alone := func(h holding) bool { return !h.shared }
	if len(together) > 1 && !w.plan.forced && slices.ContainsFunc(together, alone) {
		return fmt.Errorf("hold together: %v", together)
	}
	w.spend(r, ctx)
	return nil
}

// spend holds for a while.
func (w *world) spend(r *rand.Rand, ctx context.Context) {
	wait, cancel := context.WithTimeout(ctx, time.Duration(r.IntN(1000))*time.Millisecond)
	defer cancel()
	<-wait.Done()
	w.granted()
}

// release lets go, and does not wait for ever.
func (w *world) release(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	return f(ctx)
}

func (w *world) holdMutex(c *client.Client, r *rand.Rand, roster *testkit.Roster[holding], tokens *fencing) error {
	m := lock.New(c, "/mutex")
	h, err := m.Lock(w.ctx)
	if err != nil {
		return err
	}
	err = w.exclusive(r, roster, h, false)
	if r.IntN(3) == 0 {
		next, again := m.Relock(w.ctx, h)
		if again != nil {
			return errors.Join(err, again)
		}
		h = next
		err = errors.Join(err, w.exclusive(r, roster, h, false))
	}
	begin := h.Txn
	if w.plan.sabotage == noFence {
		w.pause(time.Duration(r.IntN(6)) * time.Second)
		begin = c.Txn
	}
	return errors.Join(err, tokens.write(w, begin, h.Token()), w.release(h.Unlock))
}

func (w *world) holdTerm(c *client.Client, r *rand.Rand, roster *testkit.Roster[holding], tokens *fencing) error {
	t, err := leader.Campaign(w.ctx, c, "/leader")
	if err != nil {
		return err
	}
	err = w.exclusive(r, roster, t, false)
	return errors.Join(err, tokens.write(w, t.Txn, t.Token()), w.release(t.Resign))
}

func (w *world) holdRW(c *client.Client, r *rand.Rand, roster *testkit.Roster[holding]) error {
	m, shared := lock.NewRW(c, "/rw"), r.IntN(2) == 0
	take := m.Lock
	if shared {
		take = m.RLock
	}
	h, err := take(w.ctx)
	if err != nil {
		return err
	}
	err = w.exclusive(r, roster, h, shared)
	if !shared && r.IntN(2) == 0 {
		reads, down := h.Downgrade(w.ctx)
		if down != nil {
			return errors.Join(err, down)
		}
		h = reads
		err = errors.Join(err, w.exclusive(r, roster, h, true))
	}
	return errors.Join(err, w.release(h.Unlock))
}

// holdPermit takes one of two permits, or both: never three are out.
func (w *world) holdPermit(c *client.Client, r *rand.Rand, roster *testkit.Roster[holding]) error {
	weight := 1 + r.IntN(2)
	p, err := lock.NewSemaphore(c, "/semaphore", 2).Acquire(w.ctx, weight)
	if err != nil {
		return err
	}
	out := 0
	together := roster.Enter(p.Context(), holding{true, weight, p.Session().ID(), p.Token(), time.Since(w.start)})
	for _, h := range together {
		out += h.weight
	}
	if out > 2 && !w.plan.forced {
		err = fmt.Errorf("of 2 permits are out: %v", together)
	}
	w.spend(r, p.Context())
	return errors.Join(err, w.release(p.Unlock))
}

// holdAll takes two of three locks at once.
func (w *world) holdAll(c *client.Client, r *rand.Rand, each *[3]testkit.Roster[holding]) error {
	two := r.Perm(len(each))[:2]
	var paths []string
	for _, i := range two {
		paths = append(paths, fmt.Sprint("/locks/", i))
	}
	h, err := lock.LockAll(w.ctx, c, paths)
	if err != nil {
		return err
	}
	for _, i := range two {
		if together := each[i].Enter(h.Context(), holding{false, 0, h.Session().ID(), h.Token(), time.Since(w.start)}); len(together) > 1 && !w.plan.forced {
			err = errors.Join(err, fmt.Errorf("hold %s together: %v", paths[0], together))
		}
	}
	w.spend(r, h.Context())
	return errors.Join(err, w.release(h.Unlock))
}

// playTerms leads once, in a term that may be lost and had again, while others see who leads: newer and newer terms.
func (w *world) playTerms(c *client.Client, player int, r *rand.Rand, roster *testkit.Roster[holding], tokens *fencing) {
	ctx, cancel := context.WithCancel(w.ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		newest := uint64(0)
		for in, err := range leader.Observe(ctx, c, "/terms") {
			if err != nil {
				return // it is over
			}
			if !in.Vacant && in.Token < newest {
				w.t.Errorf("term %d is observed behind %d", in.Token, newest)
			}
			newest = max(newest, in.Token)
		}
	})
	err := leader.Run(w.ctx, c, "/terms", func(ctx context.Context, t *leader.Term) error {
		err := w.exclusive(r, roster, t, false)
		t.Publish(ctx, []byte{byte(player)}) // an error says that the term is over, or may be
		return errors.Join(err, tokens.write(w, t.Txn, t.Token()))
	})
	if err != nil && w.ctx.Err() == nil && !excusable(err) {
		w.t.Errorf("terms: %v", err)
	}
	cancel()
	watching.Wait()
}

// fencing has holders write their token into a node, in a transaction that fails if they hold no more. In the order of the
// writes, tokens never go down: that is mutual exclusion, whatever anybody's clock says.
type fencing struct {
	mu     sync.Mutex // guards writes
	writes []fenced
}

type fenced struct {
	version int32
	token   uint64
}

func (f *fencing) write(w *world, begin func() *client.Txn, token uint64) error {
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	res, err := begin().Set("/fenced", []byte(strconv.FormatUint(token, 10)), -1).Commit(ctx)
	var late *client.TxnError
	if errors.As(err, &late) {
		return nil // refused: somebody else holds, or may
	}
	if err != nil {
		return err
	}
	w.record(func(r *records) { r.fenced++ })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes = append(f.writes, fenced{res[len(res)-1].Stat.Version, token})
	return nil
}

func (f *fencing) check(w *world, _ *client.Client) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortFunc(f.writes, func(a, b fenced) int { return int(a.version) - int(b.version) })
	for i := 1; i < len(f.writes); i++ {
		if f.writes[i].token < f.writes[i-1].token {
			w.t.Errorf("%s: version %d was written with token %d, behind %d", w.plan.recipe, f.writes[i].version, f.writes[i].token, f.writes[i-1].token)
		}
	}
}
