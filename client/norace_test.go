//go:build !race

package client_test

import (
	"testing"
	"testing/synctest"
)

const raceEnabled = false

// bubble runs f on virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
