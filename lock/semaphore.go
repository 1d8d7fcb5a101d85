package lock

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/zpath"
	"github.com/docent-io/docent/recipes"
)

// The directories below a semaphore's node, and what the names of leases end in (Curator: InterProcessSemaphoreV2).
const (
	semaphoreQueue  = "locks"
	semaphoreLeases = "leases"
	kindLease       = "lease-"
)

// ErrPermits: the semaphore has another number of permits than the caller believes, or fewer than it wants.
var ErrPermits = errors.New("number of permits")

// Semaphore describes permits of which a fixed number can be held at a time. Whoever came first is served first, also
// who wants many: nobody overtakes. It holds nothing, and may be used by several goroutines at once.
//
//	/seats                                 "8", the number of permits; persistent
//	/seats/locks/_c_9f…-lock-0000000041    next to be served: it alone watches the leases
//	/seats/locks/_c_27…-lock-0000000042    waits for 41
//	/seats/leases/_c_3a…-lease-0000000007  {"id":"host:4711","weight":2,"slots":[0,3]}
//
// The first in the queue turns its place into a lease in one transaction, so there is no moment with both or neither.
type Semaphore struct {
	queue
	permits atomic.Int64
}

// NewSemaphore describes the semaphore at path. It does no I/O. The first to acquire sets the number of permits, and
// all others must give the same; 0 means whatever is set. Where Curator came first nothing is set, for it keeps the number
// in its programs.
func NewSemaphore(c *client.Client, path string, permits int, o ...Option) *Semaphore {
	s := &Semaphore{queue: newQueue(c, path, o)}
	s.permits.Store(int64(permits))
	return s
}

// Permit is a number of permits that are held, or were.
type Permit struct {
	*Held
	slots []int
}

// Slot is the number of the permit, from 0: no two that are held at a time have the same. It is the lowest of Slots.
func (p *Permit) Slot() int { return p.slots[0] }

// Slots are the numbers of the permits, one for each, in order.
func (p *Permit) Slots() []int { return append([]int(nil), p.slots...) }

// Acquire waits for weight permits at once, and never holds fewer meanwhile. For the rest it is as Mutex.Lock. It fails
// with ErrPermits when there are not that many in all, or another number than NewSemaphore was given.
func (s *Semaphore) Acquire(ctx context.Context, weight int) (*Permit, error) {
	return s.acquirePermit(ctx, weight, true)
}

// TryAcquire is Acquire without waiting: when there are not enough free permits, or others wait for theirs, it fails
// with ErrLocked.
func (s *Semaphore) TryAcquire(ctx context.Context, weight int) (*Permit, error) {
	return s.acquirePermit(ctx, weight, false)
}

func (s *Semaphore) acquirePermit(ctx context.Context, weight int, wait bool) (*Permit, error) {
	if weight < 1 {
		return nil, fmt.Errorf("semaphore %s: %w: %d are wanted", s.path, ErrPermits, weight)
	}
	p, err := s.serve(ctx, weight, wait)
	if err != nil {
		return nil, fmt.Errorf("semaphore %s: %w", s.path, err)
	}
	return p, nil
}

// Resize sets the number of permits. Nobody who holds loses theirs: a smaller number only keeps new ones out. Those who
// wait go on with the new number, and so does this Semaphore; others have to be made with it, or with 0.
func (s *Semaphore) Resize(ctx context.Context, permits int) error {
	if permits < 1 {
		return fmt.Errorf("resize semaphore %s: %w: %d", s.path, ErrPermits, permits)
	}
	data := []byte(strconv.Itoa(permits))
	_, err := s.c.Create(ctx, s.path, data, client.Parents())
	if errors.Is(err, client.ErrNodeExists) {
		var node client.Node
		if node, err = s.c.Get(ctx, s.path); err == nil {
			if _, err = parsePermits(node); err == nil {
				_, err = s.c.Set(ctx, s.path, data, -1) // the last word counts
			}
		}
	}
	if err != nil {
		return fmt.Errorf("resize semaphore %s: %w", s.path, err)
	}
	s.permits.Store(int64(permits))
	return nil
}

// Inspect tells who holds permits, in which slots, and who waits; see Mutex.Inspect.
func (s *Semaphore) Inspect(ctx context.Context) (Queue, error) {
	leases, queue := s.at(semaphoreLeases), s.at(semaphoreQueue)
	state, err := leases.inspect(ctx, s.leaseLine())
	if err != nil {
		return Queue{}, err
	}
	waiting, err := queue.inspect(ctx, s.queueLine())
	if err != nil {
		return Queue{}, err
	}
	return Queue{
		Holders: append(state.Holders, state.Waiting...), // a lease is held
		Waiting: append(waiting.Holders, waiting.Waiting...),
	}, nil
}

// Break takes the permits away from the holder with the given token; see Mutex.Break.
func (s *Semaphore) Break(ctx context.Context, token uint64) error {
	state, err := s.Inspect(ctx)
	if err != nil {
		return err
	}
	return s.deleteHolder(ctx, state.Holders, token)
}

func (s *Semaphore) at(name string) *queue {
	return &queue{c: s.c, path: zpath.Join(s.path, name), opt: s.opt}
}

func (s *Semaphore) queueLine() recipes.Line {
	return recipes.Line{Dir: zpath.Join(s.path, semaphoreQueue), Kind: kindMutex}
}

func (s *Semaphore) leaseLine() recipes.Line {
	return recipes.Line{Dir: zpath.Join(s.path, semaphoreLeases), Kind: kindLease, Strict: s.opt.strict, Alive: s.opt.alive}
}

// parsePermits reads the number of permits from a semaphore's node.
func parsePermits(node client.Node) (int, error) {
	n, err := strconv.Atoi(string(node.Data))
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%w: %s holds %q, not a number of permits", ErrWrongKind, node.Path, node.Data)
	}
	return n, nil
}

// lease is what stands in a lease's node. Those of Curator hold something else, and count for one permit without a slot.
type lease struct {
	Tag
	Weight int   `json:"weight"`
	Slots  []int `json:"slots"`
}

func parseLease(data []byte) lease {
	var l lease
	if json.Unmarshal(data, &l) != nil || l.Weight < 1 || len(l.Slots) != l.Weight {
		return lease{Weight: 1}
	}
	return l
}

// room finds the lowest free slots for weight permits among n, or reports that there are not enough.
func room(leases map[string]lease, n, weight int) (slots []int, ok bool) {
	used, taken := 0, make(map[int]bool)
	for _, l := range leases {
		used += l.Weight
		for _, slot := range l.Slots {
			taken[slot] = true
		}
	}
	if used+weight > n {
		return nil, false
	}
	for slot := 0; len(slots) < weight; slot++ {
		if !taken[slot] {
			slots = append(slots, slot)
		}
	}
	return slots, true
}
