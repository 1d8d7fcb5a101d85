//go:build unix

package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docent-io/docent/internal/testkit"
)

// Two jobs, each of which holds one lock and waits for the other's in a script, as shells do: docent under docent.
func TestDoctor_CycleOfProcesses(t *testing.T) {
	t.Parallel()
	m := standalone(t)
	m.args = append(m.args, "--4lw-whitelist", "*")
	m.start()
	m.ready()
	dsn := "zk://" + m.addr
	dir := t.TempDir()
	job := func(name, first, second string) {
		flags := fmt.Sprintf("--dsn %s --id %s", dsn, name)
		script := fmt.Sprintf("touch %s; while [ ! -e %s ]; do sleep 0.02; done; exec %s lock %s %s -- true",
			filepath.Join(dir, name), filepath.Join(dir, "go"), docent(t), flags, second)
		run(t, name, exec.Command(docent(t), append(append([]string{"lock"}, strings.Fields(flags)...), first, "--", "sh", "-c", script)...))
		testkit.Eventually(t, name+" holds "+first, func() bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil })
	}
	job("job-a", "/x", "/y")
	job("job-b", "/y", "/x")
	mustVerb(t, " 0 findings", "doctor", "--dsn", dsn)
	if err := os.WriteFile(filepath.Join(dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, holder := range map[string]string{"/x": "job-a", "/y": "job-b"} {
		testkit.Eventually(t, "both stand at "+path, func() bool {
			_, stdout, _ := verb(t, "lock", "ls", "--dsn", dsn, path)
			return strings.Contains(stdout, "1 hold, 1 wait") && strings.Contains(stdout, holder)
		})
	}
	code, stdout, _ := verb(t, "doctor", "--dsn", dsn, "--json")
	var r struct {
		Findings []struct{ Kind, Path, What string }
	}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	if code != 1 || len(r.Findings) != 1 || r.Findings[0].Kind != "cycle" || !strings.Contains(r.Findings[0].What, "job-a") || !strings.Contains(r.Findings[0].What, "job-b") {
		t.Errorf("exit code %d, it finds %+v", code, r.Findings)
	}
}

// What each looking verb answers to a bad command line, and where nobody listens.
func TestLook_Refusals(t *testing.T) {
	t.Parallel()
	free := "zk://" + freeAddrs(t, 1)[0]
	for want, args := range map[string][]string{
		"PATH is missing":            {"lock", "ls"},
		`unexpected argument "b"`:    {"inspect", "a", "b"},
		"unexpected argument \"c\"":  {"doctor", "a", "c"},
		"unknown flag: --deep":       {"doctor", "--deep"},
		"--max-value 0":              {"doctor", "--max-value", "0"},
		"exclude each other":         {"status", "--json", "--format", "x"},
		"--every 0s":                 {"top", "--every", "0"},
		"--dsn: does not begin":      {"status", "--dsn", "http://x"},
		"--connect 0s":               {"lock", "ls", "--connect", "0", "x"},
		"--format: template: --form": {"inspect", "--format", "{{", "x"},
	} {
		failsVerb(t, 64, want, args...)
	}
	for _, args := range [][]string{{"lock", "ls", "x"}, {"inspect", "x"}, {"doctor"}, {"top"}} {
		failsVerb(t, 69, "docent "+args[0], append(args, "--dsn", free, "--connect", "100ms")...)
	}
}
