//go:build race

package storage_test

// raceEnabled makes the tests that use one goroutine short: the race detector finds nothing in them, and slows them tenfold.
const raceEnabled = true
