package storage

import (
	"os"
	"syscall"
)

// datasync makes f's content durable, but not its times: on a file written before, that spares the journal.
func datasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
