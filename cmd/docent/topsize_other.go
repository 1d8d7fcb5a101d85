//go:build !unix

package main

import (
	"context"
	"os"
)

// resizeSignal is nil: there is none here, and the next redraw sees the size.
func resizeSignal() os.Signal { return nil }

// keyWaits leaves keys alone where a read cannot be broken off: ctrl-c is a signal then.
func keyWaits(context.Context, int) bool { return false }
