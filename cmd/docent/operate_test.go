//go:build unix

package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
)

// verb runs a verb to its end.
func verb(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := run(t, "docent "+args[0], exec.Command(docent(t), args...))
	code = p.exit()
	return code, p.stdout.String(), p.stderr.String()
}

func mustVerb(t *testing.T, want string, args ...string) {
	t.Helper()
	code, stdout, stderr := verb(t, args...)
	if code != 0 || !strings.Contains(stdout, want) {
		t.Fatalf("docent %v: exit code %d, want 0 and %q\nstdout: %s\nstderr: %s", args, code, want, stdout, stderr)
	}
}

func failsVerb(t *testing.T, wantCode int, want string, args ...string) {
	t.Helper()
	code, stdout, stderr := verb(t, args...)
	if code != wantCode || !strings.Contains(stderr, want) || stdout != "" {
		t.Errorf("docent %v: exit code %d, want %d and %q\nstdout: %s\nstderr: %s", args, code, wantCode, want, stdout, stderr)
	}
}

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	admins := freeAddrs(t, 2)
	from := members(t, 1, "--admin-listen", admins[0])[0]
	from.start()
	from.ready()
	c := dial(t, 10*time.Second, from.addr)
	if _, err := c.Create(t.Context(), "/a", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup")
	mustVerb(t, "5 nodes and 1 sessions", "backup", "--admin", admins[0], file)
	failsVerb(t, 64, "is there already", "backup", "--admin", admins[0], file)
	mustVerb(t, "5 nodes", "backup", "--admin", admins[0], "--force", file)
	failsVerb(t, 1, "has nodes of its own", "restore", "--admin", admins[0], file)

	to := members(t, 1, "--admin-listen", admins[1])[0]
	to.start()
	to.ready()
	mustVerb(t, "restored 5 nodes", "restore", "--admin", admins[1], "--zxid-above", "0x300000000000000", file)
	n, err := dial(t, 10*time.Second, to.addr).Get(t.Context(), "/a")
	if err != nil || string(n.Data) != "kept" {
		t.Errorf("restored: %q, %v", n.Data, err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v, %v", left, err)
	}
	if err := garble(file); err != nil {
		t.Fatal(err)
	}
	failsVerb(t, 64, "not a snapshot of docent", "restore", "--admin", admins[1], "--force", file)
	failsVerb(t, 64, "--admin is missing", "backup", file)
	failsVerb(t, 64, "no such file", "restore", "--admin", admins[1], file+"x")
	failsVerb(t, 69, "refused", "backup", "--admin", freeAddrs(t, 1)[0], file+"2")
	if _, err := os.Stat(file + "2"); err == nil {
		t.Error("a backup that failed left a file")
	}
}

func TestCheckFolder(t *testing.T) {
	t.Parallel()
	m := standalone(t)
	m.args = append(m.args, "--snapshot-bytes", "65536")
	m.start()
	m.ready()
	c := dial(t, 10*time.Second, m.addr)
	for range 100 {
		if _, err := c.Create(t.Context(), "/n-", make([]byte, 1000), client.Sequential()); err != nil {
			t.Fatal(err)
		}
	}
	failsVerb(t, 1, "in use", "check", m.data())
	m.stop()
	mustVerb(t, "is whole", "check", m.data())
	snapshots, err := filepath.Glob(filepath.Join(m.data(), "snapshots", "*", "state.bin"))
	if err != nil || len(snapshots) != 1 {
		t.Fatalf("snapshots: %v, %v", snapshots, err)
	}
	text, err := os.ReadFile(snapshots[0])
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 4
	if err := os.WriteFile(snapshots[0], text, 0o600); err != nil {
		t.Fatal(err)
	}
	failsVerb(t, 1, snapshots[0]+": damaged", "check", m.data())
	failsVerb(t, 1, "no such file", "check", m.data()+"x")
	failsVerb(t, 64, "FOLDER is missing", "check")
}
