//go:build !unix

package child

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// Child is a running command. Its methods belong to one goroutine. Here there are neither process groups nor signals:
// it can only be killed.
type Child struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// Fatal tells whether a signal asks a process to end, and if so with which exit code a shell tells of that.
func Fatal(sig os.Signal) (code int, ok bool) {
	if s, is := sig.(syscall.Signal); is && (s == syscall.SIGINT || s == syscall.SIGTERM) {
		return 128 + int(s), true
	}
	return 0, false
}

// Notify has c told of the signals that ask a process to end.
func Notify(c chan<- os.Signal) { signal.Notify(c, os.Interrupt, syscall.SIGTERM) }

// Deliver does nothing: there is nothing to be told by.
func Deliver(syscall.Signal) {}

// Start runs a command. Its stdin, stdout and stderr are ours.
func Start(cmd Command, _ chan<- os.Signal) (*Child, error) {
	if cmd.Ready != nil {
		return nil, errors.New("a child cannot be given a further file on this system")
	}
	k := &Child{ended: make(chan struct{}), cmd: &exec.Cmd{Path: cmd.Path, Args: cmd.Args, Env: cmd.Env, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}}
	if err := k.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(k.ended)
		_ = k.cmd.Wait() // how it ended is in its ProcessState
	}()
	return k, nil
}

// Ended is closed when the child has ended.
func (k *Child) Ended() <-chan struct{} { return k.ended }

// Gone is closed when the child has ended.
func (k *Child) Gone() <-chan struct{} { return k.ended }

// Code is the exit code of a child that has ended.
func (k *Child) Code() int { return k.cmd.ProcessState.ExitCode() }

// Terminate ends the child.
func (k *Child) Terminate() { k.Kill() }

// Kill ends the child.
func (k *Child) Kill() { _ = k.cmd.Process.Kill() }

// Forward does nothing: the console tells the child itself of its keys.
func (k *Child) Forward(os.Signal) {}

// Stopped never tells anything.
func (k *Child) Stopped() <-chan syscall.Signal { return nil }

// Suspend does nothing.
func (k *Child) Suspend(syscall.Signal) bool { return false }

// Continue does nothing.
func (k *Child) Continue() {}

// Close does nothing.
func (k *Child) Close() {}
