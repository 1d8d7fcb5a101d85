package servertest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// seeds hands out seeds to several goroutines, and sums up.
type seeds struct {
	first, last uint64
	want        int // how many must count; 0: no matter

	mu      sync.Mutex // guards the fields below
	at      uint64
	ran     int
	counted int
	stopped bool
	steps   map[string]int
}

func newSeeds(want int, env string) (*seeds, error) {
	q := &seeds{first: 1, last: uint64(20 * want), want: want, steps: make(map[string]int)}
	if env != "" {
		a, b, ok := strings.Cut(env, "-")
		var err error
		if q.first, err = strconv.ParseUint(a, 10, 64); err != nil {
			return nil, err
		}
		if q.last, q.want = q.first, 0; ok {
			if q.last, err = strconv.ParseUint(b, 10, 64); err != nil {
				return nil, err
			}
		}
	}
	q.at = q.first
	return q, nil
}

func (q *seeds) next() (uint64, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped || q.at > q.last || q.want > 0 && q.counted >= q.want {
		return 0, false
	}
	q.at++
	return q.at - 1, true
}

// stop lets no further seed run.
func (q *seeds) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
}

func (q *seeds) report(counts bool, trace []Happening) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ran++
	if counts {
		q.counted++
	}
	for _, h := range trace {
		q.steps[h.Step]++
	}
}

// short tells whether too few counted.
func (q *seeds) short() bool { return q.counted < q.want }

func (q *seeds) String() string {
	faults := 0
	var each []string
	for _, name := range slices.Sorted(maps.Keys(q.steps)) {
		faults += q.steps[name]
		each = append(each, fmt.Sprintf("%s %d", name, q.steps[name]))
	}
	return fmt.Sprintf("%d schedules of the %d seeds from %d to %d, %d faults: %s",
		q.counted, q.ran, q.first, q.at-1, faults, strings.Join(each, ", "))
}
