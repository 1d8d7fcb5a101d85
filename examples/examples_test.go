// Package examples runs the examples.
package examples

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// programs are the folders of examples, and what each must have said when it ends.
var programs = []struct{ dir, want string }{
	{"rendezvous", "worker: I work for host-b:4242"},
}

func TestPrograms(t *testing.T) {
	for _, p := range programs {
		t.Run(p.dir, func(t *testing.T) {
			t.Parallel()
			bin := filepath.Join(t.TempDir(), p.dir)
			if out, err := exec.Command("go", "build", "-o", bin, "./"+p.dir).CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, out)
			}
			out, err := exec.Command(bin).CombinedOutput()
			if err != nil || !strings.Contains(string(out), p.want) {
				t.Errorf("%v; its output does not contain %q:\n%s", err, p.want, out)
			}
		})
	}
}
