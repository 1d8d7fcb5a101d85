package testkit

import "testing"

// Unraced skips a test under the race detector, and says why.
func Unraced(t testing.TB, why string) {
	t.Helper()
	if raceEnabled {
		t.Skip("under the race detector: " + why)
	}
}
