//go:build unix

package main_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lifeEnv makes this test binary a child that shows that it is alive, in the file named, until it is ended. With a
// prefix "stubborn:" it ignores TERM.
const lifeEnv = "DOCENT_TEST_LIFE"

// lifeMain writes the time into a file, over and over again.
func lifeMain(cfg string) int {
	name, stubborn := strings.CutPrefix(cfg, "stubborn:")
	if stubborn {
		signal.Ignore(syscall.SIGTERM)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer f.Close()
	for {
		if _, err := f.WriteAt(binary.BigEndian.AppendUint64(nil, uint64(time.Now().UnixNano())), 0); err != nil {
			fmt.Println(err)
			return 1
		}
		time.Sleep(2 * time.Millisecond) // this is what it does
	}
}

// life is the command of such a child, and the file to look at.
func life(t testing.TB, stubborn bool) (command, file string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file = t.TempDir() + "/life"
	cfg := file
	if stubborn {
		cfg = "stubborn:" + file
	}
	return fmt.Sprintf("%s='%s' '%s'", lifeEnv, cfg, self), file
}

// lastSign is when a child last showed that it was alive; the zero time if it never did.
func lastSign(file string) time.Time {
	data, err := os.ReadFile(file)
	if err != nil || len(data) < 8 {
		return time.Time{}
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(data)))
}

// relay passes connections on to a server, until it is told to be silent: then nothing passes, and nothing breaks.
type relay struct {
	ln     net.Listener
	target string

	mu     sync.Mutex // guards what follows
	silent bool
	conns  []net.Conn
}

func newRelay(t testing.TB, target string) *relay {
	t.Helper()
	r := &relay{ln: listen(t), target: target}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := r.ln.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				in.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, in, out)
			r.mu.Unlock()
			wg.Go(func() { r.pump(in, out) })
			wg.Go(func() { r.pump(out, in) })
		}
	})
	t.Cleanup(func() {
		r.ln.Close()
		r.mu.Lock()
		for _, nc := range r.conns {
			nc.Close()
		}
		r.mu.Unlock()
		wg.Wait()
	})
	return r
}

func (r *relay) addr() string { return r.ln.Addr().String() }

func (r *relay) pump(from, to net.Conn) {
	defer from.Close()
	for buf := make([]byte, 4096); ; {
		n, err := from.Read(buf)
		if r.isSilent() { // the other end hears neither data nor the end
			if err != nil {
				return
			}
			continue
		}
		if err != nil {
			to.Close()
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (r *relay) isSilent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.silent
}

func (r *relay) silence() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.silent = true
}
