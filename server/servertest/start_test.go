package servertest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server/servertest"
)

// firstWrite returns the median time from nothing to a first write, on sockets.
func firstWrite(t *testing.T, runs int, start func(t *testing.T) *client.Client) time.Duration {
	t.Helper()
	var took []time.Duration
	for range runs {
		t.Run("run", func(t *testing.T) {
			from := time.Now()
			create(t, start(t), "/a")
			took = append(took, time.Since(from))
		})
	}
	slices.Sort(took)
	t.Logf("first writes after %v", took)
	return took[runs/2]
}

// The servers of a test cost next to nothing. Not parallel: it takes the time.
func TestStartIsQuick(t *testing.T) {
	one := firstWrite(t, 9, func(t *testing.T) *client.Client { return servertest.New(t).Dial(t) })
	if one > slowness*20*time.Millisecond {
		t.Errorf("one server: %v, want 20ms", one)
	}
	three := firstWrite(t, 9, func(t *testing.T) *client.Client { return servertest.NewCluster(t, 3).Dial(t) })
	if three > slowness*300*time.Millisecond {
		t.Errorf("three servers: %v, want 300ms", three)
	}
}

func BenchmarkStart(b *testing.B) {
	for name, o := range map[string][]servertest.Option{"sockets": nil, "pipes": {servertest.NoSockets()}, "disk": {servertest.OnDisk()}} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				srv := servertest.MustStart(o...)
				srv.MustDial()
				srv.Close()
			}
		})
	}
}
