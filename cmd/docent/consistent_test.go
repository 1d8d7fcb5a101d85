package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/groups"
	"github.com/docent-io/docent/lock"
	"github.com/docent-io/docent/rendezvous"
)

var (
	jsonKey     = regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)
	jsonSession = regexp.MustCompile(`^(0x[0-9a-f]+)?$`)
	jsonTimes   = []string{"created", "modified", "since", "registered", "connected", "heard", "expires", "time"}
)

// All verbs speak the same JSON: keys in one style, times as in RFC 3339, sessions as servers log them, no null. What
// people call addr elsewhere is an address here.
func TestJSON_OneHand(t *testing.T) {
	w := newLookout(t)
	ctx := t.Context()
	w.node(w.c, "/a/b", "x")
	w.ephemeral(w.c, "/a/live", "y")
	held, err := lock.New(w.c, "/locks/one").Lock(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Unlock(context.WithoutCancel(ctx))
	reg, err := groups.Register(ctx, w.c, groups.Instance{Service: "app", Host: "h", Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	if err := rendezvous.At[map[string]int](w.c, "/meet").Post(ctx, map[string]int{"port": 1}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"create /new x", "get /a/live", "stat /a/live", "ls /a", "tree /a", "set /a/b z", "acl get /a", "delete /new", "delete --recursive --yes /a",
		"config set /c {}", "config get /c", "rendezvous wait /meet", "svc ls app", "svc ls", "svc find app", "svc find app --one",
		"inspect /locks/one", "inspect /svc/app", "inspect --orphans", "lock ls /locks/one", "lock ls /", "top", "doctor",
		"status", "status --admin " + w.admin, "member list --admin " + w.admin, "barrier report /none",
	} {
		r := w.docent(append(strings.Fields(line), "--json")...)
		if r.code != 0 && r.stdout == "" {
			if strings.HasPrefix(line, "barrier") {
				continue // there is none
			}
			t.Errorf("docent %s --json: exit code %d, %s", line, r.code, r.stderr)
		}
		dec := json.NewDecoder(strings.NewReader(r.stdout))
		for n := 0; dec.More() || n == 0; n++ {
			var v any
			if err := dec.Decode(&v); err != nil {
				t.Errorf("docent %s --json: %v: %q", line, err, r.stdout)
				break
			}
			for _, what := range strangeJSON("", v) {
				t.Errorf("docent %s --json: %s in %s", line, what, r.stdout)
			}
		}
	}
}

// strangeJSON lists what is not as it is elsewhere.
func strangeJSON(key string, v any) (found []string) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			if !jsonKey.MatchString(k) || k == "addr" {
				found = append(found, fmt.Sprintf("key %q", k))
			}
			found = append(found, strangeJSON(k, inner)...)
		}
	case []any:
		for _, inner := range v {
			found = append(found, strangeJSON(key, inner)...)
		}
	case nil:
		found = append(found, fmt.Sprintf("%s is null", key))
	default:
		text := fmt.Sprint(v)
		_, err := time.Parse(time.RFC3339Nano, text)
		if slices.Contains(jsonTimes, key) && err != nil || key == "session" && !jsonSession.MatchString(text) {
			found = append(found, fmt.Sprintf("%s is %v", key, v))
		}
	}
	return found
}

// A variable that is not set must not become the root of the tree.
func TestUsage_EmptyPath(t *testing.T) {
	for _, line := range []string{
		"get", "stat", "ls", "tree", "export", "import", "sync", "watch", "delete --recursive --yes", "create", "acl get", "doctor", "top", "inspect",
		"inspect --orphans", "lock ls", "barrier report", "config get", "group list", "group join", "rendezvous wait", "svc ls",
	} {
		r := docentAt(t, "zk://127.0.0.1:1", append(strings.Fields(line), "")...)
		if r.code != exitUsage || !strings.Contains(r.stderr, "is empty") || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("docent %s \"\": exit code %d, %q", line, r.code, r.stderr)
		}
	}
	if r := docentAt(t, "zk://127.0.0.1:1", "set", "--connect", "1ms", "/a", ""); r.code != exitUnreachable {
		t.Errorf("empty data: exit code %d, %q", r.code, r.stderr) // which are data as all others
	}
}

// What is wrong is called by the name it was given by, in one line.
func TestUsage_NamesWhatIsWrong(t *testing.T) {
	for _, x := range []struct {
		line, want, not string
	}{
		{"lok", "did you mean lock", ""},
		{"foo", `unknown verb "foo"; docent help`, ""},
		{"delete /", "/ cannot be deleted", ""},
		{"get --timeout -1s /a", "want a time, or 0 for no limit", ""},
		{"get --timeout soon /a", `"soon"`, ""},
		{"get --dsn http://x /a", "--dsn: does not begin with zk://", "DOCENT_DSN"},
		{"get --dsn zks://127.0.0.1:1 --tls-ca /none /a", "--tls-ca: open /none", "DOCENT_CA"},
		{"get --dsn zks://127.0.0.1:1 --tls-cert /none /a", "need each other", ""},
		{"get --dsn zks://127.0.0.1:1 --tls-key /none /a", "need each other", ""},
		{"get --tls-ca /none /a", "zks://", ""},
		{"get --auth secret /a", "want USER:PASSWORD", "secret"},
		{"get --dsn zk://secret@127.0.0.1:1 /a", "want USER:PASSWORD", "secret"},
		{"get a b", `unexpected argument "b"`, ""},
		{"help nothing", `unknown verb "nothing"`, ""},
		{"help get a", `docent get has no verb "a"`, ""},
		{"help barrier lift", `docent barrier has no verb "lift"`, ""},
		{"elect --observe --wait 1s a", "--observe, only 0", ""},
		{"watch --once --wait 0 a", "--wait 0s", ""},
		{"create --ttl 400000h a", "--ttl 400000h", ""},
		{"once --key k --ttl 400000h", "--ttl 400000h", ""},
		{"completion tcsh", `"tcsh"`, ""},
	} {
		r := docentAt(t, "zk://127.0.0.1:1", strings.Fields(x.line)...)
		if r.code != exitUsage || !strings.Contains(r.stderr, x.want) || x.not != "" && strings.Contains(r.stderr, x.not) || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("docent %s: exit code %d, %q; want %q", x.line, r.code, r.stderr, x.want)
		}
	}
	if r := docentAt(t, "zk://127.0.0.1:1", "ls", "--connect", "500ms"); r.code != exitUnreachable || !strings.HasPrefix(r.stderr, "docent ls: no server reached within 500ms; 127.0.0.1:1") {
		t.Errorf("exit code %d, %q", r.code, r.stderr)
	}
}

// Errors speak of paths, and not of the protocol.
func TestErrors_InWords(t *testing.T) {
	w := newLookout(t)
	digest := client.ACL{Perms: client.PermAll, Scheme: "digest", ID: "u:x"}
	w.node(w.c, "/secret", "", client.WithACL([]client.ACL{digest}))
	for line, code := range map[string]int{
		"lock ls /secret": exitDenied, "inspect /secret": exitDenied, "get /secret": exitDenied, "inspect /none": exitError, "doctor /none": exitError,
		"sem --permits 0 none -- true": exitError, "lock --wait 1m secret/a -- true": exitDenied, "elect secret/a -- true": exitDenied,
	} {
		r := w.docent(strings.Fields(line)...)
		if r.code != code || strings.Contains(r.stderr, "session 0x") || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("docent %s: exit code %d, want %d: %q", line, r.code, code, r.stderr)
		}
	}
	held, err := lock.New(w.c, "/taken").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Unlock(context.WithoutCancel(t.Context()))
	w.docent("lock", "--wait", "50ms", "taken", "--", "true").shows(t, exitTemporary, "taken: not had within 50ms")
}

// Whoever waits for one event, and is told to end before it, has waited in vain.
func TestWatch_OnceInVain(t *testing.T) {
	w := newLookout(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	began := writerFunc(func(p []byte) (int, error) {
		cancel(&exit{code: 130, err: context.Canceled})
		return len(p), nil
	})
	env := env{args: []string{"watch", "--once", "--dsn", w.srv.DSN(), "/a"}, stdin: strings.NewReader(""), stdout: began, stderr: &bytes.Buffer{}, getenv: func(string) string { return "" }}
	if code := run(ctx, env); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
