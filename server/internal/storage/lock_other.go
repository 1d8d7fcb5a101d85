//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package storage

import (
	"errors"
	"os"
)

// tryLock refuses: two processes on one folder would destroy it.
func tryLock(*os.File) (bool, error) { return false, errors.ErrUnsupported }
