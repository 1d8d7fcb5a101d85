//go:build unix

package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/docent-io/docent/server/servertest"
)

// exportOf writes an export of n nodes with some data.
func exportOf(n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "{\"docent-export\":1,\"root\":\"/\"}\n{\"path\":\"/\",\"data\":null}\n")
	for i := range n {
		fmt.Fprintf(&b, "{\"path\":\"/n%06d\",\"data\":\"eHl6\"}\n", i)
	}
	fmt.Fprintf(&b, "{\"end\":{\"nodes\":%d}}\n", n+1)
	return b.String()
}

// Long work shows how far it is at a terminal. An import that is killed in the middle is done again; a recursive delete
// asks whoever sits there.
func TestRaw_Terminal(t *testing.T) {
	const n = 40_000
	srv := servertest.New(t)
	c := srv.Dial(t)
	file := t.TempDir() + "/export"
	if err := os.WriteFile(file, []byte(exportOf(n)), 0o600); err != nil {
		t.Fatal(err)
	}
	fifo := t.TempDir() + "/fifo" // through which it comes slowly: from a file, all is imported before there is progress to show
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	p := sh(t, srv.DSN(), fmt.Sprintf("%s import /in <%s", docent(t), fifo))
	w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var feeding sync.WaitGroup
	defer feeding.Wait()
	feeding.Go(func() {
		for line := range strings.Lines(exportOf(n)) {
			if _, err := w.WriteString(line); err != nil {
				return // it has been killed
			}
			time.Sleep(time.Millisecond)
		}
	})
	p.sees(" nodes imported, ")
	p.cmd.Process.Signal(syscall.SIGKILL)
	<-p.ended
	script := fmt.Sprintf("%s import /in <%s", docent(t), file)
	if _, ok, err := c.Exists(t.Context(), "/in"); err != nil || !ok {
		t.Fatalf("nothing was imported: %v", err)
	}
	p = sh(t, srv.DSN(), script)
	p.sees(" there already\r\n")
	p.ends(0)
	if st, _, err := c.Exists(t.Context(), "/in"); err != nil || st.NumChildren != n {
		t.Errorf("%d children, %v", st.NumChildren, err)
	}
	p = sh(t, srv.DSN(), docent(t)+" export /in >"+file)
	p.sees(" nodes exported, ")
	p.sees(fmt.Sprintf("docent export: %d nodes\r\n", n+1))
	p.ends(0)
	p = atTerminal(t, t.TempDir(), srv.DSN(), "delete", "--recursive", "/in")
	p.sees(fmt.Sprintf("delete /in and the %d nodes below it? [y/N] ", n))
	p.types("n\n")
	p.sees("docent delete: nothing deleted")
	p.ends(1)
	p = atTerminal(t, t.TempDir(), srv.DSN(), "delete", "--recursive", "/in")
	p.sees("[y/N] ")
	p.types(ctrlC)
	p.sees("interrupt")
	p.ends(130)
	p = atTerminal(t, t.TempDir(), srv.DSN(), "delete", "--recursive", "/in")
	p.sees("[y/N] ")
	p.types("yes\n")
	p.sees(fmt.Sprintf("deleted %d nodes", n+1))
	p.ends(0)
}

// sh runs a line of the shell at a terminal.
func sh(t *testing.T, dsn, line string) *typist {
	t.Helper()
	return terminalOf(t, t.TempDir(), dsn, exec.Command("/bin/sh", "-c", "exec "+line))
}

// What people see cannot command their terminal; what programs read is as it is.
func TestRaw_TerminalIsNotCommanded(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	if _, err := c.Create(t.Context(), "/evil", []byte("a\x1b[2Jb\r\n\x9bc")); err != nil {
		t.Fatal(err)
	}
	p := atTerminal(t, t.TempDir(), srv.DSN(), "get", "/evil")
	p.sees(`a\x1b[2Jb\x0d` + "\r\n" + `\x9bc`)
	p.ends(0)
	mustVerb(t, "a\x1b[2Jb\r\n\x9bc", "get", "--dsn", srv.DSN(), "/evil")
}
