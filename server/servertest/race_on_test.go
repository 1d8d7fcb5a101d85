//go:build race

package servertest_test

// slowness is how much slower everything may be: the race detector does a lot.
const slowness = 10
