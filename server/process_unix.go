//go:build unix

package server

import "syscall"

// descriptors returns the number of open files of this process, and how many it may have; -1 for what is not known.
func descriptors() (open, limit int64) {
	limit = -1
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) == nil {
		limit = int64(r.Cur)
	}
	return int64(openDescriptors()), limit
}
