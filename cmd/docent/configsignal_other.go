//go:build !unix

package main

import "syscall"

// signalNames is empty: there are no signals to tell programs of changes by.
func signalNames() map[string]syscall.Signal { return nil }
