package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/servertest"
)

// lookout is a server with something to look at.
type lookout struct {
	t   *testing.T
	srv *servertest.Server
	c   *client.Client

	admin string // its address for operators
}

func newLookout(t *testing.T, o ...servertest.Option) *lookout {
	t.Helper()
	admin := freeAddr(t)
	srv := servertest.New(t, append(o, servertest.WithConfig(func(cfg *server.Config) { cfg.AdminListen = admin }))...)
	return &lookout{t, srv, srv.Dial(t), admin}
}

// freeAddr returns an address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// node makes a node, and its parents.
func (w *lookout) node(c *client.Client, path, data string, o ...client.CreateOption) string {
	w.t.Helper()
	n, err := c.Create(w.t.Context(), path, []byte(data), append(o, client.Parents())...)
	if err != nil {
		w.t.Fatal(err)
	}
	return n.Path
}

// ephemeral makes a node that goes with its client.
func (w *lookout) ephemeral(c *client.Client, path, data string, o ...client.CreateOption) string {
	w.t.Helper()
	return w.node(c, path, data, append(o, client.Ephemeral())...)
}

// printed is what a verb printed.
type printed struct {
	code           int
	stdout, stderr string
}

// docent runs a verb in this process.
func (w *lookout) docent(args ...string) printed {
	w.t.Helper()
	return docentAt(w.t, "zk://"+w.srv.Addr(), args...)
}

func docentAt(t *testing.T, dsn string, args ...string) printed {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	env := env{args: args, stdin: strings.NewReader(""), stdout: &out, stderr: &errs, getenv: func(name string) string {
		if name == "DOCENT_DSN" {
			return dsn
		}
		return ""
	}}
	code := run(ctx, env)
	return printed{code, out.String(), errs.String()}
}

// into decodes what a verb printed with --json.
func (r printed) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.stdout), v); err != nil {
		t.Fatalf("exit code %d, stdout %q, stderr %q: %v", r.code, r.stdout, r.stderr, err)
	}
}

// shows fails the test unless the verb ended with code and printed all of want.
func (r printed) shows(t *testing.T, code int, want ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d", r.code, code)
	}
	for _, s := range want {
		if !strings.Contains(r.stdout+r.stderr, s) {
			t.Errorf("it does not tell of %q", s)
		}
	}
	if t.Failed() {
		t.Fatalf("stdout:\n%s\nstderr:\n%s", r.stdout, r.stderr)
	}
}

func idsOf(list []contender) string {
	var all []string
	for _, c := range list {
		all = append(all, c.ID)
	}
	return strings.Join(all, " ")
}
