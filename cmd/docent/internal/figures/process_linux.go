package main

import "syscall"

// dieWithUs makes a process end with this one, however this one ends.
func dieWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
