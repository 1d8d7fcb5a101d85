//go:build !race

package servertest_test

// slowness is how much slower everything may be: not at all.
const slowness = 1
