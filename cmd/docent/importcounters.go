package main

import (
	"context"
	"errors"

	"github.com/docent-io/docent/client"
)

const (
	// counterName is the child by whose creation a counter is moved.
	counterName = "_docent-import-counter"
	// counterSteps is how far one transaction moves it.
	counterSteps = 500
)

// counters moves the counters of nodes to where they were at least, for --counters: the next sequential child then comes
// behind all that ever were. Only creating children moves them, so that many are created, and deleted at once.
func (m *importRun) counters(ctx context.Context, records []exportRecord) error {
	if !m.flags.counters || m.flags.dry {
		return nil
	}
	for i := range records {
		if err := m.counter(ctx, &records[i]); err != nil {
			return err
		}
	}
	return nil
}

func (m *importRun) counter(ctx context.Context, r *exportRecord) error {
	if r.Counter <= 0 {
		return nil
	}
	path := m.path(r)
	for lost := 0; ; {
		stat, ok, err := m.c.Exists(ctx, path)
		if err != nil {
			return err
		}
		left := int64(r.Counter) - int64(counterOf(stat))
		if !ok || left <= 0 {
			return nil
		}
		t := m.c.Txn()
		for range min(left, counterSteps) {
			t.Create(rooted(path, counterName), nil).Delete(rooted(path, counterName), -1)
		}
		if _, err := t.Commit(ctx); err != nil {
			var refused *client.TxnError
			if lost++; errors.As(err, &refused) || !unanswered(err) || ctx.Err() != nil || lost == importTries {
				return err
			}
			continue
		}
		m.told(0)
	}
}

// counterOf returns the number that the next sequential child gets: how many children were ever created. Servers show the
// sum of that and of how many were deleted.
func counterOf(s client.Stat) int32 {
	return int32((int64(s.Cversion) + int64(s.NumChildren)) / 2)
}
