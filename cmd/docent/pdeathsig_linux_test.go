package main_test

import "syscall"

// dieWithUs makes the kernel end a child whose parent was killed, as by a test timeout.
func dieWithUs() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
