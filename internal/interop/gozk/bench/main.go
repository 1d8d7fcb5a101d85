//go:build unix

// Bench measures go-zookeeper/zk on one connection, for internal/interop/clientbench, which measures docent's client in
// the same way and compares. It prints one line of JSON for each case.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-zookeeper/zk"
)

// result is one case: rates per second, the rest per operation.
type result struct {
	Op                         string
	Goroutines                 int
	Rate, Allocs, Bytes, Usecs float64
}

type silent struct{}

func (silent) Printf(string, ...any) {}

func main() {
	addr := flag.String("addr", "", "server, `HOST:PORT`")
	length := flag.Duration("time", 700*time.Millisecond, "length of each case")
	only := flag.String("case", "", "only this case, such as get/16")
	flag.Parse()
	c, _, err := zk.Connect([]string{*addr}, 10*time.Second, zk.WithLogger(silent{}))
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	root := fmt.Sprintf("/bench-%d", os.Getpid())
	data := make([]byte, 1024)
	if _, err := c.Create(root, data, 0, zk.WorldACL(zk.PermAll)); err != nil {
		log.Fatal(err)
	}
	acl := zk.WorldACL(zk.PermAll)
	var n atomic.Int64
	for _, op := range []struct {
		name string
		do   func() error
	}{
		{"get", func() error { _, _, err := c.Get(root); return err }},
		{"set", func() error { _, err := c.Set(root, data, -1); return err }},
		{"create", func() error { _, err := c.Create(fmt.Sprint(root, "/", n.Add(1)), data, 0, acl); return err }},
	} {
		for _, goroutines := range []int{1, 16, 256} {
			if *only == "" || *only == fmt.Sprint(op.name, "/", goroutines) {
				json.NewEncoder(os.Stdout).Encode(measure(op.name, goroutines, *length, op.do))
			}
		}
	}
}

// measure runs do from some goroutines for a while, behind a quarter of that to warm up.
func measure(op string, goroutines int, length time.Duration, do func() error) result {
	load(goroutines, length/4, do)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu, began := cpuTime(), time.Now()
	ops := load(goroutines, length, do)
	took, cpu := time.Since(began), cpuTime()-cpu
	runtime.ReadMemStats(&after)
	return result{
		op, goroutines, ops / took.Seconds(), float64(after.Mallocs-before.Mallocs) / ops,
		float64(after.TotalAlloc-before.TotalAlloc) / ops, float64(cpu.Microseconds()) / ops,
	}
}

func load(goroutines int, length time.Duration, do func() error) float64 {
	var wg sync.WaitGroup
	var sum atomic.Int64
	end := time.Now().Add(length)
	for range goroutines {
		wg.Go(func() {
			n := int64(0)
			for ; time.Now().Before(end); n++ {
				if err := do(); err != nil {
					log.Fatal(err)
				}
			}
			sum.Add(n)
		})
	}
	wg.Wait()
	return float64(sum.Load())
}

// cpuTime is what this process has used of the machine's processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
