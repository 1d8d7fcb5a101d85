package server

import (
	"sync"

	"github.com/docent-io/docent/server/internal/storage"
)

// Lab makes things go wrong, or slowly. It is for tests: package servertest is made of it.
type Lab struct {
	// Memory, if given, takes the place of a data folder: what the server has to remember survives it there.
	Memory *Memory
	// BeforeStore, if given, is called before each write to the log. A slow disk waits in it.
	BeforeStore func()
	// BeforeApply, if given, is called before entries of the log are applied. A server that lags behind waits in it; its
	// reads go on.
	BeforeApply func()
}

// Memory is a data folder in memory. It belongs to one server, which may be started again with it after it has stopped.
// Its zero value is empty.
type Memory struct {
	mu    sync.Mutex // guards store
	store *storage.Store
}

// open returns the store as a start of member id finds it.
func (m *Memory) open(id uint64) *storage.Store {
	if m == nil {
		return storage.Memory(id)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.store == nil {
		m.store = storage.Memory(id)
	} else {
		m.store = m.store.Restarted()
	}
	return m.store
}
