package barrier_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/barrier"
	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server/servertest"
)

// history is what the members of one barrier were told, by generation.
type history struct {
	mu      sync.Mutex
	entered map[int]map[string]bool           // who was told to be in
	crashed map[int]map[string]bool           // of them: whose session ended before they had left
	reports map[int]map[string]barrier.Report // what those who left were told
	lost    map[string]bool                   // whose session ended while entering: these were told nothing
}

func (h *history) note(m map[int]map[string]bool, gen int, who string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m[gen] == nil {
		m[gen] = make(map[string]bool)
	}
	m[gen][who] = true
}

func (h *history) report(who string, r barrier.Report) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reports[r.Generation] == nil {
		h.reports[r.Generation] = make(map[string]barrier.Report)
	}
	h.reports[r.Generation][who] = r
}

// check holds everything that was said against everything else.
func (h *history) check(t *testing.T, n int) (generations int) {
	for gen, reports := range h.reports {
		generations++
		first := ""
		for who, r := range reports {
			all := append(slices.Clone(r.Left), r.Crashed...)
			slices.Sort(all)
			if len(slices.Compact(slices.Clone(all))) != n {
				t.Errorf("generation %d: %s was told of %v, which are not %d members", gen, who, r, n)
			}
			if first == "" {
				first = fmt.Sprint(r)
			}
			if fmt.Sprint(r) != first {
				t.Errorf("generation %d: reports %v and %s", gen, r, first)
			}
			if !slices.Contains(r.Left, who) {
				t.Errorf("generation %d: %s has left, but not by its report %v", gen, who, r)
			}
			for _, in := range all {
				if !h.entered[gen][in] && !h.lost[in] {
					t.Errorf("generation %d: %s was counted and not told: %v", gen, in, r)
				}
			}
			for _, c := range r.Crashed {
				if !h.crashed[gen][c] && !h.lost[c] {
					t.Errorf("generation %d: %s is said to have crashed: %v", gen, c, r)
				}
			}
			for in := range h.entered[gen] {
				if !slices.Contains(all, in) {
					t.Errorf("generation %d: %s was let in beside %v", gen, in, r)
				}
			}
		}
	}
	for gen, in := range h.entered {
		if len(in) > n {
			t.Errorf("generation %d let in %d of %d: %v", gen, len(in), n, in)
		}
	}
	return generations
}

// use enters and leaves once, with contexts that end at any point of it.
func (h *history) use(ctx context.Context, c *client.Client, n int, random *rand.Rand) error {
	who := c.Identity()
	entering, cancel := context.WithCancel(ctx)
	defer cancel()
	if random.IntN(3) == 0 {
		time.AfterFunc(time.Duration(random.IntN(5000))*time.Microsecond, cancel)
	}
	m, err := barrier.New(c, step, n, barrier.Next()).Enter(entering)
	switch {
	case err == nil:
	case sessionEnded(err):
		h.mu.Lock()
		h.lost[who] = true
		h.mu.Unlock()
		return nil
	case errors.Is(err, context.Canceled) && ctx.Err() == nil:
		return nil
	default:
		return err
	}
	h.note(h.entered, m.Generation(), who)
	r, err := m.Leave(ctx)
	switch {
	case err == nil:
		h.report(who, r)
	case errors.Is(err, barrier.ErrReportGone): // the others go on without those whose connection is lost
	case sessionEnded(err):
		h.note(h.crashed, m.Generation(), who)
	default:
		return err
	}
	return nil
}

func sessionEnded(err error) bool {
	return errors.Is(err, client.ErrSessionExpired) || errors.Is(err, client.ErrSessionDeadline)
}

// Members that give up, crash and lose replies at any point never disagree: B1, B2 and B3 under random faults.
func TestDouble_B1_B2_B3_Random(t *testing.T) {
	testkit.CheckLeaks(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	srv := servertest.New(t)
	const n, crowd = 3, 5
	h := &history{
		entered: make(map[int]map[string]bool), crashed: make(map[int]map[string]bool),
		reports: make(map[int]map[string]barrier.Report), lost: make(map[string]bool),
	}
	busy, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()

	var clients []*client.Client
	var all sync.WaitGroup
	for i := range crowd {
		// A short timeout makes for short pauses between attempts to connect.
		c := srv.Dial(t, named(string(rune('a'+i))), func(cfg *client.Config) { cfg.SessionTimeout = 2 * time.Second })
		clients = append(clients, c)
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for busy.Err() == nil {
				if err := h.use(busy, c, n, random); err != nil && busy.Err() == nil {
					t.Errorf("%s: %v", c.Identity(), err)
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(seed, crowd))
	for busy.Err() == nil {
		switch random.IntN(6) {
		case 0:
			srv.Expire(clients[random.IntN(crowd)])
		default:
			srv.Inject(servertest.DropReply("multi", 1+random.IntN(20)))
		}
		select {
		case <-time.After(time.Duration(random.IntN(60)) * time.Millisecond):
		case <-busy.Done():
		}
	}
	all.Wait()
	if generations := h.check(t, n); generations < 3 {
		t.Errorf("only %d generations came to an end", generations)
	} else {
		t.Logf("%d generations; in %d of them somebody crashed", generations, len(h.crashed))
	}
}
