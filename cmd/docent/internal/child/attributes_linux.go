package child

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes makes the kernel send TERM to the child when we are killed.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// adoptOrphans makes this process the parent of descendants whose parents end, so that it can wait for the whole group.
func adoptOrphans() {
	_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // kernels before 3.4 have none
}
