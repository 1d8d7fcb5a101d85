package storage_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/docent-io/docent/server/internal/storage"
	"github.com/docent-io/docent/server/internal/storage/memdisk"
	"github.com/hashicorp/raft"
)

// sized picks by how tests run: under the race detector, as always, or at full size (make storage-faults).
func sized(race, always, full int) int {
	switch {
	case os.Getenv("DOCENT_FULL") != "":
		return full
	case raceEnabled:
		return race
	}
	return always
}

// state is what a member has on its disk.
type state struct {
	log       []*raft.Log
	stable    map[string]string
	snapIndex uint64
	snap      string
}

func (s state) last() uint64 {
	if len(s.log) == 0 {
		return s.snapIndex
	}
	return s.log[len(s.log)-1].Index
}

// started is the state as a start leaves it.
func (s state) started() state {
	if len(s.log) > 0 && s.last() < s.snapIndex {
		s.log = nil
	}
	return s
}

func (s state) differs(o state) error {
	if err := equal(s.log, o.log); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if !maps.Equal(s.stable, o.stable) {
		return fmt.Errorf("stable values %v, want %v", s.stable, o.stable)
	}
	if s.snapIndex != o.snapIndex || s.snap != o.snap {
		return fmt.Errorf("snapshot %d of %d bytes, want %d of %d", s.snapIndex, len(s.snap), o.snapIndex, len(o.snap))
	}
	return nil
}

// member does to a store what raft does, and knows what has been acknowledged.
type member struct {
	t     testing.TB
	rnd   *rand.Rand
	disk  *memdisk.Disk
	store *storage.Store
	was   state  // acknowledged
	may   state  // if what is under way has been done
	phase string // what is under way
	term  uint64
	begun uint64 // the incarnation seen last
}

const memberDir = "/srv/docent"

func newMember(t testing.TB, seed uint64) *member {
	m := &member{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), disk: memdisk.New(seed), term: 1}
	m.was.stable = map[string]string{}
	m.may = m.was
	return m
}

func (m *member) open() error {
	m.phase = "start"
	s, err := storage.Open(memberDir, 1, storage.Options{SegmentBytes: 4 << 10, Disk: m.disk.Mount()})
	m.store = s
	return err
}

var keys = []string{"CurrentTerm", "LastVoteTerm", "LastVoteCand"}

// read returns what the store has now.
func (m *member) read() (s state) {
	s.stable = map[string]string{}
	for _, k := range keys {
		v, err := m.store.Stable().Get([]byte(k))
		if err != nil {
			m.t.Fatal(err)
		}
		if v != nil {
			s.stable[k] = string(v)
		}
	}
	s.log = contents(m.t, m.store.Log())
	list, err := m.store.Snapshots().List()
	if err != nil || len(list) > 1 {
		m.t.Fatalf("snapshots %v: %v", list, err)
	}
	if len(list) == 1 {
		s.snapIndex, s.snap = list[0].Index, readSnapshot(m.t, m.store)
	}
	return s
}

// do carries out one call that changes the state to next. It returns false if the call failed.
func (m *member) do(phase string, next state, f func() error) bool {
	m.phase, m.may = phase, next
	if err := f(); err != nil || m.store.Err() != nil {
		return false
	}
	m.was = next
	return true
}

func (m *member) append() bool {
	next, last := m.was, m.was.last()
	var batch []*raft.Log
	for i := range 1 + m.rnd.IntN(4) {
		batch = append(batch, entry(last+1+uint64(i), m.term, m.rnd.IntN(900)))
	}
	next.log = append(slices.Clip(next.log), batch...)
	return m.do("append", next, func() error { return m.store.Log().StoreLogs(batch) })
}

// conflict is what a new leader does to a tail that it does not have.
func (m *member) conflict() bool {
	if len(m.was.log) == 0 {
		return true
	}
	next, cut := m.was, m.rnd.IntN(len(m.was.log))
	from, to := m.was.log[cut].Index, m.was.last()
	next.log = slices.Clip(m.was.log[:cut])
	m.term++
	return m.do("conflict", next, func() error { return m.store.Log().DeleteRange(from, to) }) && (len(next.log) == 0 || m.append())
}

func (m *member) vote() bool {
	m.term++
	for _, kv := range [][2]string{{"CurrentTerm", ""}, {"LastVoteTerm", ""}, {"LastVoteCand", strings.Repeat(fmt.Sprintf("127.0.0.%d:2888 ", m.term%3), 1+m.rnd.IntN(100))}} {
		next := m.was
		next.stable = maps.Clone(m.was.stable)
		set := func() error { return m.store.Stable().Set([]byte(kv[0]), []byte(kv[1])) }
		if kv[1] == "" {
			kv[1] = string([]byte{0, 0, 0, 0, byte(m.term >> 24), byte(m.term >> 16), byte(m.term >> 8), byte(m.term)})
			set = func() error { return m.store.Stable().SetUint64([]byte(kv[0]), m.term) }
		}
		next.stable[kv[0]] = kv[1]
		if !m.do("vote", next, set) {
			return false
		}
	}
	return true
}

// snapshot makes a snapshot up to index, with an entry appended in the middle if there is a log to append to.
func (m *member) snapshot(phase string, index uint64) bool {
	size := 2000
	if m.rnd.IntN(16) == 0 {
		size = 40_000 // more than is written at once
	}
	content := strings.Repeat(fmt.Sprint(index, " "), m.rnd.IntN(size))
	m.phase, m.may = phase, m.was
	sink, err := m.store.Snapshots().Create(1, index, m.term, raft.Configuration{}, 1, nil)
	if err != nil {
		return false
	}
	half := m.rnd.IntN(len(content) + 1)
	if _, err := io.WriteString(sink, content[:half]); err != nil {
		return errors.Join(err, sink.Cancel()) == nil
	}
	if phase == "snapshot" && !m.append() {
		sink.Cancel() // as the process would not do any more
		return false
	}
	m.phase = phase
	if m.rnd.IntN(8) == 0 {
		return sink.Cancel() == nil
	}
	if _, err := io.WriteString(sink, content[half:]); err != nil {
		return errors.Join(err, sink.Cancel()) == nil
	}
	next := m.was
	next.snapIndex, next.snap = index, content
	return m.do(phase, next, sink.Close)
}

// compact is a snapshot of one's own, and the log cut behind it.
func (m *member) compact() bool {
	if len(m.was.log) == 0 {
		return true
	}
	first := m.was.log[0].Index
	index := m.was.log[m.rnd.IntN(len(m.was.log))].Index
	if index <= m.was.snapIndex {
		return true
	}
	before := m.was.snapIndex
	if !m.snapshot("snapshot", index) {
		return false
	}
	if m.was.snapIndex == before {
		return true // given up
	}
	next := m.was
	next.log = slices.DeleteFunc(slices.Clone(next.log), func(e *raft.Log) bool { return e.Index <= index })
	return m.do("compact", next, func() error { return m.store.Log().DeleteRange(first, index) })
}

// install is a snapshot of the leader's, and the log emptied.
func (m *member) install() bool {
	before, first := m.was.snapIndex, uint64(1)
	if len(m.was.log) > 0 {
		first = m.was.log[0].Index
	}
	if !m.snapshot("install", m.was.last()+1+uint64(m.rnd.IntN(30))) {
		return false
	}
	if m.was.snapIndex == before || len(m.was.log) == 0 {
		return true
	}
	next, last := m.was, m.was.last()
	next.log = nil
	return m.do("empty", next, func() error { return m.store.Log().DeleteRange(first, last) })
}

func (m *member) stop() bool {
	m.phase, m.may = "stop", m.was
	return m.store.Close() == nil && m.open() == nil
}

// step does one thing of those that members do. It returns false if the disk failed.
func (m *member) step() bool {
	switch n := m.rnd.IntN(16); {
	case n < 7:
		return m.append()
	case n < 9:
		return m.conflict()
	case n < 11:
		return m.vote()
	case n < 14:
		return m.compact()
	case n < 15:
		return m.install()
	default:
		return m.stop()
	}
}

// recover starts the member again after a crash, with up to two more of them while it starts, and checks what it finds.
func (m *member) recover(name string) {
	m.t.Helper()
	for range m.rnd.IntN(3) {
		left := m.rnd.IntN(30)
		m.disk.Hook(func(op memdisk.Op) error {
			if left--; left == 0 {
				m.end()
				return memdisk.ErrCrashed
			}
			return nil
		})
		m.may = m.may.started() // a start may have done so and crashed
		if m.open() == nil {
			m.store.Kill()
			m.end()
		}
	}
	m.disk.Hook(nil)
	var shown state
	for _, how := range []string{"crash", "power cut after that"} {
		if err := m.open(); err != nil {
			m.t.Fatalf("%s: start after the %s: %v", name, how, err)
		}
		got := m.read()
		if how == "crash" {
			errWas, errMay := got.differs(m.was.started()), got.differs(m.may.started())
			if errWas != nil && errMay != nil {
				m.t.Fatalf("%s: after the crash: %v; or %v", name, errWas, errMay)
			}
			m.was = got
			if m.rnd.IntN(2) == 0 && !m.append() { // which goes into files whose names may be new
				m.t.Fatalf("%s: %s fails after the crash: %v", name, m.phase, m.store.Err())
			}
			shown = m.was
			m.disk.PowerCut()
			continue
		}
		if err := got.differs(shown); err != nil {
			m.t.Fatalf("%s: what a start has shown is gone after a power cut: %v", name, err)
		}
	}
	if now := m.store.Incarnation(); now <= m.begun {
		m.t.Fatalf("%s: incarnation %d after %d", name, now, m.begun)
	}
	m.begun = m.store.Incarnation()
	m.was, m.may = shown, shown
}

// end ends the process in one of three ways.
func (m *member) end() {
	switch m.rnd.IntN(4) {
	case 0:
		m.disk.Kill()
	case 1:
		m.disk.PowerCut()
	default:
		m.disk.Crash()
	}
}

// point names the place of an operation: what was under way, and before or after what.
func (m *member) point(op memdisk.Op) string {
	if !op.Changes() {
		return ""
	}
	when := "before"
	if op.Done {
		when = "after"
	}
	phase, what := m.phase, thing(op)
	switch {
	case phase == "start":
	case what == "spare" || what == "segment header":
		phase = "new segment"
	case what == "segment" && (op.Kind == memdisk.Rename || op.Kind == memdisk.Remove):
		phase = "old segment"
	}
	return fmt.Sprintf("%s: %s %s of %s", phase, when, op.Kind, what)
}

func thing(op memdisk.Op) string {
	base := path.Base(op.Path)
	switch inLog := path.Base(path.Dir(op.Path)) == "log"; {
	case inLog && op.Kind == memdisk.Write && op.Off == 0:
		return "segment header"
	case inLog && op.Kind == memdisk.Write && op.Len%(64<<10) == 0:
		return "zeros ahead"
	case inLog && op.Kind == memdisk.Write:
		return "batch"
	case inLog && strings.HasPrefix(base, "spare-"):
		return "spare"
	case inLog:
		return "segment"
	case base == "stable" && op.Kind == memdisk.Write:
		return fmt.Sprintf("copy %d of stable", op.Off/4096)
	case strings.HasSuffix(base, ".tmp") && base != "stable.tmp":
		return "unfinished snapshot"
	case strings.Count(base, "-") == 2:
		return "snapshot"
	}
	return base
}

// Whatever place a member crashes at, and however, it starts again with everything that was acknowledged, and with nothing
// that was not asked for.
func TestCrashPoints(t *testing.T) {
	times, seed := sized(1, 3, 20), uint64(0)
	hits := make(map[string]int)
	for _, name := range crashPoints {
		for tries := 0; hits[name] < times; tries++ {
			if tries > 40*times {
				t.Fatalf("%s: reached %d times in %d runs", name, hits[name], tries)
			}
			seed++
			m := newMember(t, seed)
			if m.crashAt(name, 1+m.rnd.IntN(3)) {
				hits[name]++
				m.recover(fmt.Sprintf("%s, seed %d", name, seed))
				for range 10 { // and it goes on from there
					if !m.step() {
						t.Fatalf("%s, seed %d: %s fails after the crash: %v", name, seed, m.phase, m.store.Err())
					}
				}
				if err := m.read().differs(m.was); err != nil {
					t.Fatalf("%s, seed %d: %v", name, seed, err)
				}
			}
		}
	}
	t.Logf("%d places, each at least %d times", len(crashPoints), times)
}

// crashAt works until it comes to a place for the nth time, and crashes there.
func (m *member) crashAt(name string, nth int) bool {
	hit := false
	m.disk.Hook(func(op memdisk.Op) error {
		if hit || m.point(op) != name {
			return nil
		}
		if nth--; nth > 0 {
			return nil
		}
		hit = true
		m.end()
		return memdisk.ErrCrashed
	})
	ok := m.open() == nil
	for i := 0; ok && i < 120; i++ {
		ok = m.step()
	}
	if !ok && !hit {
		m.t.Fatalf("%s fails though nothing has crashed", m.phase)
	}
	return hit
}

// No place is left out of the list.
func TestCrashPointsAreAll(t *testing.T) {
	found := make(map[string]bool)
	for seed := range uint64(6) {
		m := newMember(t, seed)
		m.disk.Hook(func(op memdisk.Op) error {
			if p := m.point(op); p != "" {
				found[p] = true
			}
			return nil
		})
		if err := m.open(); err != nil {
			t.Fatal(err)
		}
		for range 300 {
			if !m.step() {
				t.Fatal(m.phase, m.store.Err())
			}
		}
	}
	for _, p := range slices.Sorted(maps.Keys(found)) {
		if !slices.Contains(crashPoints, p) {
			t.Errorf("not in the list: %q,", p)
		}
	}
}

// The checks see a disk that says it has synced and has not.
func TestCrashChecksSeeASkippedSync(t *testing.T) {
	for _, what := range []string{"log", "stable", "snapshot"} {
		seen := false
		for seed := uint64(0); seed < 50 && !seen; seed++ {
			m := newMember(t, seed)
			if err := m.open(); err != nil {
				t.Fatal(err)
			}
			for range 20 {
				m.step()
			}
			// What is written last is put back to what it was before.
			before := m.disk.Clone(seed)
			ok := true
			switch what {
			case "log":
				ok = m.append()
			case "stable":
				ok = m.vote()
			case "snapshot":
				ok = m.compact()
			}
			if !ok {
				t.Fatal(m.phase)
			}
			m.disk = before
			m.disk.PowerCut()
			if err := m.open(); err != nil {
				t.Fatal(err)
			}
			seen = m.read().differs(m.was.started()) != nil
		}
		if !seen {
			t.Errorf("a lost write of the %s is not seen", what)
		}
	}
}

// A disk on which something fails, once: the store ends there or goes on, and acknowledges nothing that is lost later.
func TestOneFailure(t *testing.T) {
	failures := 0
	for seed := range uint64(sized(30, 150, 5000)) {
		m := newMember(t, seed)
		if err := m.open(); err != nil {
			t.Fatal(err)
		}
		left, failed, final := 1+m.rnd.IntN(150), false, false
		m.disk.Hook(func(op memdisk.Op) error {
			if op.Done || !op.Changes() {
				return nil
			}
			if m.store.Err() != nil && op.Kind != memdisk.Remove && !strings.Contains(op.Path, "snapshots") {
				t.Errorf("seed %d: %s of %s after the failure", seed, op.Kind, op.Path)
			}
			left--
			failed = failed || left == 0
			if left == 0 {
				final = m.phase != "start" && m.phase != "stop" && !strings.Contains(op.Path, "snapshots")
				return errDisk
			}
			return nil
		})
		for i := 0; i < 200 && !failed; i++ {
			m.step()
		}
		if !failed {
			continue
		}
		failures++
		if final && !errors.Is(m.store.Err(), errDisk) {
			t.Errorf("seed %d: the store goes on after %s failed", seed, m.phase)
		}
		may := m.may
		for range 5 { // nothing is acknowledged any more by what has failed
			if m.store == nil || m.store.Err() == nil {
				break
			}
			if m.append() {
				t.Errorf("seed %d: an entry was taken after the failure", seed)
			}
		}
		m.may = may
		if m.store != nil {
			m.store.Kill()
		}
		m.end()
		m.recover(fmt.Sprintf("seed %d", seed))
	}
	t.Logf("%d failures, nothing acknowledged was lost", failures)
}

// A full disk ends the use of the store or fails a snapshot. Once there is room, the next start finds all that was acknowledged.
func TestDiskFull(t *testing.T) {
	places := uint64(sized(20, 100, 1000))
	full := make(map[string]int) // what was under way when there was no room
	for seed := range places {
		m := newMember(t, seed)
		if err := m.open(); err != nil {
			t.Fatal(err)
		}
		for range m.rnd.IntN(40) {
			if !m.step() {
				t.Fatal(m.phase, m.store.Err())
			}
		}
		m.disk.Limit(m.disk.Used() + int64(m.rnd.IntN(300<<10)))
		wrote := true
		for i := 0; i < 300 && wrote; i++ {
			wrote = m.step()
		}
		if !wrote {
			full[m.phase]++
		}
		if m.store != nil {
			m.store.Kill()
		}
		m.disk.Kill()
		if m.open() == nil { // a start on the full disk succeeds or fails, and breaks nothing
			m.store.Kill()
		}
		m.disk.Limit(0)
		m.end()
		m.recover(fmt.Sprintf("seed %d", seed))
		for range 20 {
			if !m.step() {
				t.Fatalf("seed %d: %s with room again: %v", seed, m.phase, m.store.Err())
			}
		}
	}
	hit := 0
	for _, n := range full {
		hit += n
	}
	t.Logf("the disk was full at %d places, while %v; each member went on once there was room", hit, full)
	if hit < int(places)/2 {
		t.Errorf("only %d of %d disks were full", hit, places)
	}
}

// A first start that crashes at any place leaves a folder that can be started on.
func TestCrashAtTheFirstStart(t *testing.T) {
	for n := 1; ; n++ {
		reached := false
		for seed := range uint64(10) {
			m := newMember(t, seed)
			left := n
			m.disk.Hook(func(op memdisk.Op) error {
				if left--; left == 0 {
					reached = true
					m.end()
					return memdisk.ErrCrashed
				}
				return nil
			})
			if m.open() == nil && reached { // at its very end
				m.store.Kill()
			}
			if reached {
				m.recover(fmt.Sprintf("operation %d of the first start, seed %d", n, seed))
			}
		}
		if !reached {
			t.Logf("%d operations, each before and after", n/2)
			return
		}
	}
}

// A copy of the values that is torn while the other one is: the start writes over the one that is not whole first.
func TestTornCopies(t *testing.T) {
	for seed := range uint64(300) {
		m := newMember(t, seed)
		if err := m.open(); err != nil {
			t.Fatal(err)
		}
		set := func(v byte) error {
			return m.store.Stable().Set([]byte("LastVoteCand"), []byte(strings.Repeat(string(v), 3000)))
		}
		if err := set('a'); err != nil {
			t.Fatal(err)
		}
		tear := func(nth int) { // the crash comes when the nth copy is written and not synced
			m.disk.Hook(func(op memdisk.Op) error {
				if op.Kind != memdisk.Write || !op.Done || path.Base(op.Path) != "stable" {
					return nil
				}
				if nth--; nth == 0 {
					m.disk.Crash()
					return memdisk.ErrCrashed
				}
				return nil
			})
		}
		tear(1 + int(seed%2))
		if set('b') == nil {
			t.Fatal("written though the disk has crashed")
		}
		tear(1 + int(seed/2%3)) // the one that was read is written again, and then both
		if m.open() == nil {
			t.Fatal("started though the disk has crashed")
		}
		m.disk.Hook(nil)
		if err := m.open(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		v, err := m.store.Stable().Get([]byte("LastVoteCand"))
		if err != nil || len(v) != 3000 || v[0] != 'a' && (v[0] != 'b') {
			t.Errorf("seed %d: %.9q…, %v", seed, v, err)
		}
	}
}

// A sync of the values fails, and the process that starts next sees what was written, though the disk has it not: a crash
// while it counts its start leaves what was acknowledged all the same.
func TestTornCopyAfterAFailedSync(t *testing.T) {
	for seed := range uint64(300) {
		m := newMember(t, seed)
		if err := m.open(); err != nil {
			t.Fatal(err)
		}
		set := func(v byte) error {
			return m.store.Stable().Set([]byte("LastVoteCand"), []byte(strings.Repeat(string(v), 3000)))
		}
		if err := set('a'); err != nil {
			t.Fatal(err)
		}
		nth := 1 + int(seed%2)
		m.disk.Hook(func(op memdisk.Op) error {
			if op.Kind == memdisk.Sync && !op.Done && path.Base(op.Path) == "stable" {
				if nth--; nth == 0 {
					return errDisk
				}
			}
			return nil
		})
		if set('b') == nil {
			t.Fatal("written though a sync has failed")
		}
		m.store.Kill()
		m.disk.Kill()
		nth = 1 + int(seed/2%3)
		m.disk.Hook(func(op memdisk.Op) error {
			if op.Kind == memdisk.Write && op.Done && path.Base(op.Path) == "stable" {
				if nth--; nth == 0 {
					m.disk.Crash()
					return memdisk.ErrCrashed
				}
			}
			return nil
		})
		if m.open() == nil {
			t.Fatal("started though the disk has crashed")
		}
		m.disk.Hook(nil)
		if err := m.open(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		v, err := m.store.Stable().Get([]byte("LastVoteCand"))
		if err != nil || len(v) != 3000 || v[0] != 'a' && (v[0] != 'b') {
			t.Errorf("seed %d: %.9q…, %v", seed, v, err)
		}
	}
}

// A spare that a crash has left is not in the way of a segment that is retired later.
func TestSpareLeftByACrash(t *testing.T) {
	d := logDisk(t)
	l := logOn(t, d, 4<<10)
	last := uint64(0)
	put := func() error {
		err := l.StoreLog(entry(last+1, 1, 700))
		if err == nil {
			last++
		}
		return err
	}
	d.Hook(func(op memdisk.Op) error {
		if op.Kind == memdisk.Rename && !op.Done && last > 8 {
			d.Kill()
			return memdisk.ErrCrashed
		}
		return nil
	})
	for put() == nil {
	}
	d.Hook(nil)
	l = logOn(t, d, 4<<10)
	for i := range 100 { // retired as soon as another is begun, so that the spare that was left stays last in line, up to the end
		var err error
		if i < 60 {
			err = l.DeleteRange(1, last-1)
		}
		if err = errors.Join(err, put()); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
	}
}
