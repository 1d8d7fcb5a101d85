package expiry_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/docent-io/docent/server/internal/expiry"
)

const (
	ms   = time.Millisecond
	tick = 100 * ms
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// ticker calls Overdue every tick.
type ticker struct {
	*expiry.Tracker
	now  time.Time
	next time.Time
}

func newTicker() *ticker {
	return &ticker{Tracker: expiry.New(start, tick), now: start, next: start.Add(tick)}
}

// until lets time pass to start+d, and returns who was overdue at which time since the start.
func (k *ticker) until(d time.Duration) (ids []int64, at []time.Duration) {
	for ; !k.next.After(start.Add(d)); k.next = k.next.Add(tick) {
		for _, id := range k.Overdue(k.next) {
			ids, at = append(ids, id), append(at, k.next.Sub(start))
		}
	}
	k.now = start.Add(d)
	return ids, at
}

func TestOverdue_AfterTheTimeoutWithinATick(t *testing.T) {
	k := newTicker()
	k.Add(1, 1000*ms, start)
	if ids, _ := k.until(1000 * ms); ids != nil { // exactly is not more
		t.Fatalf("overdue: %v", ids)
	}
	if !k.Touch(1, k.now) {
		t.Fatal("a touch in time came too late")
	}
	k.until(1500 * ms)
	k.Touch(1, k.now)
	k.Touch(1, start) // an older one changes nothing
	ids, at := k.until(5000 * ms)
	if !slices.Equal(ids[:1], []int64{1}) || at[0] <= 2500*ms || at[0] > 2600*ms {
		t.Fatalf("overdue: %v at %v, want 1 between 2.5 and 2.6 s", ids, at)
	}
	// Named again every ten ticks until it is removed, and touches come too late.
	if len(at) < 3 || at[1]-at[0] < 10*tick || at[1]-at[0] > 11*tick || at[2]-at[1] > 11*tick {
		t.Errorf("named at %v", at)
	}
	if k.Touch(1, k.now) {
		t.Error("a touch of a closing session counted")
	}
	k.Remove(1)
	k.Remove(1)
	if ids, _ := k.until(10000 * ms); ids != nil || k.Len() != 0 || k.Touch(1, k.now) {
		t.Errorf("after Remove: overdue %v, %d sessions", ids, k.Len())
	}
}

// Who re-attaches begins anew, with another timeout, though the session was being closed.
func TestAdd_Again(t *testing.T) {
	k := newTicker()
	k.Add(1, 300*ms, start)
	if ids, _ := k.until(400 * ms); len(ids) != 1 {
		t.Fatalf("overdue: %v", ids)
	}
	k.Add(1, 5000*ms, k.now)
	if !k.Touch(1, k.now) || k.Len() != 1 {
		t.Fatal("the session is still closing")
	}
	if ids, at := k.until(6000 * ms); len(ids) != 1 || at[0] <= 5400*ms || at[0] > 5500*ms {
		t.Errorf("overdue: %v at %v", ids, at)
	}
	k.Add(1, 200*ms, k.now) // shorter than before: the next look must come sooner
	if ids, at := k.until(6500 * ms); len(ids) != 1 || at[0] > 6300*ms {
		t.Errorf("overdue: %v at %v", ids, at)
	}
}

// A leader that slept finds nobody overdue because of it.
func TestOverdue_LateTickMovesDeadlines(t *testing.T) {
	k := newTicker()
	k.Add(1, 1000*ms, start)
	k.until(500 * ms)
	for _, asleep := range []time.Duration{30 * time.Second, 200 * ms} {
		before := k.next
		k.next = k.next.Add(asleep)
		if ids := k.Overdue(k.next); ids != nil {
			t.Fatalf("overdue right after a sleep of %v: %v", asleep, ids)
		}
		k.next = k.next.Add(tick)
		k.now = before.Add(asleep)
	}
	// 500 ms had passed before the sleeps, 200 ms of ticks between and behind them: 300 ms are left.
	left := start.Add(500*ms + 30*time.Second + 200*ms + 200*ms)
	ids, at := k.until(60 * time.Second)
	if len(ids) == 0 || at[0] <= left.Sub(start)+300*ms || at[0] > left.Sub(start)+400*ms {
		t.Errorf("overdue: %v at %v, want within a tick behind %v", ids[:1], at[:1], left.Sub(start)+300*ms)
	}
}

func TestOverdue_JitterIsNotLate(t *testing.T) {
	tr := expiry.New(start, tick)
	tr.Add(1, 10*time.Second, start)
	r := rand.New(rand.NewPCG(1, 1))
	for i := 1; ; i++ {
		now := start.Add(time.Duration(i)*tick + time.Duration(r.IntN(20))*ms)
		if tr.Overdue(now) != nil {
			if d := now.Sub(start); d <= 10*time.Second || d > 10*time.Second+2*tick {
				t.Errorf("overdue after %v", d)
			}
			return
		}
	}
}

// Random sessions against the definition: never before the timeout since the last touch, at most a tick after it.
func TestTracker_AgainstModel(t *testing.T) {
	type session struct {
		heard   time.Time
		timeout time.Duration
		closing bool
	}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		tr, model := expiry.New(start, tick), make(map[int64]*session)
		for now := start.Add(ms); now.Before(start.Add(20 * time.Second)); now = now.Add(ms) {
			id := r.Int64N(20)
			switch r.IntN(40) {
			case 0:
				timeout := time.Duration(200+r.IntN(3000)) * ms
				tr.Add(id, timeout, now)
				model[id] = &session{heard: now, timeout: timeout}
			case 1:
				tr.Remove(id)
				delete(model, id)
			case 2, 3, 4:
				s := model[id]
				if got, want := tr.Touch(id, now), s != nil && !s.closing; got != want {
					t.Fatalf("Touch(%d) = %v, want %v", id, got, want)
				} else if got {
					s.heard = now
				}
			}
			if now.Sub(start)%tick != 0 {
				continue
			}
			named := tr.Overdue(now)
			for id, s := range model {
				overdue := now.Sub(s.heard) > s.timeout
				if !s.closing && slices.Contains(named, id) != overdue {
					t.Fatalf("%d, heard %v ago with timeout %v, named: %v", id, now.Sub(s.heard), s.timeout, !overdue)
				}
				s.closing = s.closing || overdue
			}
			for _, id := range named {
				if model[id] == nil {
					t.Fatalf("%d was named and is not known", id)
				}
			}
		}
		if tr.Len() != len(model) {
			t.Errorf("%d sessions, want %d", tr.Len(), len(model))
		}
	}
}

// BenchmarkSecond is one second of 100,000 sessions with a timeout of 30 s that ping every 5 s, at 10 ticks.
func BenchmarkSecond(b *testing.B) {
	const n = 100_000
	now := start
	tr := expiry.New(now, tick)
	for id := range int64(n) {
		tr.Add(id, 30*time.Second, now)
	}
	next := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		for range 10 {
			now = now.Add(tick)
			for range n / 50 {
				next = (next + 1) % n
				tr.Touch(next, now)
			}
			if tr.Overdue(now) != nil {
				b.Fatal("a session that pings is overdue")
			}
		}
	}
}
