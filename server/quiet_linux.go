package server

import (
	"syscall"
	"unsafe"
)

const canCall = true

// The sockets never block, so the scheduler need not be told of these calls. Told, it would have its monitor look after
// them, which wakes up a process that has nothing else to do once more for each.

// readNow reads what is there; again says that nothing is, but may come.
func readNow(fd uintptr, p []byte) (n int, again bool) {
	for {
		n, _, err := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch err {
		case 0:
			return int(n), false
		case syscall.EINTR:
			continue
		}
		return 0, err == syscall.EAGAIN
	}
}

// writeNow writes what there is room for, and returns how much that was; 0 if the connection has failed, which the next
// write says again.
func writeNow(fd uintptr, p []byte) int {
	for {
		n, _, err := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch err {
		case 0:
			return int(n)
		case syscall.EINTR:
			continue
		}
		return 0
	}
}
