//go:build !unix

package server

// descriptors returns the number of open files of this process, and how many it may have; -1 for what is not known.
func descriptors() (open, limit int64) { return int64(openDescriptors()), -1 }
