//go:build !linux

package storage

import "os"

// datasync makes f durable; only Linux lets us leave out its times.
func datasync(f *os.File) error { return f.Sync() }
