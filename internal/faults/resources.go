//go:build linux

package faults

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a server process has taken.
type usage struct {
	goroutines, descriptors int
	heap, disk              int64
}

// How much more there may be when all faults and clients are gone than when it all began, and how much at all.
const (
	moreGoroutines  = 40
	moreDescriptors = 25
	mostHeap        = 256 << 20
	mostDisk        = 64 << 20 // and six times what is written between two snapshots
)

// within tells what there is too much of.
func (u usage) within(before usage, p plan) error {
	switch {
	case u.goroutines > before.goroutines+moreGoroutines:
		return fmt.Errorf("%d goroutines are left, and it began with %d", u.goroutines, before.goroutines)
	case u.descriptors > before.descriptors+moreDescriptors:
		return fmt.Errorf("%d descriptors are left, and it began with %d", u.descriptors, before.descriptors)
	case u.heap > mostHeap:
		return fmt.Errorf("the heap is %d MiB", u.heap>>20)
	case u.disk > mostDisk+6*int64(p.snapshots):
		return fmt.Errorf("the folder has %d MiB, with snapshots after %d KiB each", u.disk>>20, p.snapshots>>10)
	}
	return nil
}

// usage asks a server, and looks at its process and folder.
func (m *member) usage(ctx context.Context) (u usage, err error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) { return m.space.dial(ctx, addr) }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.adminAddr()+"/metrics", nil)
	if err != nil {
		return u, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return u, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		v, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
		case name == "go_goroutines":
			u.goroutines = int(v)
		case name == "go_memstats_heap_inuse_bytes":
			u.heap = int64(v)
		}
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.run().cmd.Process.Pid))
	if err != nil {
		return u, err
	}
	u.descriptors = len(fds)
	err = filepath.WalkDir(m.data, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // what has gone meanwhile takes no room
		}
		if info, err := d.Info(); err == nil {
			u.disk += info.Size()
		}
		return nil
	})
	return u, err
}

// settle waits until each server has given back what it took.
func (w *world) settle(before []usage) {
	ctx, cancel := context.WithTimeout(w.ctx, 15*time.Second)
	defer cancel()
	for i, m := range w.e.members {
		for {
			u, err := m.usage(ctx)
			if err == nil {
				err = u.within(before[i], w.plan)
			}
			if err == nil {
				break
			}
			if sleep(ctx, 200*time.Millisecond) != nil {
				w.fail("server %d: %v", m.id, err)
				break
			}
		}
	}
}
