package peers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// Postgres is a PostgreSQL server of the Debian package postgresql, on a free loopback port, with an empty database.
type Postgres struct {
	*Process
	URL  string     // for clients; valid across restarts
	t    testing.TB // whose cleanup stops it
	addr string
	bin  string
	dir  string
	cmd  func(name string, args ...string) *exec.Cmd
}

// StartPostgres starts a server, which the test's cleanup stops: close its clients first. See [Missing] for where the
// package is not there. PostgreSQL does not run as root, so a test that does runs it as the package's user postgres.
func StartPostgres(t testing.TB) *Postgres {
	t.Helper()
	as, owner := serverUser(t)
	p := &Postgres{t: t, bin: postgresBin(t)}
	p.cmd = func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(p.bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = p.dir, as
		cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
		return cmd
	}
	var err error
	if p.dir, err = os.MkdirTemp("", "docent-postgres-"); err != nil { // t.TempDir is closed to other users
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(p.dir) })
	if as != nil {
		err = os.Chown(p.dir, owner, -1)
	}
	if err == nil {
		var out []byte
		if out, err = p.cmd("initdb", "-D", p.data(), "-U", "docent", "-A", "trust", "-E", "UTF8", "--no-sync").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	}
	if err != nil {
		t.Fatalf("initdb: %v", err)
	}
	p.addr = FreeAddr(t)
	p.URL = "postgres://docent@" + p.addr + "/postgres?sslmode=disable"
	p.serve()
	return p
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

func (p *Postgres) serve() {
	p.t.Helper()
	host, port, err := net.SplitHostPort(p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.Process = Start(p.t, "PostgreSQL", p.cmd("postgres", "-D", p.data(), "-h", host, "-p", port, "-k", "", "-c", "max_connections=20"))
	if _, err := p.Line("ready to accept connections", startTime); err != nil {
		p.t.Fatal(err)
	}
}

// Restart ends the server as a crash would, and starts it again, with the same address and data.
func (p *Postgres) Restart() {
	p.t.Helper()
	p.Signal(syscall.SIGQUIT) // PostgreSQL's "immediate shutdown": the next start recovers from the log
	<-p.ended
	p.serve()
}

// postgresBin finds the newest of the servers that are installed: Debian keeps them out of PATH.
func postgresBin(t testing.TB) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err == nil && len(found) > 0 {
		return filepath.Dir(slices.Max(found))
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		Missing(t, "PostgreSQL (Debian: apt-get install postgresql): %v", err)
	}
	return filepath.Dir(path)
}

// serverUser says whom to run the server as: ourselves, unless we are root.
func serverUser(t testing.TB) (as *syscall.SysProcAttr, uid int) {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil, 0
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		Missing(t, "the user postgres (Debian: apt-get install postgresql): %v", err)
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	group, gerr := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err, gerr); err != nil {
		t.Fatal(err)
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(id), Gid: uint32(group)}}, int(id)
}
