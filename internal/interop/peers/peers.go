package peers

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"testing"
)

// Required tells whether a missing peer is a failure: DOCENT_REQUIRE_PEERS=1.
func Required() bool { return os.Getenv("DOCENT_REQUIRE_PEERS") == "1" }

// Missing ends the test because a peer is not there: it skips, or fails when peers are [Required].
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if Required() {
		t.Fatalf("a peer is missing, and DOCENT_REQUIRE_PEERS=1: "+format, args...)
	}
	t.Skipf("a peer is missing: "+format, args...)
}

// FreeAddr returns a loopback address nothing listens on. Its port is below the range from which the system takes ports
// for outgoing connections, so none of those can snatch it before the program it is meant for listens there.
func FreeAddr(t testing.TB) string {
	t.Helper()
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000))
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no free port on 127.0.0.1")
	return ""
}
