//go:build !linux

package main

import "context"

// awaitEnd waits until a process has ended, or until ctx ends.
func awaitEnd(ctx context.Context, pid int) error { return pollEnd(ctx, pid) }
