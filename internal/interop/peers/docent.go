package peers

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Build builds a program of this repository, such as "./cmd/docent" (a path relative to the module's root), into the
// test's folder and returns the path of the binary.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatalf("find the module's root: %v", err)
	}
	bin := filepath.Join(t.TempDir(), filepath.Base(pkg))
	build := exec.Command("go", "build", "-o", bin, pkg)
	build.Dir = strings.TrimSpace(string(root))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", pkg, err, out)
	}
	return bin
}

// Server is a `docent serve` process that serves.
type Server struct {
	*Process
	Addr string // for clients
}

// Standalone starts one server with an empty data folder and returns it once it serves. bin is the docent binary.
func Standalone(t testing.TB, bin string) Server {
	t.Helper()
	s := serve(t, bin, "docent", "--data", t.TempDir(), "--listen", FreeAddr(t))
	s.ready(t)
	return s
}

// Ensemble starts n servers with empty data folders and returns them once each serves.
func Ensemble(t testing.TB, bin string, n int) []Server {
	t.Helper()
	peerAddrs := make([]string, n)
	for i := range peerAddrs {
		peerAddrs[i] = fmt.Sprintf("%d=%s", i+1, FreeAddr(t))
	}
	servers := make([]Server, n)
	for i := range servers {
		servers[i] = serve(t, bin, fmt.Sprint("docent member ", i+1), "--id", fmt.Sprint(i+1),
			"--data", t.TempDir(), "--listen", FreeAddr(t), "--peers", strings.Join(peerAddrs, ","))
	}
	for _, s := range servers {
		s.ready(t)
	}
	return servers
}

// serve starts `docent serve` with flags; the client address is the one after --listen.
func serve(t testing.TB, bin, name string, flags ...string) Server {
	t.Helper()
	s := Server{}
	for i, f := range flags {
		if f == "--listen" {
			s.Addr = flags[i+1]
		}
	}
	s.Process = Start(t, name, exec.Command(bin, append([]string{"serve"}, flags...)...))
	return s
}

// ready waits for the line a server writes when it serves.
func (s Server) ready(t testing.TB) {
	t.Helper()
	if _, err := s.Line("serving", startTime); err != nil {
		t.Fatal(err)
	}
}
