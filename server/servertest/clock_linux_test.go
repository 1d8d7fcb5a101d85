package servertest_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/docent-io/docent/server/servertest"
)

// A client counts the time that its machine was asleep, by the machine's clock. A bubble's clock stands still for as
// long as its goroutines work, and that is no sleep.
func TestABubbleIsNoSleepingMachine(t *testing.T) {
	bubble(t, func(t *testing.T, srv *servertest.Server) {
		s := session(t, srv.Dial(t))
		before := s.Remaining()
		pause := syscall.NsecToTimespec(int64(400 * time.Millisecond)) // of the machine's time
		if err := syscall.Nanosleep(&pause, nil); err != nil {
			t.Fatal(err)
		}
		if after := s.Remaining(); after != before {
			t.Errorf("%v were left of the session, and %v are", before, after)
		}
	})
}
