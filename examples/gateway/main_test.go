package main

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/recipes/fence"
	"github.com/docent-io/docent/server/servertest"
)

// tell runs the story and returns its exit code and what it wrote.
func tell(t *testing.T, ctx context.Context, guard fence.Guard, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	began := time.Now()
	code = run(ctx, args, &out, &errs, guard)
	t.Logf("exit code %d after %v\n%s%s", code, time.Since(began), &out, &errs)
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("the story took %v, want less than 30s", took)
	}
	return code, out.String(), errs.String()
}

func wantLines(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, line := range want {
		if !strings.Contains(out, line) {
			t.Errorf("the story does not say %q", line)
		}
	}
}

func TestStory(t *testing.T) {
	testkit.CheckLeaks(t)
	t.Setenv("HOME", "") // it needs none
	code, out, errs := tell(t, t.Context(), fence.Memory())
	if code != 0 || errs != "" {
		t.Errorf("exit code %d and %q, want 0 and nothing", code, errs)
	}
	wantLines(t, out,
		"✓ what is written through server 1 is read through servers 2 and 3",
		"✓ the operator finds all five",
		"✓ job-1 is at am-2",
		"✓ nobody started before the last one had come",
		"✓ the late write of replica-1 is refused",
		"✓ every manager refuses it",
		"which leads the ensemble, is killed",
		"✓ the managers' sessions have survived",
		"is back from its disk",
		"claims were read back and held",
	)
	if n := strings.Count(out, "\n"); n > 80 {
		t.Errorf("the story has %d lines, want a few dozen", n)
	}
}

// On an ensemble that is there already no server is killed, and nothing is left behind.
func TestStoryOnEnsemble(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t)
	code, out, errs := tell(t, t.Context(), fence.Memory(), "--connect", "zk://"+srv.Addr())
	if code != 0 || errs != "" {
		t.Errorf("exit code %d and %q, want 0 and nothing", code, errs)
	}
	wantLines(t, out, "An ensemble is there already", "✓ job-4 is at am-2 all the same", "claims were read back and held")
	if strings.Contains(out, "leads the ensemble") {
		t.Error("the story tells of the death of a server that is not its own")
	}
	wantNothingLeft(t, srv)
}

// trusting is the guard of a store that does not look at tokens.
type trusting struct{}

func (trusting) Admit(context.Context, string, uint64) error { return nil }

// The story notices when a claim does not hold: with a store that does not check tokens, the late write gets through.
func TestFalseClaim(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t)
	code, out, errs := tell(t, t.Context(), trusting{}, "--connect", "zk://"+srv.Addr())
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	wantLines(t, out, "✗ NOT SO: the late write of replica-1 is refused", "✗ NOT SO: the store still has what ")
	wantLines(t, errs, "gateway: 2 of ", "claims did not hold, the first: the late write of replica-1 is refused")
	if strings.Contains(out, "read back and held") {
		t.Error("the story says that all held")
	}
	wantNothingLeft(t, srv)
}

// cue is a writer that calls back when a text comes by.
type cue struct {
	bytes.Buffer
	text string
	call func()
}

func (c *cue) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(c.text)) {
		c.call()
	}
	return c.Buffer.Write(p)
}

// A story that is interrupted says so, and cleans up all the same.
func TestInterrupted(t *testing.T) {
	testkit.CheckLeaks(t)
	srv := servertest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, errs := &cue{text: "is cut off the network", call: cancel}, &bytes.Buffer{}
	if code := run(ctx, []string{"--connect", "zk://" + srv.Addr()}, out, errs, fence.Memory()); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if !strings.Contains(errs.String(), "chapter 5: ") || !strings.Contains(errs.String(), context.Canceled.Error()) {
		t.Errorf("it says %q, want that chapter 5 was canceled", errs)
	}
	wantNothingLeft(t, srv)
}

// An ensemble that dies under the story ends it with one clear line.
func TestEnsembleDies(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t)
	out, errs := &cue{text: "am-2 reports a load", call: srv.Kill}, &bytes.Buffer{}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if code := run(ctx, []string{"--connect", "zk://" + srv.Addr()}, out, errs, fence.Memory()); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if n := strings.Count(errs.String(), "\n"); n != 1 || !strings.HasPrefix(errs.String(), "gateway: ") {
		t.Errorf("it says %q, want one line", errs)
	}
}

func TestWrongCall(t *testing.T) {
	for _, args := range [][]string{{"--connect", "http://host"}, {"--connect"}, {"--nonsense"}, {"nonsense"}} {
		code, out, errs := tell(t, t.Context(), fence.Memory(), args...)
		if code != 2 || out != "" || strings.Count(errs, "\n") != 1 {
			t.Errorf("%q: exit code %d, %q and %q; want 2 and one line of error", args, code, out, errs)
		}
	}
	if code, out, _ := tell(t, t.Context(), fence.Memory(), "--help"); code != 0 || !strings.Contains(out, "--connect") {
		t.Errorf("--help: exit code %d, want 0 and the usage", code)
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t)
	addr := srv.Addr()
	srv.Kill()
	code, _, errs := tell(t, t.Context(), fence.Memory(), "--connect", "zk://"+addr+"?session=1s")
	if code != 1 || !strings.Contains(errs, "cannot reach the ensemble") || !strings.Contains(errs, addr) {
		t.Errorf("exit code %d and %q, want 1 and the address", code, errs)
	}
}

func wantNothingLeft(t *testing.T, srv *servertest.Server) {
	t.Helper()
	names, _, err := srv.Dial(t).Children(t.Context(), "/", client.Fresh())
	if err != nil {
		t.Fatal(err)
	}
	if names = slices.DeleteFunc(names, func(n string) bool { return n == "zookeeper" }); len(names) > 0 {
		t.Errorf("the story has left behind %v", names)
	}
}
