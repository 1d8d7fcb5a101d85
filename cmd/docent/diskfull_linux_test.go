package main_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
)

// A server whose disk is full stops and says why: it neither acknowledges what it cannot keep nor goes on as a member
// that forgets. With room again it starts by itself, with everything that was acknowledged.
func TestDiskFull(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small file system")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=6m"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	m := standalone(t)
	m.args[slices.Index(m.args, "--data")+1] = dir + "/data"
	m.start()
	m.ready()
	c := dial(t, 10*time.Second, m.addr)
	acknowledged := 0
	for {
		_, err := c.Create(t.Context(), fmt.Sprintf("/n%06d", acknowledged), make([]byte, 10_000))
		if err != nil {
			if !errors.Is(err, client.ErrMaybeApplied) {
				t.Errorf("the write that found no room: %v, want one of unknown outcome", err)
			}
			break
		}
		acknowledged++
	}
	if code := m.exit(); code == 0 {
		t.Errorf("exit code %d of a server whose disk is full", code)
	}
	if text := m.stderr.String(); !strings.Contains(text, "no space left") || !strings.Contains(text, dir) {
		t.Errorf("the server does not say why it stopped:\n%s", text)
	}
	c.Close()

	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	m.start()
	m.ready()
	c = dial(t, 10*time.Second, m.addr)
	names, _, err := c.Children(t.Context(), "/")
	if err != nil {
		t.Fatal(err)
	}
	for i := range acknowledged {
		if name := fmt.Sprintf("n%06d", i); !slices.Contains(names, name) {
			t.Errorf("%s was acknowledged and is gone", name)
		}
	}
	t.Logf("%d writes of 10 kB before the disk was full, all there", acknowledged)
	if acknowledged < 50 {
		t.Error("too few writes to tell")
	}
}
