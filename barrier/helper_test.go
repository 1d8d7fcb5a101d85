package barrier_test

import (
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/docent-io/docent/server/servertest"
)

// watches returns how many watches clients have set on srv, or −1 if it does not say.
func watches(srv *servertest.Server) int {
	nc, err := net.Dial("tcp", srv.Addr())
	if err != nil {
		return -1
	}
	defer nc.Close()
	if _, err := nc.Write([]byte("wchs")); err != nil {
		return -1
	}
	answer, err := io.ReadAll(nc)
	if err != nil {
		return -1
	}
	_, total, _ := strings.Cut(string(answer), "Total watches:")
	n := -1
	fmt.Sscan(total, &n)
	return n
}
