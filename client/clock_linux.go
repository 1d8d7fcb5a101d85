package client

import (
	"syscall"
	"time"
	"unsafe"
)

// Clocks of linux/time.h.
const (
	clockRealTime = 0
	clockBootTime = 7
)

// bootTime returns the time since the machine was started, sleep included.
func bootTime() (time.Duration, bool) { return kernelClock(clockBootTime) }

// virtual tells whether now, just read, is not of this machine's clock: in a bubble of testing/synctest, time goes on
// at another rate than the kernel's, and no machine sleeps.
func virtual(now time.Time) bool {
	wall, ok := kernelClock(clockRealTime)
	return ok && time.Unix(0, int64(wall)).Sub(now).Abs() > time.Minute
}

func kernelClock(id uintptr) (time.Duration, bool) {
	var ts syscall.Timespec
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, id, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano()), errno == 0
}
