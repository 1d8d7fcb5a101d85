// Package examples runs the examples.
package examples

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// programs are the folders of examples, and what each must have said when it ends.
var programs = []struct{ dir, want string }{
	{"gateway", "claims were read back and held"},
	{"leader", "everybody sees: replica 3 writes"},
	{"lock", "the store says: fence: stale token"},
	{"rendezvous", "worker: I work for host-b:4242"},
}

// Each program ends well and in time where there is nothing: no home, no file, and no server that listens.
func TestPrograms(t *testing.T) {
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "./...").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, p := range programs {
		t.Run(p.dir, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			work, temp := t.TempDir(), t.TempDir()
			cmd := exec.CommandContext(ctx, filepath.Join(bin, p.dir))
			cmd.Dir, cmd.Env = work, []string{"TMPDIR=" + temp}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), p.want) {
				t.Errorf("%v; its output does not contain %q:\n%s", err, p.want, out)
			}
			for _, dir := range []string{work, temp} {
				if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
					t.Errorf("it leaves behind %v (%v)", left, err)
				}
			}
		})
	}
}

// No program is forgotten in the table.
func TestAllPrograms(t *testing.T) {
	found, err := filepath.Glob("*/main.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, main := range found {
		dir := filepath.Dir(main)
		if !slices.ContainsFunc(programs, func(p struct{ dir, want string }) bool { return p.dir == dir }) {
			t.Errorf("%s is in no line of programs, and so not run", dir)
		}
	}
}
