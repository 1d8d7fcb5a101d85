//go:build !unix || solaris || illumos || aix

package fence

import (
	"errors"
	"os"
)

func flock(path string) (unlock func(), err error) {
	return nil, &os.PathError{Op: "flock", Path: path, Err: errors.ErrUnsupported}
}
