//go:build unix

package main

import (
	"context"
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// resizeSignal is what a process gets when its terminal has changed its size.
func resizeSignal() os.Signal { return syscall.SIGWINCH }

// keyWaits waits until there is something to read, or ctx has ended: a read of a terminal cannot be broken off.
func keyWaits(ctx context.Context, fd int) bool {
	const look = 50 // ms
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, look)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			return true // the read tells what is wrong
		}
	}
	return false
}
