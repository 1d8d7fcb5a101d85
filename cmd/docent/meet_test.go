//go:build unix

package main_test

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
)

// lab is a server of its own, and verbs that are run on it.
type lab struct {
	*member
	t *testing.T
}

func newLab(t *testing.T) lab {
	t.Helper()
	m := standalone(t)
	m.args = append(m.args, "--4lw-whitelist", "*", "--min-session-timeout", "500ms")
	m.start()
	m.ready()
	return lab{m, t}
}

func (l lab) dsn() string { return "zk://" + l.addr + "?session=2s" }

// command is a docent with args that knows the server.
func (l lab) command(args ...string) *exec.Cmd {
	cmd := exec.Command(docent(l.t), args...)
	cmd.Env = append(cmd.Environ(), "DOCENT_DSN="+l.dsn(), "DOCENT_IDENTITY=")
	return cmd
}

// begin starts a verb that goes on.
func (l lab) begin(args ...string) *process {
	l.t.Helper()
	return run(l.t, "docent "+args[0], l.command(args...))
}

// do runs a verb to its end.
func (l lab) do(args ...string) (code int, stdout, stderr string) {
	l.t.Helper()
	p := l.begin(args...)
	code = p.exit()
	return code, p.stdout.String(), p.stderr.String()
}

// must runs a verb that has to succeed, and returns what it prints.
func (l lab) must(args ...string) string {
	l.t.Helper()
	code, stdout, stderr := l.do(args...)
	if code != 0 {
		l.t.Fatalf("docent %q: exit code %d\nstdout: %s\nstderr: %s", args, code, stdout, stderr)
	}
	return stdout
}

// fails runs a verb that has to end with code, and to say why in one line with want in it.
func (l lab) fails(code int, want string, args ...string) {
	l.t.Helper()
	got, stdout, stderr := l.do(args...)
	if got != code || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 || stdout != "" {
		l.t.Errorf("docent %q: exit code %d, want %d and one line with %q\nstdout: %s\nstderr: %s", args, got, code, want, stdout, stderr)
	}
}

// client returns a client that is closed at the end of the test.
func (l lab) client() *client.Client {
	l.t.Helper()
	return dial(l.t, 10*time.Second, l.addr)
}

// told ends a verb that goes on as an operator does, and checks that it takes that well.
func (l lab) told(p *process) {
	l.t.Helper()
	p.signal(syscall.SIGTERM)
	if code := p.exit(); code != 0 {
		l.t.Errorf("%s: exit code %d after TERM\nstderr: %s", p.name, code, p.stderr)
	}
}

// line waits for a line of p's stdout that begins with prefix.
func (l lab) line(p *process, prefix string) string {
	l.t.Helper()
	line, _, err := p.stdout.await(0, prefix)
	if err != nil {
		l.t.Fatalf("%s: %v\nstdout: %s\nstderr: %s", p.name, err, p.stdout, p.stderr)
	}
	return line
}

// owner returns the session that the node at path belongs to.
func (l lab) owner(c *client.Client, path string) int64 {
	l.t.Helper()
	n, err := c.Get(l.ctx(), path)
	if err != nil {
		l.t.Fatal(err)
	}
	return n.Stat.EphemeralOwner
}

// gone waits until there is no node at path.
func (l lab) gone(c *client.Client, path string) {
	l.t.Helper()
	testkit.Eventually(l.t, path+" goes", func() bool {
		_, there, err := c.Exists(l.ctx(), path, client.Fresh())
		return err == nil && !there
	})
}

func (l lab) ctx() context.Context {
	ctx, cancel := context.WithTimeout(l.t.Context(), patience)
	l.t.Cleanup(cancel)
	return ctx
}

// locked makes nodes that nobody may read or change.
func (l lab) locked(paths ...string) {
	l.t.Helper()
	c := l.client()
	nobody := client.DigestACL(client.PermAll, "nobody", "knows")
	for _, path := range paths {
		if _, err := c.Create(l.ctx(), path, nil, client.Parents()); err != nil && !errors.Is(err, client.ErrNodeExists) {
			l.t.Fatal(err)
		}
		if _, err := c.SetACL(l.ctx(), path, nobody, -1); err != nil {
			l.t.Fatal(err)
		}
	}
}

// refusals are what every verb that talks to servers must do: 64 with what is wrong on its command line, 69 where nothing
// answers, 77 where an ACL stands in its way.
type refusals struct {
	args  []string          // of a call that would do on a server; PATH stands for a path
	usage map[string]string // by further arguments: a part of what it says
}

func (l lab) refuses(x refusals) {
	l.t.Helper()
	with := func(path string, more ...string) []string {
		args := make([]string, 0, len(x.args)+len(more))
		for _, a := range x.args {
			args = append(args, strings.ReplaceAll(a, "PATH", path))
		}
		if i := slices.Index(args, "--"); i >= 0 { // behind it is a child
			return slices.Insert(args, i, more...)
		}
		return append(args, more...)
	}
	usage := map[string]string{"--nonsense": "--nonsense", "--json --format x": "exclude", "--format {{": "--format", "--dsn ftp://x": "--dsn"}
	for more, want := range x.usage {
		usage[more] = want
	}
	for more, want := range usage {
		l.fails(64, want, with("refused", strings.Fields(more)...)...)
	}
	l.fails(69, "no server reached", with("refused", "--dsn", "zk://127.0.0.1:1", "--connect", "200ms")...)
	l.fails(77, "not authorized", with("locked/x")...)
}
