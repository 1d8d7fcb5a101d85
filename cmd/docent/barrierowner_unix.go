//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// ownerEvery is how often is looked whether something has ended that cannot be waited for.
const ownerEvery = time.Second

func errOwnerEnded(pid int) error { return fmt.Errorf("process %d has ended", pid) }

// pollEnd waits until a process has ended, or until ctx ends.
func pollEnd(ctx context.Context, pid int) error {
	ticks := time.NewTicker(ownerEvery)
	defer ticks.Stop()
	for {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return errOwnerEnded(pid)
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ownedByUs tells whether a file belongs to this user.
func ownedByUs(st fs.FileInfo) bool {
	sys, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(sys.Uid) == os.Geteuid()
}
