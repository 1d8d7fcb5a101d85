// Contend takes turns under docent's lock, or as an elected leader, at the orders of a test; see the test in the folder above for the orders, and
// for the programs that do the same with the locks of others.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/leader"
	"github.com/docent-io/docent/lock"
)

func main() {
	log.SetFlags(0)
	kazoo := flag.Bool("kazoo", false, "use kazoo's names, instead of Curator's")
	flag.Parse()
	layout := lock.LayoutCurator
	if *kazoo {
		layout = lock.LayoutKazoo
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var order, addr, path, counter, names string
		var n, ms int
		var err error
		if fmt.Sscanf(in.Text(), "terms %s %s %s %d %s", &addr, &path, &counter, &n, &names); n > 0 {
			err = terms(addr, path, counter, n, layouts[names])
			fmt.Println("done")
		} else if fmt.Sscanf(in.Text(), "turns %s %s %s %d", &addr, &path, &counter, &n); n > 0 {
			err = turns(addr, path, counter, n, lock.Compat(layout))
			fmt.Println("done")
		} else if _, err = fmt.Sscanf(in.Text(), "%s %s %s %d %d", &order, &addr, &path, &n, &ms); err == nil {
			err = bench(addr, path, n, time.Duration(ms)*time.Millisecond, order == "relock")
		}
		if err != nil {
			log.Fatalf("%s: %v", in.Text(), err)
		}
	}
}

func dial(addr string) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return client.Dial(ctx, client.Config{Servers: strings.Split(addr, ","), SessionTimeout: 20 * time.Second})
}

// turns enters n times, and adds one to the counter each time.
func turns(addr, path, counter string, n int, o lock.Option) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	m := lock.New(c, path, o)
	for range n {
		held, err := m.Lock(context.Background())
		if err != nil {
			return err
		}
		if err := addOne(counter); err != nil {
			return err
		}
		if err := held.Unlock(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

// layouts are those of elections, by the names the tests give them.
var layouts = map[string]leader.Layout{
	"latch": leader.LayoutLatch, "selector": leader.LayoutSelector, "kazoo": leader.LayoutKazoo,
}

// terms leads n times, and adds one to the counter each time.
func terms(addr, path, counter string, n int, layout leader.Layout) error {
	c, err := dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	for range n {
		term, err := leader.Campaign(context.Background(), c, path, leader.Compat(layout))
		if err != nil {
			return err
		}
		if err := addOne(counter); err != nil {
			return err
		}
		if err := term.Resign(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

// addOne reads, sleeps and writes; whoever is inside as well meets the marker, or spoils the counter.
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

// bench lets n contenders, each with a session of its own, take turns for d, and prints how many turns took how many
// nanoseconds. A %d in the path gives each a lock of its own. Who relocks sends a release and the next acquire in one
// flight.
func bench(addr, path string, n int, d time.Duration, relock bool) error {
	var all []*lock.Mutex
	for i := range n {
		c, err := dial(addr)
		if err != nil {
			return err
		}
		defer c.Close()
		all = append(all, lock.New(c, strings.ReplaceAll(path, "%d", strconv.Itoa(i))))
	}
	var wg sync.WaitGroup
	var entered atomic.Int64
	began := time.Now()
	for _, m := range all {
		wg.Go(func() {
			turns := oneByOne
			if relock {
				turns = onAndOn
			}
			if err := turns(m, func() bool { entered.Add(1); return time.Since(began) < d }); err != nil {
				log.Fatal(err)
			}
		})
	}
	wg.Wait()
	fmt.Println("done", entered.Load(), time.Since(began).Nanoseconds())
	return nil
}

// oneByOne takes turns until more says that there are enough.
func oneByOne(m *lock.Mutex, more func() bool) error {
	for again := true; again; {
		held, err := m.Lock(context.Background())
		if err != nil {
			return err
		}
		again = more()
		if err := held.Unlock(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

// onAndOn is oneByOne, but each turn ends as the next place is taken.
func onAndOn(m *lock.Mutex, more func() bool) error {
	held, err := m.Lock(context.Background())
	for err == nil && more() {
		held, err = m.Relock(context.Background(), held)
	}
	if err != nil {
		return err
	}
	return held.Unlock(context.Background())
}
