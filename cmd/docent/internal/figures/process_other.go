//go:build !linux

package main

import (
	"os"
	"syscall"
)

func dieWithUs() *syscall.SysProcAttr { return nil }

func datasync(f *os.File) error { return f.Sync() }
