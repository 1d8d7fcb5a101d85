package main

import (
	"os"
	"syscall"
)

// dieWithUs makes a process end with this one, however this one ends.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// datasync is what servers do before they acknowledge a write.
func datasync(f *os.File) error {
	return os.NewSyscallError("fdatasync", syscall.Fdatasync(int(f.Fd())))
}
