//go:build !linux

package replica

import (
	"net"
	"time"
)

// setUserTimeout has no equal here; keep-alives do what they can.
func setUserTimeout(*net.TCPConn, time.Duration) {}
