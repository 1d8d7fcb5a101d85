//go:build unix

package child

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// Child is a running command. Its methods belong to one goroutine.
type Child struct {
	pid     int // and the number of its process group
	term    *terminal
	stopped chan syscall.Signal
	ended   chan struct{}
	gone    chan struct{}
	status  syscall.WaitStatus // valid once ended is closed
}

// forwarded are the signals that are meant for the work, not for who watches over it.
var forwarded = []os.Signal{
	syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2,
	syscall.SIGTSTP, syscall.SIGCONT, syscall.SIGWINCH,
}

// Fatal tells whether a signal asks a process to end, and if so with which exit code a shell tells of that.
func Fatal(sig os.Signal) (code int, ok bool) {
	switch sig {
	case syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT:
		return 128 + int(sig.(syscall.Signal)), true
	}
	return 0, false
}

// Notify has c told of the signals that ask a process to end, and later those that Forward adds, but for those that this
// process was started to ignore, as by nohup: the child ignores them as well. SIGPIPE is taken too, so that a message to
// a terminal that is gone does not end us.
func Notify(c chan<- os.Signal) { notify(c, forwarded[:4]...) }

func notify(c chan<- os.Signal, signals ...os.Signal) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	for _, sig := range signals {
		if !signal.Ignored(sig) {
			signal.Notify(c, sig)
		}
	}
}

// Deliver makes sig, which is meant to be sent to the child, reach it even if this process was started to ignore it, as HUP
// by nohup: a child would inherit that, and shells cannot trap what they were started to ignore. This process goes on to
// heed it not. Zero is none.
func Deliver(sig syscall.Signal) {
	if sig != 0 && signal.Ignored(sig) {
		signal.Notify(make(chan os.Signal, 1), sig) // what has a handler here has its default in the child
	}
}

// Start runs a command in a process group of its own. All signals that are meant for it come through c from then on.
// Its stdin, stdout and stderr are ours.
func Start(cmd Command, c chan<- os.Signal) (*Child, error) {
	adoptOrphans()
	notify(c, forwarded[4:]...)
	k := &Child{stopped: make(chan syscall.Signal, 1), ended: make(chan struct{}), gone: make(chan struct{})}
	started := make(chan error)
	go k.run(cmd, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("%s: %w", cmd.Path, err)
	}
	k.term = openTerminal()
	if k.term.standard() {
		k.term.lend(k.pid)
	}
	_ = syscall.Kill(-k.pid, syscall.SIGCONT) // it may have asked for the terminal before it was lent
	return k, nil
}

// run starts the command and waits for it on one thread, since the kernel sends the parent-death signal when the thread
// ends that forked.
func (k *Child) run(cmd Command, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	files := []uintptr{0, 1, 2}
	if cmd.Ready != nil {
		for len(files) < cmd.FD {
			files = append(files, ^uintptr(0)) // closed
		}
		files = append(files, cmd.Ready.Fd())
		_ = syscall.SetNonblock(int(cmd.Ready.Fd()), false) // as programs expect it
	}
	pid, err := syscall.ForkExec(cmd.Path, cmd.Args, &syscall.ProcAttr{Env: cmd.Env, Files: files, Sys: attributes()})
	k.pid = pid
	started <- err
	if err == nil {
		k.reap()
	}
}

// reap waits for the child, and for those of its group that have become ours when their parents ended.
func (k *Child) reap() {
	defer close(k.gone)
	for {
		var status syscall.WaitStatus
		pid, err := wait(-1, &status)
		switch {
		case err != nil: // not reached, for it has not ended; if somebody else has waited for it, its status is not known
			k.status = 1 << 8
			close(k.ended)
			return
		case pid != k.pid:
		case status.Stopped():
			select {
			case k.stopped <- status.StopSignal():
			default:
			}
		default:
			k.status = status
			close(k.ended)
			for err == nil {
				_, err = wait(-k.pid, &status)
			}
			return
		}
	}
}

func wait(pid int, status *syscall.WaitStatus) (int, error) {
	for {
		got, err := syscall.Wait4(pid, status, syscall.WUNTRACED, nil)
		if !errors.Is(err, syscall.EINTR) {
			return got, err
		}
	}
}

// Ended is closed when the child itself has ended.
func (k *Child) Ended() <-chan struct{} { return k.ended }

// Gone is closed when the child has ended, and all that it left in its process group (elsewhere than on Linux: all that
// is known of it).
func (k *Child) Gone() <-chan struct{} { return k.gone }

// Code is the exit code of a child that has ended: its own, or 128+n if signal n ended it.
func (k *Child) Code() int {
	if k.status.Signaled() {
		return 128 + int(k.status.Signal())
	}
	return k.status.ExitStatus()
}

// Terminate asks the group to end. It is woken, if it is stopped, to be able to.
func (k *Child) Terminate() { k.send(syscall.SIGTERM, syscall.SIGCONT) }

// Kill ends the group.
func (k *Child) Kill() { k.send(syscall.SIGKILL) }

// Forward passes on a signal that came for the group.
func (k *Child) Forward(sig os.Signal) {
	switch s := sig.(syscall.Signal); s {
	case syscall.SIGPIPE:
	case syscall.SIGCONT:
		k.Continue()
	default:
		k.send(s)
	}
}

func (k *Child) send(signals ...syscall.Signal) {
	for _, sig := range signals {
		_ = syscall.Kill(-k.pid, sig) // an error means that nobody is left
	}
}

// Stopped tells of signals that have stopped the child.
func (k *Child) Stopped() <-chan syscall.Signal { return k.stopped }

// Suspend does what is to be done after a signal has stopped the child, and tells whether the child shall go on, by
// Continue. A child that wants the terminal, which is ours to lend, gets it. Else we stop as well, so that the shell that
// started us has its terminal again, until it has us continue. A child stopped by somebody who means just that is left
// to them.
func (k *Child) Suspend(sig syscall.Signal) (goOn bool) {
	switch {
	case sig == syscall.SIGSTOP:
		return false
	case sig != syscall.SIGTSTP && (k.term.is(syscall.Getpgrp()) || k.term.is(k.pid)):
		return true
	}
	k.term.takeBack(k.pid)
	pause()
	return true
}

// Continue lends the terminal to the group, if it is ours to lend, and lets the group go on.
func (k *Child) Continue() {
	k.term.lend(k.pid)
	k.send(syscall.SIGCONT)
}

// Close takes the terminal back.
func (k *Child) Close() {
	k.term.takeBack(k.pid)
	k.term.close()
}

// pause stops this process until it is continued, as Ctrl-Z would. It does so by SIGTTIN, since Go keeps its handler of
// SIGTSTP even when nobody wants to be notified any more. Where nobody could continue us (our process group is orphaned),
// the kernel ignores both, and we go on after a moment.
func pause() {
	woken := make(chan os.Signal, 1)
	signal.Notify(woken, syscall.SIGCONT)
	defer signal.Stop(woken)
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGTTIN)
	select {
	case <-woken:
	case <-time.After(200 * time.Millisecond):
	}
}
