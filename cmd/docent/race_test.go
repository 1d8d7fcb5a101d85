//go:build race && unix

package main_test

// raceEnabled makes the tests of a race-detecting run build race-detecting servers.
const raceEnabled = true
