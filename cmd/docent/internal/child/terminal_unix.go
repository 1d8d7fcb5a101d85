//go:build unix

package child

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal is the one that controls this process; nil if there is none. Only the process group in its foreground may
// read from it, and gets the signals of its keys.
type terminal struct{ f *os.File }

func openTerminal() *terminal {
	f, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	return &terminal{f}
}

func (t *terminal) close() {
	if t != nil {
		t.f.Close()
	}
}

// standard tells whether stdin and stdout are terminals: then nobody else of a pipeline waits for its keys, and a child
// that looks whether it is in the foreground shall find so from the start.
func (t *terminal) standard() bool {
	return t != nil && term.IsTerminal(syscall.Stdin) && term.IsTerminal(syscall.Stdout)
}

// is tells whether a process group is in the foreground.
func (t *terminal) is(group int) bool {
	if t == nil {
		return false
	}
	now, err := unix.IoctlGetInt(int(t.f.Fd()), unix.TIOCGPGRP)
	return err == nil && now == group
}

// lend brings a process group into the foreground, if ours is there now.
func (t *terminal) lend(group int) {
	if t.is(syscall.Getpgrp()) {
		t.set(group)
	}
}

// takeBack brings ours into the foreground, if the given one is there now.
func (t *terminal) takeBack(group int) {
	if t.is(group) {
		t.set(syscall.Getpgrp())
	}
}

func (t *terminal) set(group int) {
	signal.Ignore(syscall.SIGTTOU)                                    // which is sent to who does this from the background; the child runs already
	_ = unix.IoctlSetPointerInt(int(t.f.Fd()), unix.TIOCSPGRP, group) // fails if the group has ended
}
