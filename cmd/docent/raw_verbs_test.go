package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/servertest"
)

// callResult is what a command line came to.
type callResult struct {
	code           int
	stdout, stderr string
}

// call runs a command line in this process, against the ensemble at dsn.
func call(t testing.TB, dsn, stdin string, args ...string) callResult {
	t.Helper()
	var stdout, stderr bytes.Buffer
	e := env{args: args, stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr, getenv: func(name string) string {
		return map[string]string{"DOCENT_DSN": dsn}[name]
	}}
	code := run(t.Context(), e)
	return callResult{code, stdout.String(), stderr.String()}
}

// must calls what has to succeed, in silence on stderr, and returns stdout.
func must(t testing.TB, dsn, stdin string, args ...string) string {
	t.Helper()
	r := call(t, dsn, stdin, args...)
	if r.code != 0 || r.stderr != "" {
		t.Fatalf("docent %q: exit code %d\nstdout: %s\nstderr: %s", args, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// fails calls what has to fail with a code and one line that contains all of want.
func fails(t testing.TB, dsn, stdin string, code int, want string, args ...string) {
	t.Helper()
	r := call(t, dsn, stdin, args...)
	if r.code != code || r.stdout != "" || strings.Count(r.stderr, "\n") != 1 || !strings.HasPrefix(r.stderr, "docent "+args[0]) || !strings.Contains(r.stderr, want) {
		t.Errorf("docent %q: exit code %d, want %d and one line with %q\nstdout: %s\nstderr: %s", args, r.code, code, want, r.stdout, r.stderr)
	}
}

// is checks what was printed.
func is(t testing.TB, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRaw_CreateGetSetDelete(t *testing.T) {
	srv := servertest.New(t, servertest.WithConfig(func(cfg *server.Config) { cfg.ExtendedTypes = true }))
	dsn, file := srv.DSN(), filepath.Join(t.TempDir(), "data")
	binary := "a\x00b\xff\r\n"
	if err := os.WriteFile(file, []byte(binary), 0o600); err != nil {
		t.Fatal(err)
	}
	is(t, must(t, dsn, "", "create", "/a", "first"), "/a\n")
	is(t, must(t, dsn, "", "get", "/a"), "first")
	is(t, must(t, dsn, "", "set", "a", "second"), "") // a leading slash may be left out
	is(t, must(t, dsn, "", "get", "a/"), "second")
	is(t, must(t, dsn, binary, "set", "/a", "-"), "")
	is(t, must(t, dsn, "", "get", "/a"), binary)
	is(t, must(t, dsn, "", "create", "/b", "@"+file), "/b\n")
	is(t, must(t, dsn, "", "get", "/b", "--fresh"), binary)
	is(t, must(t, dsn, "", "set", "/a", "--", "-dash"), "")
	is(t, must(t, dsn, "", "get", "--format", "{{.Path}} {{.Stat.Version}} {{printf `%s` .Data}}", "/a"), "/a 3 -dash\n")
	is(t, must(t, dsn, "", "set", "/a", "", "--format", "{{.Stat.Version}}"), "4\n")
	var n znode
	if err := json.Unmarshal([]byte(must(t, dsn, "", "get", "--json", "/b")), &n); err != nil || string(n.Data) != binary || n.Stat.DataLength != int32(len(binary)) {
		t.Errorf("as JSON: %+v, %v", n, err)
	}
	is(t, must(t, dsn, "", "create", "/dir/deep/", "--parents", "--sequential"), "/dir/deep/0000000000\n")
	is(t, must(t, dsn, "", "create", "/dir/n-", "x", "--sequential", "--ttl", "1h"), "/dir/n-0000000001\n")
	is(t, must(t, dsn, "", "create", "/dir/box", "--container", "--format", "{{.Path}}"), "/dir/box\n")
	is(t, must(t, dsn, "", "create", "/ü m\u2603", "with blanks"), "/ü m\u2603\n")
	is(t, must(t, dsn, "", "get", "/ü m\u2603"), "with blanks")
	is(t, must(t, dsn, "", "delete", "/b", "--version", "0"), "")
	is(t, must(t, dsn, "", "delete", "/dir", "--recursive"), "deleted 5 nodes\n")
	is(t, must(t, dsn, "", "sync"), "")

	fails(t, dsn, "", 1, "docent get: /b: node does not exist", "get", "/b")
	fails(t, dsn, "", 1, "docent create: /a: node exists", "create", "/a")
	fails(t, dsn, "", 1, "/x/y: its parent does not exist; --parents makes it", "create", "/x/y")
	fails(t, dsn, "", 75, "/a: ", "set", "/a", "x", "--version", "9")
	fails(t, dsn, "", 75, "/a: ", "delete", "/a", "--version", "9")
	fails(t, dsn, "", 1, "node does not exist", "delete", "/b", "--recursive")
	fails(t, dsn, "", 64, "has an empty name", "get", "/a//b")
	fails(t, dsn, "", 64, `has the name ".."`, "get", "/a/../b")
}

func TestRaw_CommandLines(t *testing.T) {
	dsn := servertest.New(t).DSN()
	for _, x := range []struct{ want, args string }{
		{"PATH is missing", "get"}, {`unexpected argument "b"`, "get a b"}, {"unknown flag: --loud", "get a --loud"},
		{"--json and --format exclude each other", "get a --json --format x"}, {"--format", "get a --format {{"},
		{"DATA is missing", "set a"}, {"no such file", "set a @/no/such"}, {"invalid argument", "set a b --version x"},
		{"PATH is missing", "create"}, {"--hold need", "create a --ephemeral"}, {"--hold need", "create a --hold"},
		{"exclude each other", "create a --container --sequential"}, {"exclude each other", "create a --ttl 1h --container"},
		{"--ttl -1s", "create a --ttl -1s"}, {"SCHEME:ID:PERMISSIONS", "create a --acl world"},
		{"exclude each other", "delete a --recursive --version 1"}, {"/ cannot be deleted", "delete --recursive /"},
		{"unexpected argument", "ls a b"}, {"--depth -1", "tree --depth -1"}, {"PATH is missing", "stat"},
		{"PATH is missing", "watch"}, {"--wait 1s", "watch a --wait 1s"}, {"ENTRY is missing", "acl set a"}, {"want digest, get or set", "acl"},
		{"SCHEME:ID:PERMISSIONS", "acl set a world:anyone:xyz"}, {"USER:PASSWORD", "acl digest ann"}, {"unexpected argument", "txn a"},
		{"--dsn", "get a --dsn http://x"}, {"unknown key", "get a --dsn zk://a?x=1"}, {"--connect 0s", "get a --connect 0s"}, {"--session", "get a --session -1s"},
		{"--tls-ca", "get a --dsn zks://127.0.0.1:1 --tls-ca /no/such"}, {"need each other", "get a --dsn zks://127.0.0.1:1 --tls-cert /no/such"},
	} {
		fails(t, dsn, "", 64, x.want, strings.Fields(x.args)...)
	}
}

// A server that is not there, and one that answers nothing, are 69; what the ACL refuses is 77.
func TestRaw_ExitCodes(t *testing.T) {
	srv := servertest.New(t)
	dsn := srv.DSN()
	must(t, dsn, "", "create", "/secret", "x", "--acl", strings.TrimSpace(must(t, dsn, "", "acl", "digest", "ann:pw")))
	must(t, dsn, "", "create", "/open/below", "x", "--parents")
	verbs := [][]string{
		{"get", "/secret"}, {"set", "/secret", "x"}, {"create", "/secret/x"}, {"ls", "/secret"}, {"stat", "/secret"},
		{"acl", "set", "/secret", "world:anyone:r"}, {"tree", "/secret"},
	}
	for _, v := range verbs {
		fails(t, dsn, "", 77, "", v...)
		fails(t, dsn, "", 77, "", append(slices.Clone(v), "--auth", "ann:wrong")...)
	}
	fails(t, dsn, "set /secret x\n", 77, "line 1, set /secret", "txn")
	is(t, must(t, dsn, "", "get", "/secret", "--auth", "ann:pw"), "x")
	is(t, must(t, dsn, "", "get", "/secret", "--dsn", strings.Replace(dsn, "zk://", "zk://ann:pw@", 1)), "x")
	verbs = append(verbs, []string{"watch", "/a"}, []string{"sync"}, []string{"delete", "/a"}, []string{"delete", "/open", "--recursive"}, []string{"acl", "get", "/a"})
	srv.Kill()
	for _, v := range verbs {
		fails(t, dsn, "", 69, "refused", append(slices.Clone(v), "--connect", "500ms")...)
	}
	fails(t, dsn, "create /a\n", 69, "refused", "txn", "--connect", "500ms")
}

func TestRaw_ServerThatAnswersNothing(t *testing.T) {
	srv := servertest.New(t)
	for _, v := range [][]string{{"get", "/"}, {"set", "/", "x"}, {"ls", "--fresh"}, {"tree"}, {"delete", "--recursive", "/zookeeper/quota"}} {
		srv.Inject(servertest.DelayReply("any", 1, time.Minute))
		r := call(t, srv.DSN(), "", append(v, "--timeout", "200ms")...)
		want := "no answer within 200ms\n"
		if v[0] == "set" {
			want = "no answer within 200ms; it may have been applied\n"
		}
		if r.code != 69 || !strings.HasSuffix(r.stderr, want) || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("docent %q: exit code %d, %s", v, r.code, r.stderr)
		}
		srv.Cut()
	}
}

func TestRaw_LsTreeStat(t *testing.T) {
	srv := servertest.New(t)
	dsn, c := srv.DSN(), srv.Dial(t)
	for _, p := range []string{"/a", "/a/two", "/a/one", "/a/one/x", "/a/one/y", "/a/three"} {
		if _, err := c.Create(t.Context(), p, []byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), "/a/two/live", nil, client.Ephemeral()); err != nil {
		t.Fatal(err)
	}
	is(t, must(t, dsn, "", "ls"), "a\nzookeeper\n")
	is(t, must(t, dsn, "", "ls", "/a/"), "one\nthree\ntwo\n")
	is(t, must(t, dsn, "", "ls", "/a/three"), "")
	is(t, must(t, dsn, "", "ls", "/a/three", "--json"), "[]\n")
	is(t, must(t, dsn, "", "ls", "/a", "--format", "{{.Path}} {{.Stat.NumChildren}}"), "/a/one 2\n/a/three 0\n/a/two 1\n")
	long := must(t, dsn, "", "ls", "--long", "/a/two")
	if !strings.Contains(long, "VERSION") || !strings.Contains(long, fmt.Sprintf("%#x  live\n", uint64(s.ID()))) {
		t.Errorf("ls --long: %s", long)
	}
	is(t, must(t, dsn, "", "tree", "/a"), "/a\n├── one\n│   ├── x\n│   └── y\n├── three\n└── two\n    └── live*\n")
	is(t, must(t, dsn, "", "tree", "/a", "--depth", "1"), "/a\n├── one +2\n├── three\n└── two +1\n")
	is(t, must(t, dsn, "", "tree", "/a/one", "--format", "{{.Depth}} {{.Path}}"), "0 /a/one\n1 /a/one/x\n1 /a/one/y\n")
	var b branch
	if err := json.Unmarshal([]byte(must(t, dsn, "", "tree", "/a/one/x", "--json")), &b); err != nil || b.Path != "/a/one/x" || b.Stat.DataLength != 8 {
		t.Errorf("tree --json: %+v, %v", b, err)
	}
	is(t, must(t, dsn, "", "stat", "--format", "{{.Path}} {{.Stat.NumChildren}}", "/a"), "/a 3\n")
	text := must(t, dsn, "", "stat", "/a/two/live")
	if !strings.Contains(text, fmt.Sprintf("ephemeral of  session %#x", uint64(s.ID()))) || !strings.Contains(text, "version 0  0 bytes") {
		t.Errorf("stat: %s", text)
	}
	for _, v := range []string{"ls", "tree", "stat"} {
		fails(t, dsn, "", 1, "/b: node does not exist", v, "/b")
	}
	chroot := dsn + "/a"
	is(t, must(t, chroot, "", "ls"), "one\nthree\ntwo\n")
	is(t, must(t, chroot, "", "tree", "one"), "/one\n├── x\n└── y\n")
	is(t, must(t, chroot, "", "get", "one/x"), "/a/one/x")
	is(t, must(t, chroot, "", "delete", "--recursive", "one"), "deleted 3 nodes\n")
}

func TestRaw_ACL(t *testing.T) {
	srv := servertest.New(t)
	dsn := srv.DSN()
	must(t, dsn, "", "create", "/a")
	is(t, must(t, dsn, "", "acl", "get", "/a"), "world:anyone:rwcda\n")
	ann := strings.TrimSpace(must(t, dsn, "ann:pw\n", "acl", "digest", "-"))
	is(t, ann, "digest:ann:"+strings.TrimPrefix(client.DigestACL(1, "ann", "pw")[0].ID, "ann:")+":rwcda")
	is(t, must(t, dsn, "", "acl", "set", "/a", ann, "world:anyone:r,ip:10.0.0.0/8:rw"), "")
	is(t, must(t, dsn, "", "acl", "get", "/a"), "digest:ann:x:rwcda\nworld:anyone:r\nip:10.0.0.0/8:rw\n") // who may not set it does not see the hash
	is(t, must(t, dsn, "", "acl", "get", "/a", "--auth", "ann:pw"), ann+"\nworld:anyone:r\nip:10.0.0.0/8:rw\n")
	var a accessList
	if err := json.Unmarshal([]byte(must(t, dsn, "", "acl", "get", "--json", "/a")), &a); err != nil || a.Version != 1 || len(a.ACL) != 3 {
		t.Errorf("as JSON: %+v, %v", a, err)
	}
	fails(t, dsn, "", 77, "/a", "acl", "set", "/a", "world:anyone:rwcda")
	fails(t, dsn, "", 75, "/a", "acl", "set", "/a", "world:anyone:rwcda", "--version", "7", "--auth", "ann:pw")
	is(t, must(t, dsn, "", "acl", "set", "/a", "auth::rwcda", "--auth", "bob:b", "--auth", "ann:pw", "--format", "{{.Version}}"), "2\n")
	fails(t, dsn, "", 1, "ACL", "acl", "set", "/zookeeper", "nosuch:x:r")
}

func TestParseACL(t *testing.T) {
	for text, want := range map[string][]client.ACL{
		"world:anyone:cdrwa": {{Perms: 31, Scheme: "world", ID: "anyone"}},
		"auth::r":            {{Perms: 1, Scheme: "auth"}},
		"auth:r":             {{Perms: 1, Scheme: "auth"}},
		"digest:a:h=:w,x509:CN=a,O=b c,C=d:ra,ip:::1:c": {
			{Perms: 2, Scheme: "digest", ID: "a:h="}, {Perms: 17, Scheme: "x509", ID: "CN=a,O=b c,C=d"}, {Perms: 4, Scheme: "ip", ID: "::1"}},
		"": nil, "r": nil, ":r": nil, "world:anyone:": nil, "world:anyone:r,": nil, "world:anyone:r,x": nil, "world:anyone:R": nil,
	} {
		got, err := parseACL([]string{text})
		if err == nil != (want != nil) || err == nil && !slices.Equal(got, want) {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
		if want != nil {
			if again, err := parseACL(formatACL(got)); err != nil || !slices.Equal(again, got) {
				t.Errorf("%q: written and read again: %+v, %v", text, again, err)
			}
		}
	}
}

func TestRaw_Txn(t *testing.T) {
	dsn := servertest.New(t).DSN()
	must(t, dsn, "", "create", "/a", "1")
	script := "# a comment\n\ncheck /a --version 0\n  set /a 'two words' --version 0\ncreate /b \"it's\" --acl world:anyone:rwcda\ncreate /a/n- --sequential\ncreate /c\ndelete /c\ncommit\nnonsense"
	is(t, must(t, dsn, script, "txn"), "checked /a\nset /a version 1\ncreated /b\ncreated /a/n-0000000000\ncreated /c\ndeleted /c\n")
	is(t, must(t, dsn, "", "get", "/a"), "two words")
	is(t, must(t, dsn, "", "get", "/b"), "it's")
	is(t, must(t, dsn, "", "txn"), "")
	is(t, must(t, dsn, "delete /a\nabort\n", "txn"), "")
	is(t, must(t, dsn, "set /b x\nset /b y", "txn", "--format", "{{.Op}} {{.Path}} {{.Stat.Version}}"), "set /b 1\nset /b 2\n")

	fails(t, dsn, "create /d\nset /a x --version 7\ncreate /e", 75, "nothing done: line 2, set /a", "txn")
	fails(t, dsn, "create /d\ncheck /no\n", 1, "line 2, check /no: node does not exist", "txn")
	fails(t, dsn, "create /d\nget /a", 64, `line 2: "get": want check, create`, "txn")
	fails(t, dsn, "set /a", 64, "line 1: DATA is missing", "txn")
	fails(t, dsn, "delete /a --loud", 64, "line 1: unknown flag", "txn")
	fails(t, dsn, "set /a 'open", 64, "line 1: a quote", "txn")
	fails(t, dsn, "set /a -", 64, "line 1: -: stdin", "txn")
	r := call(t, dsn, "create /d\nset /a x --version 7\ncreate /e\n", "txn", "--json")
	var steps []txnStep
	if err := json.Unmarshal([]byte(r.stdout), &steps); err != nil || r.code != 75 {
		t.Fatalf("exit code %d, %q: %v", r.code, r.stdout, err)
	}
	if len(steps) != 3 || steps[0].Error != "" || steps[1].Error == "" || steps[2].Error == "" || steps[1].Path != "/a" {
		t.Errorf("as JSON: %+v", steps)
	}
	fails(t, dsn, "", 1, "/d: node does not exist", "get", "/d")
}

func TestWords(t *testing.T) {
	for line, want := range map[string][]string{
		"": nil, "  ": nil, "a  b\tc": {"a", "b", "c"}, `'a b' "c d" e\ f`: {"a b", "c d", "e f"}, `''`: {""}, `a''b`: {"ab"}, `"\"\\\n"`: {`"\\n`}, `'\'`: {`\`},
	} {
		if got, err := splitWords(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
	for _, line := range []string{`'a`, `"a`, `a\`, `"a\`} {
		if _, err := splitWords(line); err == nil {
			t.Errorf("%q: no error", line)
		}
	}
	for _, word := range []string{"", "a b", "it's", `"`, `\`, "#x", "ü\u2603", "a'b\"c\\d e"} {
		if got, err := splitWords("x " + quoteWord(word) + " y"); err != nil || len(got) != 3 || got[1] != word {
			t.Errorf("%q: %q, %v", word, got, err)
		}
	}
}

// lines are what a verb prints while it runs.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// next waits for what is printed next.
func (l lines) next(t testing.TB, want string) {
	t.Helper()
	select {
	case got := <-l:
		if !strings.HasPrefix(got, want) {
			t.Fatalf("printed %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("nothing printed, want %q", want)
	}
}

// begin runs a verb until stop is called, which returns its exit code.
func begin(t testing.TB, dsn string, args ...string) (stdout, stderr lines, stop func() int) {
	stdout, stderr = make(lines, 1000), make(lines, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, env{args: args, stdin: strings.NewReader(""), stdout: stdout, stderr: stderr, getenv: func(name string) string {
			return map[string]string{"DOCENT_DSN": dsn}[name]
		}})
	}()
	t.Cleanup(cancel)
	return stdout, stderr, func() int {
		cancel()
		return <-code
	}
}

func TestRaw_Watch(t *testing.T) {
	srv := servertest.New(t)
	dsn, c := srv.DSN(), srv.Dial(t)
	out, errs, stop := begin(t, dsn, "watch", "/a")
	out.next(t, "watching /a\n")
	must(t, dsn, "", "create", "/a")
	out.next(t, "created /a zxid 0x")
	must(t, dsn, "", "set", "/a", "x")
	out.next(t, "changed /a zxid 0x")
	must(t, dsn, "", "create", "/a/b")
	out.next(t, "children /a zxid 0x")
	srv.Restart()
	errs.next(t, "docent watch: suspended\n")
	errs.next(t, "docent watch: connected\n")
	out.next(t, "resync /a\n")
	must(t, dsn, "", "delete", "/a", "--recursive")
	out.next(t, "children /a")
	out.next(t, "deleted /a")
	if code := stop(); code != 0 {
		t.Errorf("exit code %d after a signal", code)
	}

	out, _, stop = begin(t, dsn, "watch", "--recursive", "--json", "/")
	out.next(t, `{"event":"watching","path":"/"}`)
	if _, err := c.Create(t.Context(), "/x", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(t.Context(), "/x/y", nil); err != nil {
		t.Fatal(err)
	}
	out.next(t, `{"event":"created","path":"/x","zxid":`)
	out.next(t, `{"event":"created","path":"/x/y","zxid":`)
	stop()

	out, _, stop = begin(t, dsn, "watch", "--once", "--format", "{{.Event}} {{.Path}}", "/once")
	out.next(t, "watching /once\n")
	must(t, dsn, "", "create", "/once")
	out.next(t, "created /once\n")
	if code := stop(); code != 0 {
		t.Errorf("exit code %d of watch --once", code)
	}
	r := call(t, dsn, "", "watch", "--once", "--wait", "500ms", "/never")
	if r.code != 75 || r.stdout != "watching /never\n" || r.stderr != "docent watch: nothing happened to /never within 500ms\n" {
		t.Errorf("%+v", r)
	}
}

// The session may expire: the watch goes on in the next one, and tells that something may be missing.
func TestRaw_WatchOverSessions(t *testing.T) {
	srv := servertest.New(t)
	c := srv.Dial(t)
	out := make(lines, 100)
	w := &watching{path: "/a", mode: client.Persistent, print: func(o occurrence) error { return o.write(out) }}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx, c) }()
	out.next(t, "watching /a\n")
	srv.Expire(c)
	out.next(t, "resync /a\n")
	must(t, srv.DSN(), "", "create", "/a")
	out.next(t, "created /a")
	cancel()
	<-ended
}

// With a server that knows no lasting watches, those for one event do.
func TestRaw_WatchOneByOne(t *testing.T) {
	srv := servertest.New(t)
	dsn, c := srv.DSN(), srv.Dial(t)
	out := make(lines, 100)
	w := &watching{path: "/a", print: func(o occurrence) error { return o.write(out) }}
	s, err := c.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.oneByOne(ctx, s, true) }()
	out.next(t, "watching /a\n")
	for range 3 {
		must(t, dsn, "", "create", "/a")
		out.next(t, "created /a")
		must(t, dsn, "", "set", "/a", "x")
		out.next(t, "changed /a")
		must(t, dsn, "", "create", "/a/b")
		out.next(t, "children /a")
		must(t, dsn, "", "delete", "/a/b")
		out.next(t, "children /a")
		must(t, dsn, "", "delete", "/a")
		out.next(t, "deleted /a")
	}
	cancel()
	<-ended
}

func TestRaw_HoldEphemeral(t *testing.T) {
	srv := servertest.New(t)
	dsn, c := srv.DSN(), srv.Dial(t)
	out, _, stop := begin(t, dsn, "create", "/e", "--ephemeral", "--hold", "--timeout", "1s")
	out.next(t, "/e\n")
	if st, ok, err := c.Exists(t.Context(), "/e"); err != nil || !ok || st.EphemeralOwner == 0 {
		t.Errorf("%+v, %v, %v", st, ok, err)
	}
	if code := stop(); code != 0 {
		t.Errorf("exit code %d after a signal", code)
	}
	if _, ok, err := c.Exists(t.Context(), "/e"); err != nil || ok {
		t.Errorf("the ephemeral is still there: %v", err)
	}
}
