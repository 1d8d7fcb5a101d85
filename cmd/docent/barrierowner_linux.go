package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// awaitEnd waits until a process has ended, a zombie too, and says so, or until ctx ends.
func awaitEnd(ctx context.Context, pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	switch {
	case errors.Is(err, unix.ESRCH):
		return errOwnerEnded(pid)
	case err != nil: // kernels before 5.3
		return pollEnd(ctx, pid)
	}
	defer unix.Close(fd)
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(ownerEvery.Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for process %d: %w", pid, err)
		}
		if n > 0 {
			return errOwnerEnded(pid)
		}
	}
	return ctx.Err()
}
