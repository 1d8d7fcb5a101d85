// Gozk checks a ZooKeeper server through go-zookeeper/zk, the Go client most programs use today.
//
// Each check compares a value, a Stat field, an event or an error with what ZooKeeper answers, and prints "ok NAME" or
// "FAIL NAME: got … want …". The last line counts them; the exit code is 1 when one failed.
package main

import (
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

// wait is how long something that should happen may take before it counts as missing.
const wait = 20 * time.Second

func main() {
	addr := flag.String("addr", "", "server to check, `HOST:PORT`")
	other := flag.String("other", "", "another member of its ensemble (default: the same server)")
	timeout := flag.Int("timeout-ms", 4000, "session timeout to ask for")
	flag.Parse()
	if *addr == "" {
		flag.Usage()
		os.Exit(2)
	}
	if *other == "" {
		*other = *addr
	}
	e := &env{
		addr: *addr, other: *other, timeout: time.Duration(*timeout) * time.Millisecond,
		root: "/interop-gozk-" + rand.Text()[:12],
	}
	e.report.names = make(map[string]bool)
	fmt.Println("client go-zookeeper", version())
	c := e.dial(e.addr)
	must(c.Create(e.root, nil, 0, zk.WorldACL(zk.PermAll)))
	for _, s := range []scenario{
		{"nodes", nodes}, {"kinds", kinds}, {"counters", counters}, {"large", large}, {"multi", multi},
		{"acls", acls}, {"watches", watches}, {"watch order", watchOrder}, {"closeSession", closeSession},
		{"re-attach", reattach}, {"expiry", expiry}, {"other server", otherServer}, {"lock", locks},
	} {
		e.run(s)
	}
	for _, c := range e.conns {
		c.Close()
	}
	fmt.Printf("checks %d failed %d\n", len(e.report.names), e.report.failed)
	if e.report.failed > 0 {
		os.Exit(1)
	}
}

// version is that of the module go-zookeeper/zk.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/go-zookeeper/zk" {
				return strings.TrimPrefix(m.Version, "v")
			}
		}
	}
	return "of unknown version"
}

// scenario is a group of checks that run on one directory of their own.
type scenario struct {
	name string
	run  func(e *env, dir string)
}

// env is what every scenario needs: the servers, and the report.
type env struct {
	addr, other string
	timeout     time.Duration
	root        string
	report      report
	conns       []*zk.Conn
	dirs        int
}

// run gives s a fresh directory. A panic of must ends the group and counts as its failure; the others still run.
func (e *env) run(s scenario) {
	defer func() {
		if p := recover(); p != nil {
			e.eq(s.name+": runs to its end", fmt.Sprint(p), "no error")
		}
	}()
	e.dirs++
	dir := fmt.Sprintf("%s/%d", e.root, e.dirs)
	must(e.conns[0].Create(dir, nil, 0, zk.WorldACL(zk.PermAll)))
	s.run(e, dir)
}

// dial opens a session through the server at addr and returns once it has one.
func (e *env) dial(addr string) *zk.Conn {
	return e.connect(newLink(addr))
}

// report prints and counts the checks.
type report struct {
	names  map[string]bool
	failed int
}

// eq is one check. Both sides are compared by their text, which tells types enough apart for what is compared here.
func (e *env) eq(name string, got, want any) {
	g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want)
	if e.report.names[name] {
		g, w = "name used twice", "one check of this name"
	}
	e.report.names[name] = true
	if g == w {
		fmt.Println("ok", name)
		return
	}
	e.report.failed++
	fmt.Printf("FAIL %s: got %s want %s\n", name, g, w)
}

// must is for the steps between checks.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// must0 is must for what returns only an error.
func must0(err error) {
	if err != nil {
		panic(err)
	}
}

// err drops the value of a call whose error is compared.
func err[T any](_ T, err error) error { return err }

// err2 drops both values of a call whose error is compared.
func err2[T, U any](_ T, _ U, err error) error { return err }

// all is an open ACL.
func all() []zk.ACL { return zk.WorldACL(zk.PermAll) }
