package storage

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Memory makes an empty store that forgets everything with the process. Its incarnation is the time: it cannot count its
// starts, but a later start must have a greater one.
func Memory(id uint64) *Store {
	now := time.Now()
	return &Store{
		log: &memLog{}, stable: &memStable{values: make(map[string][]byte), numbers: make(map[string]uint64)},
		snapshots: &memSnapshots{}, id: id, born: uint64(now.UnixMilli()),
		incarnation: uint64(now.UnixNano()), failed: make(chan struct{}), failure: func() error { return nil }, release: func(bool) error { return nil },
	}
}

// Restarted returns the store in memory of a member that has stopped as its next start finds it.
func (s *Store) Restarted() *Store {
	next := *s
	if d, ok := s.log.(delayedLog); ok {
		next.log = d.Log
	}
	next.incarnation = max(uint64(time.Now().UnixNano()), s.incarnation+1)
	return &next
}

// BeforeStore has f called before each write to the log: it waits as a slow disk would. It is for tests, and to be
// called before the store is used.
func (s *Store) BeforeStore(f func()) { s.log = delayedLog{s.log, f} }

type delayedLog struct {
	Log
	before func()
}

func (l delayedLog) StoreLog(e *raft.Log) error {
	l.before()
	return l.Log.StoreLog(e)
}

func (l delayedLog) StoreLogs(entries []*raft.Log) error {
	l.before()
	return l.Log.StoreLogs(entries)
}

// memLog is a log in memory, without gaps.
type memLog struct {
	mu    sync.RWMutex // guards first, logs and bytes
	first uint64
	logs  []raft.Log
	bytes int64
}

func (m *memLog) IsMonotonic() bool { return true }

func (m *memLog) FirstIndex() (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if len(m.logs) == 0 {
		return 0, nil
	}
	return m.first, nil
}

func (m *memLog) LastIndex() (uint64, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.last(), nil
}

// last needs mu.
func (m *memLog) last() uint64 {
	if len(m.logs) == 0 {
		return 0
	}
	return m.first + uint64(len(m.logs)) - 1
}

func (m *memLog) Size() int64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.bytes
}

func (m *memLog) GetLog(index uint64, out *raft.Log) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if index < m.first || index-m.first >= uint64(len(m.logs)) {
		return raft.ErrLogNotFound
	}
	*out = m.logs[index-m.first]
	return nil
}

func (m *memLog) StoreLog(e *raft.Log) error { return m.StoreLogs([]*raft.Log{e}) }

func (m *memLog) StoreLogs(entries []*raft.Log) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range entries {
		if last := m.last(); last == 0 {
			m.first = e.Index
		} else if e.Index != last+1 {
			return fmt.Errorf("entry %d does not follow entry %d", e.Index, last)
		}
		m.logs = append(m.logs, *e)
		m.bytes += entrySize(e)
	}
	return nil
}

func entrySize(e *raft.Log) int64 { return rowSize + int64(len(e.Data)) + int64(len(e.Extensions)) }

func (m *memLog) DeleteRange(lo, hi uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := m.last()
	switch {
	case last == 0 || hi < m.first || lo > last:
		return nil
	case lo <= m.first:
		n := min(hi-m.first+1, uint64(len(m.logs)))
		m.logs, m.first = append([]raft.Log(nil), m.logs[n:]...), m.first+n
	case hi >= last:
		m.logs = append([]raft.Log(nil), m.logs[:lo-m.first]...)
	default:
		return errors.New("delete entries out of the middle of the log")
	}
	m.bytes = 0
	for i := range m.logs {
		m.bytes += entrySize(&m.logs[i])
	}
	return nil
}

func (m *memLog) Newest(bytes int64) (n uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for i := len(m.logs) - 1; i >= 0; i-- {
		if bytes -= entrySize(&m.logs[i]); bytes < 0 {
			break
		}
		n++
	}
	return n
}

// memStable keeps raft's values in memory.
type memStable struct {
	mu      sync.Mutex // guards both maps
	values  map[string][]byte
	numbers map[string]uint64
}

func (m *memStable) Set(key, val []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.values[string(key)] = append([]byte(nil), val...)
	return nil
}

func (m *memStable) Get(key []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[string(key)], nil
}

func (m *memStable) SetUint64(key []byte, val uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.numbers[string(key)] = val
	return nil
}

func (m *memStable) GetUint64(key []byte) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.numbers[string(key)], nil
}
