package replica_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/docent-io/docent/server/internal/replica"
)

// BenchmarkWrite is the time from Propose to the proposer's own apply.
func BenchmarkWrite(b *testing.B) {
	for _, disk := range []bool{false, true} {
		for _, servers := range []int{1, 3} {
			for _, role := range []string{"leader", "follower"} {
				for _, writers := range []int{1, 16, 64, 1024} {
					if servers == 1 && role == "follower" {
						continue
					}
					name := map[bool]string{false: "memory", true: "disk"}[disk]
					b.Run(name+"/"+map[int]string{1: "one", 3: "three"}[servers]+"/"+role+"/"+map[int]string{1: "sync1", 16: "sync16", 64: "sync64", 1024: "sync1024"}[writers], func(b *testing.B) {
						c := newCluster(b, servers, disk, func(cfg *replica.Config) { cfg.Machine = answerer{newCounters()} })
						nd := c.leader()
						if role == "follower" {
							nd = c.other(nd)
						}
						var left atomic.Int64
						left.Store(int64(b.N))
						b.ResetTimer()
						var wg sync.WaitGroup
						for range writers {
							wg.Go(func() {
								done := make(chan struct{}, 1)
								cmd := make([]byte, 1<<10)
								for left.Add(-1) >= 0 {
									if err := nd.r.Propose(done, cmd); err != nil {
										b.Error(err)
										return
									}
									<-done
								}
							})
						}
						wg.Wait()
						b.StopTimer()
						b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
						for _, nd := range c.nodes {
							nd.r.Kill()
						}
					})
				}
			}
		}
	}
}

// answerer only answers.
type answerer struct{ *counters }

func (answerer) Apply(_ int64, batches []replica.Batch) {
	for _, b := range batches {
		for i := range b.Commands() {
			if b.Waiters != nil {
				b.Waiters[i].(chan struct{}) <- struct{}{}
			}
		}
	}
}

// BenchmarkConfirm is a Call through a follower, alone and shared by many.
func BenchmarkConfirm(b *testing.B) {
	c := newCluster(b, 3, false, nil)
	nd := c.other(c.leader())
	for nd.r.Sync(withTimeout(b, 1e9)) != nil {
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := nd.r.Call(withTimeout(b, 1e9), nil); err != nil {
				b.Error(err)
			}
		}
	})
}
