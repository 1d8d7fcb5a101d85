package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/interop/peers"
	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/servertest"
)

// plant creates nodes below a path: wide ones, deep ones, and some that are hard to write down.
func plant(t testing.TB, c *client.Client, at string, n int) {
	t.Helper()
	ctx := t.Context()
	create := func(path string, data []byte, o ...client.CreateOption) {
		if _, err := c.Create(ctx, path, data, o...); err != nil {
			t.Fatal(err)
		}
	}
	create(at, []byte("top"))
	for _, name := range []string{"a b", "ü\u2603", `quo"te'\`, "<&>", "%2F", "-dash", "#", "…"} {
		create(at+"/"+name, []byte(name))
		create(at+"/"+name+"/below", nil)
	}
	create(at+"/empty", []byte{})
	create(at+"/binary", []byte{0, 1, 0xff, '\n', 0x80})
	create(at+"/large", bytes.Repeat([]byte{0xa5}, 1_000_000))
	create(at+"/acl", []byte("kept"), client.WithACL([]client.ACL{{Perms: 31, Scheme: "world", ID: "anyone"}, {Perms: 1, Scheme: "ip", ID: "10.0.0.0/8"}}))
	create(at+"/closed", []byte("secret"), client.WithACL(append(client.DigestACL(31, "ann", "pw"), client.WorldACL(16)...)))
	create(at+"/deep"+strings.Repeat("/d", 50), nil, client.Parents())
	create(at+"/wide", nil)
	s, err := c.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for left := n; left > 0; left -= 1000 {
		b := s.Batch()
		for i := range min(left, 1000) {
			b.Create(fmt.Sprintf("%s/wide/n%08d", at, left-i), fmt.Appendf(nil, "data of %d", i))
		}
		if err := b.Do(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		create(at+"/deep/live-", nil, client.Ephemeral(), client.Sequential())
	}
	for range 7 {
		create(at+"/wide/seq-", nil, client.Sequential())
	}
	if err := c.Delete(ctx, at+fmt.Sprintf("/wide/seq-%010d", n+6), -1); err != nil {
		t.Fatal(err)
	}
}

// planted is how many nodes plant makes that are no ephemerals, n included.
func planted(n int) int { return 1 + 16 + 5 + 51 + 1 + n + 6 }

// sameNodes checks that all below a path of one ensemble is below a path of another, and nothing else, ephemerals aside.
func sameNodes(t testing.TB, a *client.Client, at string, b *client.Client, bt string) {
	t.Helper()
	x := exportWalk{c: a, root: at, told: func(int) {}}
	y := exportWalk{c: b, root: bt, told: func(int) {}}
	read := func(x *exportWalk) (lines []string) {
		if err := x.walk(t.Context(), func(r exportRecord) error {
			r.Counter = 0
			line, err := json.Marshal(r)
			lines = append(lines, string(line))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return lines
	}
	want, got := read(&x), read(&y)
	if !slices.Equal(want, got) {
		for i := range min(len(want), len(got)) {
			if want[i] != got[i] {
				t.Fatalf("line %d of %d and %d: %.300s, want %.300s", i, len(got), len(want), got[i], want[i])
			}
		}
		t.Fatalf("%d nodes, want %d", len(got), len(want))
	}
}

func withAnn(cfg *client.Config) {
	cfg.Auth = []client.Auth{{Scheme: "digest", Data: []byte("ann:pw")}}
}

func TestTransfer_RoundTrip(t *testing.T) {
	from, to := servertest.New(t), servertest.New(t)
	a, b := from.Dial(t, withAnn), to.Dial(t, withAnn)
	const n = 3000
	plant(t, a, "/app", n)
	if r := call(t, from.DSN(), "", "export", "/app"); r.code != 77 || !strings.Contains(r.stderr, "docent export: /app/closed: ") {
		t.Errorf("what the ACL refuses: %d, %s", r.code, r.stderr)
	}
	r := call(t, from.DSN(), "", "export", "/app", "--auth", "ann:pw")
	if want := fmt.Sprintf("docent export: %d nodes, 3 ephemerals left out\n", planted(n)); r.code != 0 || r.stderr != want {
		t.Fatalf("exit code %d: %s, want %s", r.code, r.stderr, want)
	}
	file := r.stdout
	auth := []string{"--auth", "ann:pw"}
	want := fmt.Sprintf("%d nodes to be created, 3 ephemerals left out\n", planted(n))
	is(t, must(t, to.DSN(), file, append([]string{"import", "--dry-run", "/in/there"}, auth...)...), want)
	if _, ok, err := b.Exists(t.Context(), "/in"); ok || err != nil {
		t.Fatalf("a dry run left something: %v", err)
	}
	is(t, must(t, to.DSN(), file, append([]string{"import", "/in/there"}, auth...)...), strings.Replace(want, "to be created", "created", 1))
	sameNodes(t, a, "/app", b, "/in/there")
	again := fmt.Sprintf("0 nodes created, %d there already, 3 ephemerals left out\n", planted(n))
	is(t, must(t, to.DSN(), file, append([]string{"import", "/in/there"}, auth...)...), again)
	is(t, must(t, to.DSN(), file, append([]string{"import", "/in/there", "--dry-run"}, auth...)...), strings.Replace(again, "created", "to be created", 1))

	// Directly, and through chroots.
	is(t, must(t, to.DSN(), "", append([]string{"import", "--from", from.DSN(), "--from-path", "/app", "/direct"}, auth...)...), strings.Replace(want, "to be created", "created", 1))
	sameNodes(t, a, "/app", b, "/direct")
	is(t, must(t, to.DSN()+"/ch/root", "", append([]string{"import", "--from", from.DSN() + "/app"}, auth...)...), strings.Replace(want, "to be created", "created", 1))
	sameNodes(t, a, "/app", b, "/ch/root")
	r = call(t, to.DSN()+"/ch/root", "", "export", "--skip-denied")
	if !strings.HasSuffix(r.stderr, fmt.Sprintf(" %d nodes, 1 denied\n", planted(n)-1)) {
		t.Errorf("with --skip-denied: %s", r.stderr)
	}
}

func TestTransfer_Conflicts(t *testing.T) {
	srv := servertest.New(t)
	dsn, c := srv.DSN(), srv.Dial(t)
	must(t, dsn, "", "create", "/a", "1")
	for _, name := range []string{"b", "c", "d"} {
		must(t, dsn, "", "create", "/a/"+name, name)
	}
	file := call(t, dsn, "", "export", "/a").stdout
	must(t, dsn, "", "set", "/a/b", "other")
	must(t, dsn, "", "acl", "set", "/a/c", "world:anyone:ra", "ip:1.2.3.4:rwcda")
	must(t, dsn, "", "delete", "/a/d")
	fails(t, dsn, file, 1, "after 0 nodes to be created, 1 there already: /a/b is there with other data", "import", "/a", "--dry-run")
	is(t, must(t, dsn, file, "import", "/a", "--dry-run", "--on-conflict", "replace"), "1 nodes to be created, 1 there already, 2 replaced\n")
	fails(t, dsn, file, 1, "/a/b is there with other data", "import", "/a")
	is(t, must(t, dsn, file, "import", "/a", "--on-conflict", "skip"), "0 nodes created, 4 left as they are\n")
	is(t, must(t, dsn, file, "import", "/a", "--on-conflict", "replace", "--json"), `{"created":0,"same":2,"replaced":2,"kept":0,"lesser":0,"left":0}`+"\n")
	is(t, must(t, dsn, "", "get", "/a/b"), "b")
	is(t, must(t, dsn, "", "acl", "get", "/a/c"), "world:anyone:rwcda\n")
	must(t, dsn, "", "create", "/closed", "--acl", "world:anyone:r")
	fails(t, dsn, file, 77, "/closed/b", "import", "/closed", "--on-conflict", "skip")
	_ = c
}

func TestTransfer_BadInput(t *testing.T) {
	dsn := servertest.New(t).DSN()
	head := `{"docent-export":1,"root":"/"}` + "\n"
	node := `{"path":"/a","data":null}` + "\n"
	root := `{"path":"/","data":null}` + "\n"
	end := `{"end":{"nodes":1}}` + "\n"
	for _, x := range []struct {
		code     int
		want, in string
	}{
		{64, "stdin is empty", ""}, {64, "line 1: this is no export", "hello\n"}, {64, "line 1: this is no export", "{}\n"},
		{64, "format 2", `{"docent-export":2}`}, {1, "line 2: the export is cut off", head}, {64, "line 2:", head + "{"},
		{64, "begin with /", head + `{"path":"a"}`}, {64, "ACL", head + `{"path":"/a","acl":["x"]}`}, {64, "time to live", head + `{"path":"/a","ttl":"soon"}`},
		{64, "line 4: something", head + root + end + node}, {1, "/no/a: node does not exist", head + `{"path":"/no/a"}` + "\n" + end},
		{64, `the name ".."`, head + `{"path":"/../a"}` + "\n" + end}, {64, "no time to live", head + `{"path":"/a","ttl":"1h","container":true}`},
		{1, "line 4: the export is cut off", head + root + node}, {64, "longer than any node", strings.Repeat("x", importLine+1<<20)},
	} {
		fails(t, dsn, x.in, x.code, x.want, "import", "/in")
	}
	is(t, must(t, dsn, "", "get", "/in/a"), "") // what came before the cut is imported
	fails(t, dsn, "", 64, "want fail, skip", "import", "--on-conflict", "x")
	fails(t, dsn, "", 64, "--from-path needs --from", "import", "--from-path", "/x")
	fails(t, dsn, "", 64, "--from: does not begin", "import", "--from", "http://x")
	fails(t, dsn, "", 64, "within", "import", "--from", dsn, "--from-path", "/", "/in")
	fails(t, dsn, "", 69, "--from", "import", "--from", "zk://127.0.0.1:1", "--connect", "300ms", "/x")
	fails(t, dsn, "", 1, "/nothing: node does not exist", "export", "/nothing")
	fails(t, dsn, "", 1, "/nothing: node does not exist", "import", "--from", dsn, "--from-path", "/nothing", "/x")
}

// Containers and times to live are kept where the server knows them.
func TestTransfer_KindsOfNodes(t *testing.T) {
	file := `{"docent-export":1,"root":"/"}
{"path":"/","data":null}
{"path":"/box","data":null,"container":true}
{"path":"/box/in","data":"eA==","ttl":"1h"}
{"path":"/box/in2","data":"eA==","ttl":"1h"}
{"end":{"nodes":4}}
`
	knows := servertest.New(t, servertest.WithConfig(func(cfg *server.Config) { cfg.ExtendedTypes = true }))
	is(t, must(t, knows.DSN(), file, "import", "/k"), "4 nodes created\n")
	not := servertest.New(t)
	is(t, must(t, not.DSN(), file, "import", "/k"), "4 nodes created, 2 without the end of life that the server does not know\n")
}

// Which nodes are containers, docent's servers tell at their address for operators.
func TestTransfer_ContainersByAdmin(t *testing.T) {
	srv := servertest.New(t, servertest.WithConfig(func(cfg *server.Config) { cfg.AdminListen = "127.0.0.1:0" }))
	must(t, srv.DSN(), "", "create", "/ch/app/box/in", "x", "--parents")
	must(t, srv.DSN(), "", "create", "/ch/app/plain")
	r := call(t, srv.DSN()+"/ch", "", "export", "/app", "--admin", srv.Server().AdminAddr())
	want := []string{`{"path":"/","data":null,"container":true,"counter":2}`, `{"path":"/box","data":null,"container":true,"counter":1}`, `{"path":"/plain","data":null}`, `{"path":"/box/in","data":"eA=="}`}
	for _, line := range want {
		if !strings.Contains(r.stdout, line+"\n") {
			t.Errorf("no line %s in\n%s%s", line, r.stdout, r.stderr)
		}
	}
	fails(t, srv.DSN(), "", 69, "refused", "export", "/ch", "--admin", "127.0.0.1:1")
}

func TestTransfer_Counters(t *testing.T) {
	from, to := servertest.New(t), servertest.New(t)
	c := from.Dial(t)
	must(t, from.DSN(), "", "create", "/q")
	var last string
	for i := range 1203 {
		n, err := c.Create(t.Context(), "/q/n-", nil, client.Sequential())
		if err != nil {
			t.Fatal(err)
		}
		if last = n.Path; i%3 != 0 {
			if err := c.Delete(t.Context(), n.Path, -1); err != nil {
				t.Fatal(err)
			}
		}
	}
	file := call(t, from.DSN(), "", "export", "/q").stdout
	must(t, to.DSN(), file, "import", "/q", "--counters")
	must(t, to.DSN(), file, "import", "/q", "--counters")
	next := strings.TrimSpace(must(t, to.DSN(), "", "create", "/q/n-", "--sequential"))
	if next <= last || next > "/q/n-0000001800" {
		t.Errorf("next is %s after %s", next, last)
	}
	is(t, must(t, from.DSN(), "", "create", "/q/n-", "--sequential"), "/q/n-0000001203\n")
}

// Broken off anywhere and done again, an import ends with everything in place; a server that loses connections meanwhile
// is waited for.
func TestTransfer_BreakOffAndResume(t *testing.T) {
	from, to := servertest.New(t), servertest.New(t)
	a, b := from.Dial(t, withAnn), to.Dial(t, withAnn)
	const n = 2000
	plant(t, a, "/app", n)
	file := call(t, from.DSN(), "", "export", "/app", "--auth", "ann:pw").stdout
	for _, part := range []int{100, len(file) / 3, len(file) / 2, len(file) - 10} {
		r := call(t, to.DSN(), file[:part], "import", "/app", "--auth", "ann:pw")
		if r.code == 0 || !strings.Contains(r.stderr, "line") {
			t.Errorf("%d bytes of %d: %+v", part, len(file), r)
		}
	}
	for i := range 20 {
		to.Inject(servertest.DropReply("create", 100+i*37), servertest.DropRequest("read", 60+i*50))
	}
	must(t, to.DSN(), file, "import", "/app", "--auth", "ann:pw")
	sameNodes(t, a, "/app", b, "/app")
	for i := range 20 {
		to.Inject(servertest.DropReply("create", 100+i*37))
		from.Inject(servertest.DropReply("read", 60+i*101))
	}
	must(t, to.DSN(), "", "import", "--from", from.DSN(), "/app", "--auth", "ann:pw", "--from-path", "/app")
	must(t, to.DSN(), "", "import", "--from", from.DSN(), "/again", "--auth", "ann:pw", "--from-path", "/app")
	sameNodes(t, a, "/app", b, "/again")
}

// Nodes that come, go and change while they are exported do not disturb it, and what stays is there.
func TestTransfer_ChangesMeanwhile(t *testing.T) {
	from, to := servertest.New(t), servertest.New(t)
	a := from.Dial(t)
	for _, p := range []string{"/app", "/app/stays", "/app/moves"} {
		must(t, from.DSN(), "", "create", p)
	}
	for i := range 500 {
		if _, err := a.Create(t.Context(), fmt.Sprintf("/app/stays/%d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ctx.Err() == nil; i = (i + 1) % 50 {
			path := fmt.Sprintf("/app/moves/%d/below", i)
			a.Create(ctx, path, nil, client.Parents()) // what fails is there or gone, which is all the same here
			a.Delete(ctx, fmt.Sprintf("/app/moves/%d/below", (i+25)%50), -1)
			a.Delete(ctx, fmt.Sprintf("/app/moves/%d", (i+25)%50), -1)
		}
	}()
	for i := range 20 {
		r := call(t, from.DSN(), "", "export", "/app")
		if r.code != 0 {
			t.Fatalf("export %d: %s", i, r.stderr)
		}
		must(t, to.DSN(), r.stdout, "import", fmt.Sprintf("/copy%d", i))
		is(t, must(t, to.DSN(), "", "stat", "--format", "{{.Stat.NumChildren}}", fmt.Sprintf("/copy%d/stays", i)), "500\n")
	}
	cancel()
	<-ended
}

// A node that no server takes is named, after a few attempts.
func TestTransfer_TooLarge(t *testing.T) {
	srv := servertest.New(t)
	file := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, srv.DSN(), "", "create", "/a", "first")
	for _, v := range [][]string{{"create", "/large", "@" + file}, {"set", "/a", "@" + file}} {
		fails(t, srv.DSN(), "", 64, "servers take 1048575", v...)
	}
	is(t, must(t, srv.DSN(), "", "get", "/a"), "first")
	data, err := json.Marshal(bytes.Repeat([]byte("x"), 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	lines := []string{`{"docent-export":1,"root":"/"}`, `{"path":"/","data":null}`}
	for i := range 10 {
		lines = append(lines, fmt.Sprintf(`{"path":"/%d","data":"eA=="}`, i))
	}
	lines = append(lines, fmt.Sprintf(`{"path":"/large","data":%s}`, data), `{"path":"/z","data":null}`, `{"end":{"nodes":13}}`)
	fails(t, srv.DSN(), strings.Join(lines, "\n"), 64, "/in/large: bad arguments: request of", "import", "/in")
}

// The real thing: an Apache ZooKeeper that runs, imported by DSN, killed in the middle, and done again.
func TestTransfer_FromZookeeper(t *testing.T) {
	addr := peers.Zookeeper(t)
	dsn := "zk://" + addr
	to := servertest.New(t)
	cfg := client.Config{Servers: []string{addr}}
	withAnn(&cfg)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	a, err := client.Dial(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b := to.Dial(t, withAnn)
	const n = 12_000
	plant(t, a, "/app", n)

	args := []string{"import", "--from", dsn, "/app", "--auth", "ann:pw"}
	broken, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- run(broken, env{args: args, stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, getenv: func(name string) string {
			return map[string]string{"DOCENT_DSN": to.DSN()}[name]
		}})
	}()
	for {
		if st, _, err := b.Exists(ctx, "/app/wide"); err != nil {
			t.Fatal(err)
		} else if st.NumChildren > n/4 {
			break
		}
	}
	stop()
	if code := <-ended; code == 0 {
		t.Error("the import was done before it could be broken off")
	}
	out := must(t, to.DSN(), "", args...)
	var created, same int
	if _, err := fmt.Sscanf(out, "%d nodes created, %d there already, 3 ephemerals left out", &created, &same); err != nil || created+same != planted(n) || same == 0 {
		t.Errorf("the second run says %q (%v), want %d in all", out, err, planted(n))
	}
	sameNodes(t, a, "/app", b, "/app")

	// And back.
	file := call(t, to.DSN(), "", "export", "/app/wide", "--auth", "ann:pw").stdout
	must(t, dsn, file, "import", "/back", "--counters")
	sameNodes(t, b, "/app/wide", a, "/back")
	if next := must(t, dsn, "", "create", "/back/seq-", "--sequential"); next < fmt.Sprintf("/back/seq-%010d", n+7) {
		t.Errorf("the next sequential child is %s", next)
	}
}
