package conformance

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server"
)

// The traps of §13.3 of the protocol reference that are not of one server that runs all the time, and so no part of the
// suite; and the count of all of them.

const traps = 51

var (
	trapScene = regexp.MustCompile(`^\t\{"trap (\d+), `)
	trapTest  = regexp.MustCompile(`^func Test\w*?Trap(\d+)(?:to(\d+))?_`)
	trapAlso  = regexp.MustCompile(`_Trap(\d+)`)
)

// TestEveryTrapHasATest looks for scenes and tests that name the traps they are about.
func TestEveryTrapHasATest(t *testing.T) {
	tested := make(map[int]bool)
	note := func(from, to string) {
		a, _ := strconv.Atoi(from) // digits by the expression
		b := a
		if to != "" {
			b, _ = strconv.Atoi(to)
		}
		for ; a <= b; a++ {
			tested[a] = true
		}
	}
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			if m := trapScene.FindStringSubmatch(line); m != nil {
				note(m[1], "")
			}
			if m := trapTest.FindStringSubmatch(line); m != nil {
				note(m[1], m[2])
				for _, m := range trapAlso.FindAllStringSubmatch(line, -1) {
					note(m[1], "")
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= traps; n++ {
		if !tested[n] {
			t.Errorf("no test names trap %d", n)
		}
		delete(tested, n)
	}
	for n := range tested {
		t.Errorf("there is no trap %d", n)
	}
}

// open opens a session on srv.
func open(t *testing.T, srv *server.Server, timeout time.Duration) *raw {
	t.Helper()
	r := dial(t, srv.Addr())
	if resp := r.handshake(wire.ConnectRequest{Timeout: int32(timeout.Milliseconds()), Password: noPassword}); resp.SessionID == 0 {
		t.Fatal("no session")
	}
	return r
}

// A client that has seen a zxid is refused by every server that is behind; none may stay behind for good.
func TestTrap10_ZxidsGrowOverRestartsAndFailovers(t *testing.T) {
	servers := ensemble(t, 3, func(cfg *server.Config) { cfg.Data = t.TempDir() })
	lead := leader(t, servers)
	r := open(t, lead, 10*time.Second)
	r.make("/a")
	seen := r.zxid
	if err := lead.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, srv := range servers {
		if srv == lead {
			continue
		}
		ready(t, srv)
		r = open(t, srv, 10*time.Second)
		if code := r.setCode("/a", "x", -1); code != wire.OK || r.zxid <= seen {
			t.Errorf("after a failover: %v, zxid %#x after %#x", code, r.zxid, seen)
		}
		seen = r.zxid
	}

	alone := switches(true)
	alone.Data, seen = t.TempDir(), 0
	for _, stop := range []func(*server.Server) error{(*server.Server).Close, (*server.Server).Kill, (*server.Server).Close} {
		srv := start(t, alone)
		ready(t, srv)
		seen = restarted(t, srv, seen)
		if err := stop(srv); err != nil {
			t.Fatal(err)
		}
	}
}

// restarted writes, wants the zxid above seen, and returns it.
func restarted(t *testing.T, srv *server.Server, seen int64) int64 {
	t.Helper()
	r := dial(t, srv.Addr())
	if resp := r.handshake(wire.ConnectRequest{LastZxidSeen: seen, Timeout: 10_000, Password: noPassword}); resp.SessionID == 0 {
		t.Fatal("refused after a restart")
	}
	if code := r.create("/a", node{}); code != wire.OK && code != wire.ErrNodeExists || r.zxid <= seen {
		t.Errorf("after a restart: %v, zxid %#x after %#x", code, r.zxid, seen)
	}
	return r.zxid
}

// leader waits for a server that says it leads.
func leader(t *testing.T, servers []*server.Server) *server.Server {
	t.Helper()
	id, ok := servers[0].Leader()
	if !ok {
		t.Fatal("no leader, though all are ready")
	}
	return servers[id-1]
}

// A new leader cannot know when a session was last heard, so it gives each its full timeout again.
func TestTrap22_NewLeaderGivesTheFullTimeout(t *testing.T) {
	servers := ensemble(t, 3)
	lead := leader(t, servers)
	var at *server.Server
	for _, srv := range servers {
		if srv != lead {
			at = srv
		}
	}
	const timeout = 2 * time.Second
	r := open(t, at, timeout)
	r.ping()
	time.Sleep(timeout * 3 / 4) // silence is what the test is about
	killed := time.Now()
	if err := lead.Kill(); err != nil {
		t.Fatal(err)
	}
	if end := r.end(); end != "closed" {
		t.Fatalf("the session's connection: %s, want it closed by the expiry", end)
	}
	if d := time.Since(killed); d < timeout {
		t.Errorf("expired %v after the leader's death, the timeout is %v", d, timeout)
	}
}

func TestTrap45_RefusedConnectionsAreClosedSilently(t *testing.T) {
	cfg := switches(true)
	cfg.MaxConnectionsPerAddress = 3
	srv := start(t, cfg)
	ready(t, srv)
	for range 3 {
		open(t, srv, 10*time.Second)
	}
	if end := dial(t, srv.Addr()).end(); end != "closed" {
		t.Errorf("a connection too many: %s, want it closed without a byte", end)
	}
	free := start(t, switches(true))
	ready(t, free)
	for range 200 { // as test suites do
		open(t, free, 10*time.Second)
	}
}

func TestTrap51_FourLetterWordsOverTLS(t *testing.T) {
	cfg := switches(true)
	cfg.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	cfg.SecureListen = "127.0.0.1:0"
	srv := start(t, cfg)
	ready(t, srv)
	for name, addr := range map[string]string{"the port for TLS": srv.SecureAddr(), "the port for both": srv.Addr()} {
		nc, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true}) // whose certificate it is matters elsewhere
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		t.Cleanup(func() { nc.Close() })
		if _, err := io.WriteString(nc, "ruok"); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(nc); string(got) != "imok" || err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: ruok gives %q, %v", name, got, err)
		}
	}
	if got := word(t, srv.Addr(), "ruok"); got != "imok" {
		t.Errorf("without TLS, on the port for both: ruok gives %q", got)
	}
	if got := word(t, srv.SecureAddr(), "ruok"); got != "" {
		t.Errorf("without TLS, on the port for TLS: ruok gives %q", got)
	}
}

// certificate makes a certificate of its own for 127.0.0.1.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "docent"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
