package main

import (
	"context"
	"os"
	"runtime/debug"
	"testing"
)

// A small heap gets its room, and a large one what Go gives it.
func TestRoomPercent(t *testing.T) {
	for _, c := range []struct {
		alive uint64
		want  int
	}{
		{0, 1600}, {1 << 20, 1600}, {8 << 20, 800}, {16 << 20, 400}, {64 << 20, 100}, {65 << 20, 100}, {1 << 40, 100},
	} {
		if got := roomPercent(c.alive); got != c.want {
			t.Errorf("with %d bytes alive: %d %%, want %d %%", c.alive, got, c.want)
		}
	}
}

// Whoever sets GOGC has decided for himself.
func TestKeepRoom_Environment(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	defer debug.SetGCPercent(debug.SetGCPercent(77))
	t.Setenv("GOGC", "77")
	if keepRoom(over); debug.SetGCPercent(77) != 77 {
		t.Error("GOGC in the environment was overruled")
	}
	if err := os.Unsetenv("GOGC"); err != nil {
		t.Fatal(err)
	}
	if keepRoom(over); debug.SetGCPercent(77) < usualGC {
		t.Error("without GOGC the heap was given no room")
	}
}
