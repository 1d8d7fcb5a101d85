package client

import (
	"syscall"
	"time"
	"unsafe"
)

const clockBootTime = 7 // CLOCK_BOOTTIME of linux/time.h

// bootTime returns the time since the machine was started, sleep included.
func bootTime() (time.Duration, bool) {
	var ts syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockBootTime, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano()), errno == 0
}
