package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/servertest"
)

func wait(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// command sends an operator's command, and returns the status, last_zxid and the body.
func command(t testing.TB, srv *server.Server, method, path, auth string, body []byte) (int, int64, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(wait(t), method, "http://"+srv.AdminAddr()+"/commands/"+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if auth != "" {
		req.Header.Set("Authorization", auth)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	zxid, _ := strconv.ParseInt(resp.Header.Get("last_zxid"), 0, 64)
	return resp.StatusCode, zxid, answer
}

func mustBackup(t *testing.T, srv *server.Server) []byte {
	t.Helper()
	code, zxid, b := command(t, srv, http.MethodGet, "snapshot", "", nil)
	if code != http.StatusOK {
		t.Fatalf("snapshot: %d %s", code, b)
	}
	if info, err := server.CheckBackup(bytes.NewReader(b)); err != nil || info.Zxid != zxid {
		t.Fatalf("backup: %+v, %v; last_zxid %d", info, err, zxid)
	}
	return b
}

// furnish makes nodes and returns a session with an ephemeral one.
func furnish(t *testing.T, c *client.Client, n int) *client.Session {
	t.Helper()
	sess, err := c.Session(wait(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sess.Create(wait(t), "/e", nil, client.Ephemeral()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(wait(t), "/d", []byte("parent")); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := c.Create(wait(t), fmt.Sprintf("/d/n%04d", i), bytes.Repeat([]byte{byte(i)}, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	return sess
}

// hash is the digest of the tree of a server that is up to date.
func hash(t *testing.T, srv *server.Server) string {
	t.Helper()
	ready(t, srv)
	_, text := get(t, srv, "/commands/hash")
	for line := range strings.Lines(text) {
		if strings.Contains(line, `"digest"`) {
			return strings.TrimSpace(line)
		}
	}
	t.Fatalf("hash: %s", text)
	return ""
}

// A backup of one ensemble is the state of another one, on every member, with its sessions, and no zxid is given twice.
func TestBackup_RoundTrip(t *testing.T) {
	t.Parallel()
	from := servertest.NewCluster(t, 3, servertest.WithConfig(withAdmin))
	furnish(t, from.Dial(t), 600) // several parts
	backup := mustBackup(t, from.Servers[2].Server())
	before := hash(t, from.Servers[0].Server())

	to := servertest.NewCluster(t, 3, servertest.WithConfig(withAdmin), servertest.OnDisk())
	c := to.Dial(t, func(cfg *client.Config) { cfg.SessionTimeout = 3 * time.Second })
	was, err := c.Session(wait(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range to.Servers {
		s.Freeze() // so that no new session comes before the trees are compared
	}
	through := to.Servers[0]
	if through == to.Leader() {
		through = to.Servers[1]
	}
	code, zxid, answer := command(t, through.Server(), http.MethodPost, "restore", "", backup)
	if code != http.StatusOK {
		t.Fatalf("restore: %d %s", code, answer)
	}
	if floor := (time.Now().Unix() - 60) << 24; zxid < floor {
		t.Errorf("zxid %#x after the restore, want at least %#x", zxid, floor)
	}
	for _, s := range to.Servers {
		if got := hash(t, s.Server()); got != before {
			t.Errorf("member %d: %s, want %s", s.ID(), got, before)
		}
	}
	for _, s := range to.Servers {
		s.Thaw()
	}
	// The client's session was none of the backup's: it gets another one, and goes on.
	n, err := c.Get(wait(t), "/d/n0599")
	if err != nil || !bytes.Equal(n.Data, bytes.Repeat([]byte{599 % 256}, 1000)) {
		t.Errorf("restored node: %v, %v", n.Stat, err)
	}
	<-was.Context().Done()
	if _, err := c.Create(wait(t), "/after", nil); err != nil {
		t.Fatal(err)
	}
	stat, _, err := c.Exists(wait(t), "/after", client.Fresh())
	if err != nil || stat.Czxid <= zxid {
		t.Errorf("czxid %#x after zxid %#x, %v", stat.Czxid, zxid, err)
	}
	// All of it outlives a restart, and the restored session, which nobody takes up, expires.
	for _, s := range to.Servers {
		s.Kill()
	}
	for _, s := range to.Servers {
		s.Restart()
	}
	if _, ok, err := c.Exists(wait(t), "/after", client.Fresh()); err != nil || !ok {
		t.Errorf("after a restart: %v, %v", ok, err)
	}
}

// Sessions of a backup go on: their clients find them, and if they do not come the ephemerals vanish.
func TestBackup_Sessions(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t, servertest.WithConfig(withAdmin))
	c := srv.Dial(t)
	sess := furnish(t, c, 0)
	short := srv.Dial(t, func(cfg *client.Config) { cfg.SessionTimeout = 700 * time.Millisecond })
	gone, err := short.Session(wait(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Create(wait(t), "/short", nil, client.Ephemeral()); err != nil {
		t.Fatal(err)
	}
	backup := mustBackup(t, srv.Server())
	if err := short.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _, answer := command(t, srv.Server(), http.MethodPost, "restore?force=true", "", backup); code != http.StatusOK {
		t.Fatalf("restore: %d %s", code, answer)
	}
	_, err = sess.Set(wait(t), "/e", []byte("still mine"), -1)
	if errors.Is(err, client.ErrMaybeApplied) { // its connection was just being closed
		_, err = sess.Set(wait(t), "/e", []byte("still mine"), -1)
	}
	if err != nil {
		t.Errorf("the session does not go on: %v", err)
	}
	if sess.Context().Err() != nil {
		t.Errorf("the session ended: %v", context.Cause(sess.Context()))
	}
	for {
		_, ok, w, err := sess.ExistsW(wait(t), "/short")
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if _, err := w.Wait(wait(t)); err != nil {
			t.Fatalf("the session nobody took up does not expire: %v", err)
		}
	}
}

func TestRestore_Refusals(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t, servertest.WithConfig(withAdmin))
	c := srv.Dial(t)
	furnish(t, c, 3)
	s := srv.Server()
	backup := mustBackup(t, s)
	before := hash(t, s)
	damaged := bytes.Clone(backup)
	damaged[len(damaged)/2] ^= 1
	for _, x := range []struct {
		name, path string
		body       []byte
		want       int
	}{
		{"nodes are there", "restore", backup, http.StatusConflict},
		{"damaged", "restore?force=true", damaged, http.StatusUnprocessableEntity},
		{"cut", "restore?force=true", backup[:len(backup)-1], http.StatusUnprocessableEntity},
		{"empty", "restore?force=true", nil, http.StatusUnprocessableEntity},
		{"no number", "restore?force=true&zxid-above=x", backup, http.StatusBadRequest},
	} {
		if code, _, answer := command(t, s, http.MethodPost, x.path, "", x.body); code != x.want {
			t.Errorf("%s: %d %s, want %d", x.name, code, answer, x.want)
		}
	}
	if resp, err := http.Post("http://"+s.AdminAddr()+"/commands/restore?force=true", "text/plain", bytes.NewReader(backup)); err != nil || resp.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("as a form would send it: %v, %v", resp, err)
	}
	if got := hash(t, s); got != before {
		t.Errorf("%s after refusals, before %s", got, before)
	}
	if _, err := server.CheckBackup(bytes.NewReader(damaged)); err == nil || !strings.Contains(err.Error(), "byte") {
		t.Errorf("CheckBackup of a damaged backup: %v, want an offset", err)
	}
	code, zxid, _ := command(t, s, http.MethodPost, "restore?force=true&zxid-above=0x200000000000000", "", backup)
	if code != http.StatusOK || zxid < 1<<57 {
		t.Errorf("zxid-above: %d, zxid %#x", code, zxid)
	}
}

// Whoever may not do everything on / gets no backup and restores none; the password shows in no log.
func TestBackup_NeedsAllPermissions(t *testing.T) {
	t.Parallel()
	srv := servertest.New(t, servertest.WithConfig(withAdmin))
	c := srv.Dial(t, func(cfg *client.Config) { cfg.Auth = []client.Auth{{Scheme: "digest", Data: []byte("ann:secret")}} })
	acl := []client.ACL{{Perms: client.PermAll, Scheme: "auth"}}
	if _, err := c.SetACL(wait(t), "/", acl, -1); err != nil {
		t.Fatal(err)
	}
	for auth, want := range map[string]int{"": 401, "digest ann:wrong": 401, "Basic YW5uOnNlY3JldA==": 401, "digest ann:secret": 200} {
		if code, _, _ := command(t, srv.Server(), http.MethodGet, "snapshot", auth, nil); code != want {
			t.Errorf("snapshot as %q: %d, want %d", auth, code, want)
		}
	}
	if code, _, _ := command(t, srv.Server(), http.MethodPost, "restore?force=true", "", nil); code != 401 {
		t.Errorf("restore by nobody: %d", code)
	}
}

// A server that cannot prove to be up to date gives a backup only if asked for its own state.
func TestBackup_WithoutMajority(t *testing.T) {
	t.Parallel()
	cl := servertest.NewCluster(t, 3, servertest.WithConfig(withAdmin))
	if _, err := cl.Dial(t).Create(wait(t), "/a", nil); err != nil {
		t.Fatal(err)
	}
	left := cl.Servers[0].Server()
	ready(t, left)
	cl.Servers[1].Kill()
	cl.Servers[2].Kill()
	if code, _, _ := command(t, left, http.MethodGet, "snapshot", "", nil); code != http.StatusServiceUnavailable {
		t.Errorf("without a majority: %d", code)
	}
	code, _, b := command(t, left, http.MethodGet, "snap?local=true", "", nil)
	if info, err := server.CheckBackup(bytes.NewReader(b)); code != 200 || err != nil || info.Nodes != 5 {
		t.Errorf("its own state: %d, %+v, %v", code, info, err)
	}
}

// A backup that breaks off in the middle of being sent is no backup.
func TestRestore_BrokenOff(t *testing.T) {
	t.Parallel()
	from := servertest.New(t, servertest.WithConfig(withAdmin))
	furnish(t, from.Dial(t), 600)
	backup := mustBackup(t, from.Server())
	to := servertest.New(t, servertest.WithConfig(withAdmin))
	before := hash(t, to.Server())
	body := io.MultiReader(bytes.NewReader(backup[:400<<10]), brokenReader{})
	resp, err := http.Post("http://"+to.Server().AdminAddr()+"/commands/restore", "application/octet-stream", body)
	if err == nil && resp.StatusCode == http.StatusOK {
		t.Error("half a backup was restored")
	}
	if got := hash(t, to.Server()); got != before {
		t.Errorf("%s, before %s", got, before)
	}
	if code, _, answer := command(t, to.Server(), http.MethodPost, "restore", "", backup); code != http.StatusOK {
		t.Errorf("the next attempt: %d %s", code, answer)
	}
}

// A member that was away gets the restored state when it comes back, through the log or, if that was cut, a snapshot.
func TestRestore_ReachesAMemberThatWasAway(t *testing.T) {
	t.Parallel()
	from := servertest.New(t, servertest.WithConfig(withAdmin))
	furnish(t, from.Dial(t), 600)
	backup := mustBackup(t, from.Server())
	for name, size := range map[string]int64{"log": 64 << 20, "snapshot": 64 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl := servertest.NewCluster(t, 3, servertest.WithConfig(withAdmin), servertest.OnDisk(),
				servertest.WithConfig(func(c *server.Config) { c.SnapshotBytes = size }))
			away := cl.Servers[0]
			away.Kill()
			through := cl.Leader()
			if code, _, answer := command(t, through.Server(), http.MethodPost, "restore", "", backup); code != http.StatusOK {
				t.Fatalf("restore: %d %s", code, answer)
			}
			away.Restart()
			if got, want := hash(t, away.Server()), hash(t, through.Server()); got != want {
				t.Errorf("%s at the one that was away, %s at the others", got, want)
			}
			if n := metricOf(t, away.Server(), "docent_znodes"); n < 600 {
				t.Errorf("%v nodes", n)
			}
		})
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("broken") }
