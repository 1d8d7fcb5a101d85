package replica_test

import (
	"testing"
	"time"

	"github.com/docent-io/docent/server/internal/replica"
	"github.com/docent-io/docent/server/internal/storage"
)

func TestSingleServerInMemoryIsReadyAtOnce(t *testing.T) {
	m := newCounters()
	start := time.Now()
	r, err := replica.Open(replica.Config{ID: 1, Store: storage.Memory(1), Machine: m, Logger: logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	nd := &node{id: 1, r: r, m: m}
	write(t, nd, 7, 1, 1)
	t.Logf("first write after %v", time.Since(start))
	write(t, nd, 7, 2, 1000)
	if got := m.state()[7]; got != 1001 {
		t.Errorf("counter = %d, want 1001", got)
	}
}

func TestThreeServersWriteThroughEach(t *testing.T) {
	start := time.Now()
	c := newCluster(t, 3, false, nil)
	write(t, c.nodes[2], 3, 1, 1)
	t.Logf("first write after %v", time.Since(start))
	for _, nd := range c.nodes[:2] {
		write(t, nd, nd.id, 1, 500)
	}
	c.same(map[uint64]uint64{1: 500, 2: 500, 3: 1})
}
