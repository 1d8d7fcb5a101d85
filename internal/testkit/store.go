package testkit

import (
	"fmt"
	"sync"
)

// Store is what turns are taken for, in tests of fencing: those who write show a token, and the Store finds out without
// it who is late. It may be used by several goroutines. The time of a nil Store stands still.
type Store struct {
	admit func(path string, token uint64) error

	mu      sync.Mutex // guards the fields below
	now     int
	began   map[string]int    // when the last of those who wrote to a path began to wait
	highest map[string]uint64 // token that was let in
	refused int
}

// NewStore returns a store that asks admit whether to let in a token.
func NewStore(admit func(path string, token uint64) error) *Store {
	return &Store{admit: admit, began: make(map[string]int), highest: make(map[string]uint64)}
}

// Turn is when somebody began to wait for a turn, and when it was told to have it, in the time of a Store.
type Turn struct{ Began, Granted int }

// Now returns the time, which moves on.
func (s *Store) Now() int {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now++
	return s.now
}

// Write writes to paths. A writer is late if somebody has written since who began to wait when the writer's turn was
// granted already, for that turn is over. It is an error if the late are let in, or others kept out.
func (s *Store) Write(paths []string, token uint64, t Turn) (refused bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, path := range paths {
		no := s.admit(path, token)
		late := s.began[path] > t.Granted
		switch {
		case no == nil && late:
			return false, fmt.Errorf("%s: a late write with token %d was let in", path, token)
		case no != nil && !late && token >= s.highest[path]:
			return false, fmt.Errorf("%s: a write was refused that is not late: %w", path, no)
		case no != nil:
			s.refused++
			return true, nil
		}
		s.began[path], s.highest[path] = max(s.began[path], t.Began), max(s.highest[path], token)
	}
	return false, nil
}

// Refused returns how many writes were refused.
func (s *Store) Refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}
