//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// space is a network of its own, in which there is nothing but the loopback: one machine's. What works in it is started by
// a thread that has moved there, and never comes back.
type space struct {
	work chan func()
	done chan struct{}
}

// newSpace makes a network, or takes this process's own if it may not.
func newSpace(own bool) (*space, error) {
	s := &space{work: make(chan func()), done: make(chan struct{})}
	begun := make(chan error)
	go func() {
		defer close(s.done)
		runtime.LockOSThread() // for good: the thread ends with this goroutine. Processes die with the thread that started them.
		var err error
		if own {
			err = moveOut()
		}
		begun <- err
		if err != nil {
			return
		}
		for f := range s.work {
			f()
		}
	}()
	if err := <-begun; err != nil {
		return nil, err
	}
	return s, nil
}

func moveOut() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("make a network namespace: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return os.NewSyscallError("bring up lo", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo))
}

// do runs f there.
func (s *space) do(f func()) {
	ran := make(chan struct{})
	s.work <- func() {
		defer close(ran)
		f()
	}
	<-ran
}

// close ends it, when nothing uses it any more.
func (s *space) close() {
	close(s.work)
	<-s.done
}

func (s *space) listen(addr string) (ln net.Listener, err error) {
	s.do(func() { ln, err = net.Listen("tcp", addr) })
	return ln, err
}

// dial connects to an address there. It is quick, one way or the other: the kernel answers for those who are paused.
func (s *space) dial(ctx context.Context, addr string) (nc net.Conn, err error) {
	d := net.Dialer{Timeout: time.Second, KeepAlive: -1}
	s.do(func() { nc, err = d.DialContext(ctx, "tcp", addr) })
	return nc, err
}

// canPart tells whether this process may make networks.
func canPart() error {
	if os.Getuid() != 0 {
		return errors.New("not root")
	}
	s, err := newSpace(true)
	if err == nil {
		s.close()
	}
	return err
}
