package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/server"
)

// authority signs certificates for tests.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	// Renamed into place, as whoever renews certificates should: no reader sees half a file.
	if err := os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// issue writes a certificate for name and its key, and returns what names them.
func (a *authority) issue(file, name string) server.TLSFiles {
	a.t.Helper()
	a.n++
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1 + a.n), Subject: pkix.Name{CommonName: name, Organization: []string{"docent"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return server.TLSFiles{Cert: a.write(file+".pem", "CERTIFICATE", der), Key: a.write(file+".key", "EC PRIVATE KEY", secret), CA: filepath.Join(a.dir, "ca.pem")}
}

func (a *authority) config(f server.TLSFiles) *tls.Config {
	a.t.Helper()
	cfg, err := f.Config()
	if err != nil {
		a.t.Fatal(err)
	}
	return cfg
}

// client returns a configuration that trusts the authority and shows the certificate of name, if there is one.
func (a *authority) client(name string) *tls.Config {
	a.t.Helper()
	text, err := os.ReadFile(filepath.Join(a.dir, "ca.pem"))
	if err != nil {
		a.t.Fatal(err)
	}
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AppendCertsFromPEM(text)
	if name != "" {
		f := a.issue("client-"+name, name)
		cert, err := tls.LoadX509KeyPair(f.Cert, f.Key)
		if err != nil {
			a.t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg
}

func dial(t *testing.T, addr string, cfg *tls.Config) (*client.Client, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, client.Config{Servers: []string{addr}, TLS: cfg})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func TestTLS_SamePortOwnPortAndIdentities(t *testing.T) {
	a := newAuthority(t)
	files := a.issue("server", "server")
	files.ClientAuth = tls.VerifyClientCertIfGiven
	srv := start(t, func(c *server.Config) { c.TLS, c.SecureListen = a.config(files), "127.0.0.1:0" })
	plain, err := dial(t, srv.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	alice, err := dial(t, srv.Addr(), a.client("alice"))
	if err != nil {
		t.Fatal(err)
	}
	bob, err := dial(t, srv.SecureAddr(), a.client("bob"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	acl := []client.ACL{{Perms: client.PermAll, Scheme: "x509", ID: "CN=alice,O=docent"}}
	if _, err := alice.Create(ctx, "/a", []byte("x"), client.WithACL(acl)); err != nil {
		t.Fatal(err)
	}
	if n, err := alice.Get(ctx, "/a"); err != nil || string(n.Data) != "x" {
		t.Errorf("alice: %q, %v", n.Data, err)
	}
	for name, c := range map[string]*client.Client{"bob": bob, "plain": plain} {
		if _, err := c.Get(ctx, "/a"); err == nil || !strings.Contains(err.Error(), "not authorized") {
			t.Errorf("%s: %v, want no access", name, err)
		}
	}
	if r := dialRaw(t, srv.SecureAddr()); true { // no TLS on the port for TLS
		if _, err := io.WriteString(r.nc, "ruok"); err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(r.nc); len(got) > 0 {
			t.Errorf("got %q without TLS", got)
		}
	}
	nc, err := tls.Dial("tcp", srv.SecureAddr(), &tls.Config{RootCAs: a.client("").RootCAs, ServerName: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.WriteString(nc, "ruok"); err != nil { // trap 51
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(nc); string(got) != "imok" {
		t.Errorf("ruok behind TLS: %q", got)
	}
}

func TestTLS_CertificatesAreReloaded(t *testing.T) {
	a := newAuthority(t)
	files := a.issue("server", "old")
	srv := start(t, func(c *server.Config) { c.TLS = a.config(files) })
	name := func() string {
		nc, err := tls.Dial("tcp", srv.Addr(), &tls.Config{RootCAs: a.client("").RootCAs, ServerName: "127.0.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		return nc.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := name(); got != "old" {
		t.Fatalf("certificate of %q", got)
	}
	a.issue("server", "new")
	testkit.Eventually(t, "the new certificate is shown", func() bool { return name() == "new" })
	if err := os.WriteFile(files.Cert, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "new" {
		t.Errorf("after garbage in the file: certificate of %q, want the last good one", got)
	}
}

func TestTLS_StrangersAreRefused(t *testing.T) {
	a, other := newAuthority(t), newAuthority(t)
	files := a.issue("server", "server")
	files.ClientAuth = tls.RequireAndVerifyClientCert
	srv := start(t, func(c *server.Config) { c.TLS, c.SecureListen = a.config(files), "127.0.0.1:0" })
	stranger := other.client("stranger")
	stranger.RootCAs = a.client("").RootCAs
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c, err := client.Dial(ctx, client.Config{Servers: []string{srv.SecureAddr()}, TLS: stranger}); err == nil {
		c.Close()
		t.Error("a client with a stranger's certificate was let in")
	}
	if _, err := dial(t, srv.SecureAddr(), a.client("friend")); err != nil {
		t.Error(err)
	}
}

func TestTLS_BetweenPeers(t *testing.T) {
	a := newAuthority(t)
	files := a.issue("peer", "peer")
	files.ClientAuth = tls.RequireAndVerifyClientCert
	servers := startEnsemble(t, 3, func(c *server.Config) { c.PeerTLS = a.config(files) })
	for i, s := range servers {
		c, err := dial(t, s.Addr(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Create(context.Background(), "/n"+string(rune('0'+i)), nil); err != nil {
			t.Error(err)
		}
	}
}

func TestTLS_BadFilesAreNamed(t *testing.T) {
	a := newAuthority(t)
	good := a.issue("server", "server")
	bad := filepath.Join(a.dir, "bad.pem")
	if err := os.WriteFile(bad, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, f := range map[string]server.TLSFiles{
		"missing.pem":         {Cert: filepath.Join(a.dir, "missing.pem"), Key: good.Key},
		"bad.pem with key":    {Cert: bad, Key: good.Key},
		"bad.pem holds no ce": {Cert: good.Cert, Key: good.Key, CA: bad},
	} {
		if _, err := f.Config(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}
