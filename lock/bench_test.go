package lock_test

import (
	"context"
	"sync"
	"testing"

	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/server/servertest"
)

// BenchmarkMutex_Uncontended takes and releases a lock that nobody else wants: two round trips, each a write.
func BenchmarkMutex_Uncontended(b *testing.B) {
	srv := servertest.New(b)
	m := lock.New(srv.Dial(b), "/locks/x")
	b.ReportAllocs()
	for b.Loop() {
		held, err := m.Lock(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		if err := held.Unlock(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMutex_HandOver passes a lock round among 50 sessions that all want it all the time.
func BenchmarkMutex_HandOver(b *testing.B) {
	const contenders = 50
	srv := servertest.New(b)
	turns := make(chan struct{})
	var wg sync.WaitGroup
	for range contenders {
		m := lock.New(srv.Dial(b), "/locks/x")
		wg.Go(func() {
			for range turns {
				held, err := m.Lock(context.Background())
				if err != nil {
					b.Error(err)
					continue
				}
				if err := held.Unlock(context.Background()); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for b.Loop() {
		turns <- struct{}{}
	}
	close(turns)
	wg.Wait()
}
