package server

import (
	"io/fs"
	"os"
	"path/filepath"
)

// dirSize returns how much a folder holds, as far as it can be read.
func dirSize(dir string) (n int64) {
	if dir == "" {
		return 0
	}
	// What cannot be read does not count; the walk itself cannot fail then.
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			n += info.Size()
		}
		return nil
	})
	return n
}

// openDescriptors counts the open files of this process, -1 where the system does not tell.
func openDescriptors() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(entries)
}
