//go:build race

package client_test

const raceEnabled = true // the race detector allocates, and makes pools forget
