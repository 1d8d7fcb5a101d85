package bench

import (
	"syscall"
	"time"
)

// nap sleeps for d or, interrupted by a signal, less.
func nap(d time.Duration) {
	ts := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&ts, nil) // its one error is to have been interrupted
}
