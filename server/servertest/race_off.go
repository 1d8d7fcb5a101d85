//go:build !race

package servertest

// oneProcessor is for the race detector.
func oneProcessor() {}
