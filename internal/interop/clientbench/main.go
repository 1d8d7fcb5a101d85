//go:build unix

// Clientbench compares docent's client with go-zookeeper/zk: in one run, in turns, on one connection each to the same
// server in a process of its own, with nodes of 1 KiB. It prints medians and ratios as a table.
//
//	make bench-client
//
// The server is the least one can do (echo), so that what is measured is the client, or docent's in memory.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	var (
		rounds = flag.Int("rounds", 5, "times each client is measured")
		length = flag.Duration("time", 700*time.Millisecond, "length of each case")
		kinds  = flag.String("servers", "echo,docent", "servers to measure with")
		kind   = flag.String("serve", "", "only serve: echo or docent")
		only   = flag.String("case", "", "only this case, such as get/16")
		addr   = flag.String("measure", "", "only measure docent's client with the server at `HOST:PORT`")
	)
	flag.Parse()
	switch {
	case *kind != "":
		serve(*kind)
	case *addr != "":
		measureDocent(*addr, *only, *length)
	default:
		if err := compare(strings.Split(*kinds, ","), *only, *rounds, *length); err != nil {
			log.Fatal(err)
		}
	}
}

// cases are what is measured, the two clients in turns: a machine's mood lasts for longer than a case.
var cases = []string{"get/1", "get/16", "get/256", "set/1", "set/16", "set/256", "create/1", "create/16", "create/256"}

// key is a case of one client.
type key struct {
	client, op string
	goroutines int
}

func compare(kinds []string, only string, rounds int, length time.Duration) error {
	dir, err := os.MkdirTemp("", "clientbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	gozk := filepath.Join(dir, "gozk")
	build := exec.Command("go", "build", "-o", gozk, "./bench")
	build.Dir = "internal/interop/gozk"
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build in %s (run this in the repository's folder): %w\n%s", build.Dir, err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, kind := range kinds {
		all := make(map[key][]result)
		for _, k := range cases {
			if only != "" && k != only {
				continue
			}
			for range rounds {
				for name, argv := range map[string][]string{"docent": {self, "-measure"}, "gozk": {gozk, "-addr"}} {
					if err := round(all, name, kind, k, self, argv, length); err != nil {
						return err
					}
				}
			}
		}
		print(kind, all)
	}
	return nil
}

// round measures one case of one client, with a server of its own.
func round(all map[key][]result, name, kind, only, self string, argv []string, length time.Duration) error {
	server := exec.Command(self, "-serve", kind)
	server.Stderr = os.Stderr
	in, err := server.StdinPipe()
	if err != nil {
		return err
	}
	out, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer server.Wait()
	defer in.Close() // ends it
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("server %s: %w", kind, err)
	}
	measured := exec.Command(argv[0], argv[1], strings.TrimSpace(addr), "-time", length.String(), "-case", only)
	measured.Stderr = os.Stderr
	text, err := measured.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for dec := json.NewDecoder(bytes.NewReader(text)); dec.More(); {
		var r result
		if err := dec.Decode(&r); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		k := key{name, r.Op, r.Goroutines}
		all[k] = append(all[k], r)
	}
	return nil
}

// print prints a table; ratios are docent's figures over those of go-zookeeper/zk.
func print(kind string, all map[key][]result) {
	fmt.Printf("\nserver: %s; docent / go-zookeeper (ratio)\n\n", kind)
	fmt.Println("| op | goroutines | op/s | CPU µs/op | allocs/op | B/op |")
	fmt.Println("|---|---:|---:|---:|---:|---:|")
	for _, op := range []string{"get", "set", "create"} {
		for _, n := range []int{1, 16, 256} {
			if len(all[key{"docent", op, n}]) == 0 {
				continue
			}
			a, b := all[key{"docent", op, n}], all[key{"gozk", op, n}]
			fmt.Printf("| %s | %d", op, n)
			for _, figure := range []func(result) float64{
				func(r result) float64 { return r.Rate }, func(r result) float64 { return r.Usecs },
				func(r result) float64 { return r.Allocs }, func(r result) float64 { return r.Bytes },
			} {
				x, y := median(a, figure), median(b, figure)
				fmt.Printf(" | %.4g / %.4g (%.2f)", x, y, x/y)
			}
			fmt.Println(" |")
		}
	}
}

func median(list []result, figure func(result) float64) float64 {
	values := make([]float64, len(list))
	for i, r := range list {
		values[i] = figure(r)
	}
	slices.Sort(values)
	if len(values) == 0 {
		return 0
	}
	return values[len(values)/2]
}
