// Contend takes turns under go-zookeeper's lock, at the orders of a test: see internal/interop/contend.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
)

func main() {
	log.SetFlags(0)
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var order, addr, path, counter string
		var n, ms int
		var err error
		if fmt.Sscanf(in.Text(), "turns %s %s %s %d", &addr, &path, &counter, &n); n > 0 {
			err = turns(addr, path, counter, n)
			fmt.Println("done")
		} else if _, err = fmt.Sscanf(in.Text(), "%s %s %s %d %d", &order, &addr, &path, &n, &ms); err == nil {
			err = bench(addr, path, n, time.Duration(ms)*time.Millisecond)
		}
		if err != nil {
			log.Fatalf("%s: %v", in.Text(), err)
		}
	}
}

func dial(addr string) (*zk.Conn, error) {
	c, events, err := zk.Connect(strings.Split(addr, ","), 20*time.Second, zk.WithLogInfo(false), zk.WithLogger(silent{}))
	if err != nil {
		return nil, err
	}
	for e := range events {
		if e.State == zk.StateHasSession {
			break
		}
	}
	return c, nil
}

type silent struct{}

func (silent) Printf(string, ...any) {}

func turns(addr, path, counter string, n int) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	l := zk.NewLock(c, path, zk.WorldACL(zk.PermAll))
	for range n {
		if err := l.Lock(); err != nil {
			return err
		}
		if err := addOne(counter); err != nil {
			return err
		}
		if err := l.Unlock(); err != nil {
			return err
		}
	}
	return nil
}

func addOne(counter string) error {
	marker, err := os.OpenFile(counter+".inside", os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("two inside: %w", err)
	}
	marker.Close()
	text, err := os.ReadFile(counter)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(string(text))
	if err != nil {
		return err
	}
	time.Sleep(time.Millisecond)
	if err := os.WriteFile(counter, []byte(strconv.Itoa(n+1)), 0o600); err != nil {
		return err
	}
	return os.Remove(counter + ".inside")
}

func bench(addr, path string, n int, d time.Duration) error {
	var all []*zk.Lock
	for i := range n {
		c, err := dial(addr)
		if err != nil {
			return err
		}
		defer c.Close()
		all = append(all, zk.NewLock(c, strings.ReplaceAll(path, "%d", strconv.Itoa(i)), zk.WorldACL(zk.PermAll)))
	}
	var wg sync.WaitGroup
	var entered atomic.Int64
	began := time.Now()
	for _, l := range all {
		wg.Go(func() {
			for time.Since(began) < d {
				if err := l.Lock(); err != nil {
					log.Fatal(err)
				}
				entered.Add(1)
				if err := l.Unlock(); err != nil {
					log.Fatal(err)
				}
			}
		})
	}
	wg.Wait()
	fmt.Println("done", entered.Load(), time.Since(began).Nanoseconds())
	return nil
}
