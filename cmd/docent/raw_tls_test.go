package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/server"
	"github.com/docent-io/docent/server/servertest"
)

// certificates writes an authority, and certificates of its own for names, into a folder: ca.pem, NAME.pem, NAME.key.
func certificates(t *testing.T, names ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write := func(file, kind string, der []byte, err error) {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var authority *x509.Certificate
	var authorityKey *ecdsa.PrivateKey
	for i, name := range append([]string{"ca"}, names...) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		cert := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: name}, IsCA: i == 0, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
		if i == 0 {
			cert.KeyUsage, authority, authorityKey = x509.KeyUsageCertSign, cert, key
		}
		der, err := x509.CreateCertificate(rand.Reader, cert, authority, &key.PublicKey, authorityKey)
		write(name+".pem", "CERTIFICATE", der, err)
		der, err = x509.MarshalECPrivateKey(key)
		write(name+".key", "EC PRIVATE KEY", der, err)
	}
	return dir
}

func TestRemote_TLS(t *testing.T) {
	dir := certificates(t, "server", "ann")
	file := func(name string) string { return filepath.Join(dir, name) }
	cfg, err := server.TLSFiles{Cert: file("server.pem"), Key: file("server.key"), CA: file("ca.pem"), ClientAuth: tls.VerifyClientCertIfGiven}.Config()
	if err != nil {
		t.Fatal(err)
	}
	srv := servertest.New(t, servertest.WithConfig(func(c *server.Config) { c.TLS = cfg }))
	dsn := strings.Replace(srv.DSN(), "zk://", "zks://", 1)
	ca := []string{"--tls-ca", file("ca.pem")}
	ann := append([]string{"--tls-cert", file("ann.pem"), "--tls-key", file("ann.key")}, ca...)
	is(t, must(t, dsn, "", append([]string{"create", "/ann", "hers", "--acl", "x509:CN=ann:rwcda"}, ann...)...), "/ann\n")
	is(t, must(t, dsn, "", append([]string{"get", "/ann"}, ann...)...), "hers")
	fails(t, dsn, "", 77, "/ann", append([]string{"get", "/ann"}, ca...)...)
	is(t, must(t, dsn, "", append([]string{"acl", "get", "/ann"}, ann...)...), "x509:CN=ann:rwcda\n")
	must(t, dsn, "", append([]string{"create", "/digest", "--auth", "bob:pw", "--acl", "auth::rwcda"}, ca...)...)
	fails(t, dsn, "", 77, "/digest", append([]string{"get", "/digest"}, ca...)...)
	fails(t, dsn, "", 77, "/digest", append([]string{"get", "/digest", "--auth", "bob:other"}, ca...)...)
	is(t, must(t, dsn, "", append([]string{"get", "/digest", "--auth", "bob:pw"}, ca...)...), "")
	// A server of an unknown authority is no server, and so is one without TLS.
	fails(t, dsn, "", 69, "certificate", "get", "/ann", "--connect", "2s")
	plain := strings.Replace(servertest.New(t).DSN(), "zk://", "zks://", 1)
	fails(t, plain, "", 69, "", append([]string{"get", "/", "--connect", "300ms"}, ca...)...)
	fails(t, dsn, "", 64, "--tls-ca", "get", "/", "--tls-ca", file("ann.key"))
	fails(t, dsn, "", 64, "need each other", append([]string{"get", "/", "--tls-cert", file("ann.pem")}, ca...)...)
	// The environment says the same.
	var out strings.Builder
	code := run(t.Context(), env{args: []string{"get", "/ann"}, stdin: strings.NewReader(""), stdout: &out, stderr: &out, getenv: func(name string) string {
		return map[string]string{"DOCENT_DSN": dsn, "DOCENT_CA": file("ca.pem"), "DOCENT_CERT": file("ann.pem"), "DOCENT_KEY": file("ann.key")}[name]
	}})
	if code != 0 || out.String() != "hers" {
		t.Errorf("by the environment: exit code %d, %s", code, &out)
	}
}
