package storage

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"sync"

	"github.com/hashicorp/raft"
)

const (
	defaultSegment = 64 << 20
	minSpares      = 2
	keepBuffer     = 4 << 20
)

// segLog is the log on disk. Everything that changes it is a batch appended to the last segment, deletions too, so
// no step of a change can be half done: either its batch is whole or it never happened. Where each entry lies is kept
// in memory. Segments that hold no entry any more become spares, and are written again in place of new files.
type segLog struct {
	dir    string
	size   int64
	disk   Disk
	failed *failure

	// tail is a token: whoever holds it may write, and use the four fields below.
	tail   chan struct{}
	closed bool
	segs   []*segment // oldest first; the last one is written
	spares []*segment
	buf    []byte

	mu    sync.RWMutex // guards first, recs and bytes
	first uint64       // index of recs[0]
	recs  []record
	bytes int64
}

// failure is a sticky error: the first one stays. A store has one: what fails its log ends the use of its stable store,
// and the other way round.
type failure struct {
	once sync.Once
	ch   chan struct{}
	err  error // set before ch is closed
}

func newFailure() *failure { return &failure{ch: make(chan struct{})} }

func (f *failure) set(err error) error {
	f.once.Do(func() { f.err = err; close(f.ch) })
	return err
}

func (f *failure) get() error {
	select {
	case <-f.ch:
		return f.err
	default:
		return nil
	}
}

// IsMonotonic says that the log takes no gaps.
func (l *segLog) IsMonotonic() bool { return true }

// FirstIndex is the index of the oldest entry, 0 if there is none.
func (l *segLog) FirstIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.recs) == 0 {
		return 0, nil
	}
	return l.first, nil
}

// LastIndex is the index of the newest entry, 0 if there is none.
func (l *segLog) LastIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.last(), nil
}

// last needs mu.
func (l *segLog) last() uint64 {
	if len(l.recs) == 0 {
		return 0
	}
	return l.first + uint64(len(l.recs)) - 1
}

// Size is the number of bytes the entries take.
func (l *segLog) Size() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.bytes
}

func (l *segLog) lookup(index uint64) (record, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if index < l.first || index-l.first >= uint64(len(l.recs)) {
		return record{}, false
	}
	return l.recs[index-l.first], true
}

// GetLog reads an entry. raft.ErrLogNotFound if it is not in the log, ErrDamaged if it is not what was written.
func (l *segLog) GetLog(index uint64, out *raft.Log) error {
	r, ok := l.lookup(index)
	if !ok {
		return raft.ErrLogNotFound
	}
	b := make([]byte, r.data+r.ext)
	_, err := r.seg.f.ReadAt(b, r.off)
	if err == nil && crc32.Checksum(b, castagnoli) != r.crc {
		err = r.seg.damaged(r.off)
	}
	if err != nil {
		if now, ok := l.lookup(index); !ok || now != r {
			return raft.ErrLogNotFound // deleted, and its segment in use again, while we read
		}
		return fmt.Errorf("read entry %d: %w", index, err)
	}
	*out = raft.Log{Index: index, Term: r.term, Type: r.kind, Data: b[:r.data:r.data], AppendedAt: fromNanos(r.appendedAt)}
	if r.ext > 0 {
		out.Extensions = b[r.data:]
	}
	return nil
}

// StoreLog appends one entry; see StoreLogs.
func (l *segLog) StoreLog(e *raft.Log) error { return l.StoreLogs([]*raft.Log{e}) }

// StoreLogs appends entries that follow the last one (or any, if the log is empty), with one write and one sync.
func (l *segLog) StoreLogs(entries []*raft.Log) error {
	if len(entries) == 0 {
		return nil
	}
	l.tail <- struct{}{}
	defer func() { <-l.tail }()
	first := entries[0].Index
	if last, _ := l.LastIndex(); last != 0 && first != last+1 {
		return fmt.Errorf("entry %d does not follow entry %d", first, last)
	}
	recs, err := l.write(header{kind: kindEntries, first: first, last: first + uint64(len(entries)) - 1}, entries)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(first, recs)
	return nil
}

// add needs mu, or to be alone.
func (l *segLog) add(first uint64, recs []record) {
	if len(l.recs) == 0 {
		l.first = first
	}
	l.recs = append(l.recs, recs...)
	for _, r := range recs {
		l.bytes += r.size()
	}
}

// DeleteRange deletes the entries lo..hi, which must be at the start or the end of the log.
func (l *segLog) DeleteRange(lo, hi uint64) error {
	l.tail <- struct{}{}
	defer func() { <-l.tail }()
	l.mu.RLock()
	first, last := l.first, l.last()
	l.mu.RUnlock()
	if last == 0 || hi < first || lo > last {
		return nil
	}
	if lo > first && hi < last {
		return fmt.Errorf("delete entries %d to %d out of the middle of %d to %d", lo, hi, first, last)
	}
	if _, err := l.write(header{kind: kindDelete, first: lo, last: hi}, nil); err != nil {
		return err
	}
	l.mu.Lock()
	l.remove(lo, hi)
	l.mu.Unlock()
	return l.recycle()
}

// remove needs mu, or to be alone. It copies what stays, so that what goes can be collected.
func (l *segLog) remove(lo, hi uint64) {
	if len(l.recs) == 0 || hi < l.first || lo > l.last() {
		return
	}
	if lo <= l.first {
		n := min(hi-l.first+1, uint64(len(l.recs)))
		l.recs, l.first = append([]record(nil), l.recs[n:]...), l.first+n
	} else {
		l.recs = append([]record(nil), l.recs[:lo-l.first]...)
	}
	l.bytes = 0
	for _, r := range l.recs {
		l.bytes += r.size()
	}
}

// Newest is how many of the newest entries fit into so many bytes.
func (l *segLog) Newest(bytes int64) (n uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for i := len(l.recs) - 1; i >= 0; i-- {
		if bytes -= l.recs[i].size(); bytes < 0 {
			break
		}
		n++
	}
	return n
}

// write appends a batch to the last segment, or to a new one if it does not fit. It needs the tail.
func (l *segLog) write(h header, entries []*raft.Log) ([]record, error) {
	if err := l.failed.get(); err != nil {
		return nil, fmt.Errorf("log has failed: %w", err)
	}
	if l.closed {
		return nil, fmt.Errorf("log: %w", fs.ErrClosed)
	}
	recs, err := l.append(h, entries)
	if errors.Is(err, errFull) {
		if err := l.roll(); err != nil {
			return nil, l.failed.set(fmt.Errorf("new log segment: %w", err))
		}
		recs, err = l.append(h, entries)
	}
	return recs, err
}

var errFull = errors.New("segment is full")

func (l *segLog) append(h header, entries []*raft.Log) ([]record, error) {
	seg := l.segs[len(l.segs)-1]
	h.key, h.prev = seg.key, seg.chain
	b, recs, chain, err := appendBatch(l.buf[:0], seg.pos, h, entries)
	if err != nil {
		return nil, err
	}
	if cap(b) <= keepBuffer {
		l.buf = b
	}
	// A batch larger than a segment has one to itself.
	if seg.pos > segmentHeader && seg.pos+int64(len(b)) > l.size {
		return nil, errFull
	}
	if err := seg.write(b, chain); err != nil {
		return nil, l.failed.set(fmt.Errorf("write log segment %s: %w", seg.path, err))
	}
	for i := range recs {
		recs[i].seg = seg
	}
	return recs, nil
}

// roll starts a new segment. It gets its name only when its header is durable, so a segment whose header is bad was damaged.
func (l *segLog) roll() error {
	number, prev := uint64(1), uint32(0)
	if n := len(l.segs); n > 0 {
		number, prev = l.segs[n-1].number+1, l.segs[n-1].chain
	}
	seg, err := l.spare()
	if err != nil {
		return err
	}
	if err := seg.begin(number, prev); err != nil {
		return errors.Join(err, seg.f.Close())
	}
	path := segmentPath(l.dir, number)
	err = l.disk.Rename(seg.path, path)
	if err == nil {
		err = l.disk.SyncDir(l.dir)
	}
	if err != nil {
		return errors.Join(err, seg.f.Close())
	}
	seg.path = path
	l.segs = append(l.segs, seg)
	return nil
}

// spare returns a file to be made a segment.
func (l *segLog) spare() (*segment, error) {
	if n := len(l.spares); n > 0 {
		s := l.spares[n-1]
		l.spares = l.spares[:n-1]
		return s, nil
	}
	path := newPath(l.dir)
	f, err := l.disk.Create(path)
	return &segment{f: f, path: path}, err
}

// recycle turns the oldest segments, while no entry lies in them, into spares. A log is cut when it has grown by so much, and
// will grow by as much again: as many are kept as were cut off at once, and those of a log that was larger go. It needs the tail.
func (l *segLog) recycle() error {
	l.mu.RLock()
	live := l.segs[len(l.segs)-1].number
	if len(l.recs) > 0 {
		live = l.recs[0].seg.number
	}
	l.mu.RUnlock()
	gone := int(live - l.segs[0].number)
	if gone == 0 {
		return nil
	}
	keep := max(gone, minSpares)
	for range gone {
		if err := l.retire(l.segs[0], keep); err != nil {
			return l.failed.set(fmt.Errorf("recycle log segment: %w", err))
		}
		l.segs = l.segs[1:]
	}
	for len(l.spares) > keep {
		if err := l.discard(l.spares[keep]); err != nil {
			return l.failed.set(fmt.Errorf("remove spare log segment: %w", err))
		}
		l.spares = append(l.spares[:keep], l.spares[keep+1:]...)
	}
	return nil
}

// discard removes a file.
func (l *segLog) discard(s *segment) error { return errors.Join(l.disk.Remove(s.path), s.f.Close()) }

// retire takes a segment's name away. That is durable before the next one loses its own, lest a crash leave a gap between
// two segments, and before a spare is written over.
func (l *segLog) retire(s *segment, keep int) error {
	if len(l.spares) >= keep || s.filled > l.size+maxFill {
		if err := l.discard(s); err != nil {
			return err
		}
	} else {
		path := sparePath(l.dir, s.number)
		if err := l.disk.Rename(s.path, path); err != nil {
			return err
		}
		l.spares = append(l.spares, &segment{f: s.f, path: path, filled: s.filled})
	}
	return l.disk.SyncDir(l.dir)
}

// close lets go of the files. A clean close leaves a mark, so that damage to the last entries will not look like a crash.
func (l *segLog) close(clean bool) error {
	l.tail <- struct{}{}
	defer func() { <-l.tail }()
	if l.closed {
		return nil
	}
	l.closed = true
	var errs []error
	if clean && l.failed.get() == nil {
		_, err := l.append(header{kind: kindClose}, nil)
		if !errors.Is(err, errFull) {
			errs = append(errs, err)
		}
	}
	for _, s := range append(l.segs, l.spares...) {
		errs = append(errs, s.f.Close())
	}
	return errors.Join(errs...)
}
