package client_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/servertest"
)

func TestParseDSN(t *testing.T) {
	cfg, err := client.ParseDSN("zks://bob:p%40w@a:2281,b,[::1]:7/proj/climate?session=30s&require=true&margin=12s&connect=1s&close=2s&read=9s&readonly=1&identity=me")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(cfg.Servers, " ") != "a:2281 b [::1]:7" || strings.Trim(cfg.Chroot, "/") != "proj/climate" || cfg.TLS == nil {
		t.Errorf("config = %+v", cfg)
	}
	if cfg.SessionTimeout != 30*time.Second || !cfg.RequireTimeout || cfg.MinMargin != 12*time.Second || cfg.ConnectTimeout != time.Second ||
		cfg.CloseTimeout != 2*time.Second || cfg.ReadTimeout != 9*time.Second || !cfg.AllowReadOnly || cfg.Identity != "me" {
		t.Errorf("config = %+v", cfg)
	}
	if len(cfg.Auth) != 1 || cfg.Auth[0].Scheme != "digest" || string(cfg.Auth[0].Data) != "bob:p@w" {
		t.Errorf("auth = %+v", cfg.Auth)
	}
	for dsn, want := range map[string]string{
		"a:2181":                     "zk://",
		"http://a":                   "zk://",
		"zk://":                      "Servers",
		"zk://a,,b":                  "Servers",
		"zk://a:b:c":                 "a:b:c",
		"zk://a?sesion=3s":           `unknown key "sesion"`,
		"zk://a?session=3":           `key "session"`,
		"zk://a?require=perhaps":     `key "require"`,
		"zk://a?session=-3s":         "SessionTimeout",
		"zk://a/x//y":                "Chroot",
		"zk://secret%zz:hush@a:2181": "not well escaped",
	} {
		_, err := client.ParseDSN(dsn)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: error = %v, want %q in it", dsn, err, want)
		}
	}
}

func TestFromEnv(t *testing.T) {
	t.Setenv("DOCENT_DSN", "zk://a:1/x?identity=dsn")
	t.Setenv("DOCENT_IDENTITY", "env")
	t.Setenv("DOCENT_AUTH", "u:p")
	cfg, err := client.FromEnv()
	if err != nil || cfg.Servers[0] != "a:1" || cfg.Identity != "env" || string(cfg.Auth[0].Data) != "u:p" {
		t.Errorf("config = %+v, %v", cfg, err)
	}
	t.Setenv("DOCENT_DSN", "zks://a")
	t.Setenv("DOCENT_CA", "/no/such/file")
	if _, err := client.FromEnv(); err == nil || !strings.Contains(err.Error(), "DOCENT_CA") {
		t.Errorf("error = %v", err)
	}
	t.Setenv("DOCENT_DSN", "zk://a?x=1")
	if _, err := client.FromEnv(); err == nil || !strings.Contains(err.Error(), "DOCENT_DSN") {
		t.Errorf("error = %v", err)
	}
}

func TestBatchIdentity(t *testing.T) {
	clear := func(t *testing.T) {
		for _, name := range []string{"SLURM_ARRAY_JOB_ID", "SLURM_JOB_ID", "SLURM_ARRAY_TASK_ID", "SLURM_PROCID", "SLURM_CLUSTER_NAME", "KUBERNETES_SERVICE_HOST", "POD_NAME", "HOSTNAME"} {
			t.Setenv(name, "")
		}
	}
	for _, test := range []struct {
		env    map[string]string
		prefix string
	}{
		{map[string]string{"SLURM_JOB_ID": "77", "SLURM_CLUSTER_NAME": "hpc", "SLURM_PROCID": "3"}, "slurm:hpc:77.3@"},
		{map[string]string{"SLURM_JOB_ID": "78", "SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "5", "SLURM_CLUSTER_NAME": "hpc"}, "slurm:hpc:77_5@"},
		{map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1", "POD_NAME": "web-1"}, "k8s:web-1"},
	} {
		t.Run(test.prefix, func(t *testing.T) {
			clear(t)
			for k, v := range test.env {
				t.Setenv(k, v)
			}
			if got := client.BatchIdentity(); !strings.HasPrefix(got, test.prefix) {
				t.Errorf("identity = %s, want %s…", got, test.prefix)
			}
		})
	}
}

func TestDial_BadConfig(t *testing.T) {
	for _, test := range []struct {
		cfg  client.Config
		want string
	}{
		{client.Config{}, "Servers is empty"},
		{client.Config{Servers: []string{"a"}, Chroot: "a//b"}, "Chroot"},
		{client.Config{Servers: []string{"a"}, CloseTimeout: -1}, "CloseTimeout"},
		{client.Config{Servers: []string{"a"}, Resume: &client.Ticket{}}, "Resume"},
		{client.Config{Servers: []string{"a"}, Retry: client.RetryPolicy{Attempts: -1}}, "Retry.Attempts"},
	} {
		if _, err := client.Dial(t.Context(), test.cfg); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error = %v, want %q in it", err, test.want)
		}
	}
}

// the defaults, as documented, show in the connect request and in what Session tells.
func TestDefaults_R9(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeNet(t)
		dial := begin(func() (*client.Client, error) {
			return client.Dial(t.Context(), client.Config{Servers: []string{"a"}, DialContext: f.dial})
		})
		p := f.next()
		if req := p.hello(); req.Timeout != 10_000 || req.SessionID != 0 || !req.HasReadOnly || req.ReadOnly || p.addr != "a:2181" {
			t.Errorf("connect request to %s = %+v", p.addr, req)
		}
		p.grant(sessionID, 6*time.Second)
		c, err := dial.wait(t)
		if err != nil {
			t.Fatal(err)
		}
		if s := session(t, c); s.Timeout() != 6*time.Second || s.Remaining() != 4*time.Second {
			t.Errorf("timeout %v, remaining %v", s.Timeout(), s.Remaining())
		}
		c.Close()
	})
}

// resolver gives another list each time it is asked.
type resolver struct {
	mu    sync.Mutex
	lists [][]string
	asked int
}

func (r *resolver) Servers(context.Context) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	list := r.lists[min(r.asked, len(r.lists))-1]
	if list == nil {
		return nil, errors.New("no such host")
	}
	return list, nil
}

// servers are looked up again for every round, and a failure to is survived.
func TestResolver_R8(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeNet(t)
		f.down("old:1", errors.New("gone"))
		r := &resolver{lists: [][]string{nil, {"old:1"}, nil, {"new:1"}}}
		dial := begin(func() (*client.Client, error) {
			return client.Dial(t.Context(), client.Config{Resolver: r, DialContext: f.dial})
		})
		p := f.next()
		if p.addr != "new:1" {
			t.Errorf("dialed %s", p.addr)
		}
		p.hello()
		p.grant(sessionID, timeout)
		c, err := dial.wait(t)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	})
}

// a name stands for all its addresses, and a name that cannot be looked up costs no more than its turn.
func TestLookUp_R8(t *testing.T) {
	_, port, err := net.SplitHostPort(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(t.Context(), client.Config{Servers: []string{"no-such-host.invalid:" + port, "localhost:" + port}})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// a name is looked up again for every attempt, so that a server may move while the client runs.
func TestDNS_R8_AskedForEveryAttempt(t *testing.T) {
	srv := servertest.New(t)
	host, port, err := net.SplitHostPort(srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	z := newZone(t, host)
	tried := make(chan string, 1000)
	c, err := client.Dial(t.Context(), client.Config{
		Servers: []string{"moving.example.:" + port},
		Hooks:   client.Hooks{Connect: func(addr string, _ error) { tried <- addr }},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	until := func(addr string) {
		for net.JoinHostPort(addr, port) != <-tried {
		}
	}
	until(host)
	z.set("127.0.0.99") // where nobody listens
	srv.Cut()
	until("127.0.0.99")
	z.set(host)
	until(host)
	if err := c.Sync(t.Context(), "/"); err != nil {
		t.Error(err)
	}
}

// zone answers every question of this process's resolver with one address.
type zone struct {
	mu sync.Mutex // guards ip
	ip net.IP
}

func newZone(t *testing.T, ip string) *zone {
	z := new(zone)
	z.set(ip)
	before := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = before })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: z.dial}
	return z
}

func (z *zone) set(ip string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.ip = net.ParseIP(ip).To4()
}

func (z *zone) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go z.answer(ours)
	return theirs, nil
}

// answer answers one question in DNS's format for streams (RFC 1035, 4.2.2): an address, or nothing if another type of
// record was asked for.
func (z *zone) answer(nc net.Conn) {
	defer nc.Close()
	var size [2]byte
	if _, err := io.ReadFull(nc, size[:]); err != nil {
		return
	}
	q := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(nc, q); err != nil {
		return
	}
	end := 12 + bytes.IndexByte(q[12:], 0) + 5 // the question: a name, type and class
	z.mu.Lock()
	defer z.mu.Unlock()
	a := append([]byte{0, 0, q[0], q[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end]...)
	if q[end-3] == 1 { // type A
		a[9] = 1
		a = append(append(a, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4), z.ip...)
	}
	binary.BigEndian.PutUint16(a, uint16(len(a)-2))
	nc.Write(a) // who asked may have gone
}

// TLS by configuration alone; certificates are checked for the server's name.
func TestTLS_R11(t *testing.T) {
	cert, pool := certificate(t, "localhost")
	plain := echo(t)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { serveEcho(nc) })
		}
	})
	t.Cleanup(func() { ln.Close(); conns.Wait() })
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dial := func(addr string, pool *x509.CertPool, patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c, err := client.Dial(ctx, client.Config{Servers: []string{addr}, TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}})
		if err != nil {
			return err
		}
		if _, err := c.Get(t.Context(), "/x"); err != nil {
			t.Error(err)
		}
		return c.Close()
	}
	if err := dial("localhost:"+port, pool, time.Minute); err != nil {
		t.Error(err)
	}
	const tries = 500 * time.Millisecond // each as quick as a machine can
	if err := dial("127.0.0.1:"+port, pool, tries); err == nil {
		t.Error("a certificate for another name was accepted")
	}
	if err := dial("localhost:"+port, x509.NewCertPool(), tries); err == nil {
		t.Error("a certificate of an unknown authority was accepted")
	}
	if err := dial(plain, pool, tries); err == nil {
		t.Error("a server without TLS was accepted")
	}
}

// certificates may change while the client runs: the functions of the configuration are asked on every connection,
// and an empty ServerName stands for the name of each server.
func TestTLS_R11_AskedOnEveryConnection(t *testing.T) {
	cert, pool := certificate(t, "localhost")
	var names []string
	var mu sync.Mutex
	server := &tls.Config{
		Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			mu.Lock()
			defer mu.Unlock()
			names = append(names, hello.ServerName)
			return nil, nil
		},
	}
	f := newFakeNet(t)
	asked, checked := 0, 0
	dial := begin(func() (*client.Client, error) {
		return client.Dial(t.Context(), client.Config{
			Servers: []string{"localhost:1"}, SessionTimeout: timeout, DialContext: f.dial,
			TLS: &tls.Config{
				RootCAs: pool, MinVersion: tls.VersionTLS12,
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { asked++; return &cert, nil },
				VerifyConnection:     func(tls.ConnectionState) error { checked++; return nil },
			},
		})
	})
	serve := func() *peer {
		p := f.next()
		p.nc = tls.Server(p.nc, server)
		p.hello()
		p.grant(sessionID, timeout)
		return p
	}
	p := serve()
	c, err := dial.wait(t)
	if err != nil {
		t.Fatal(err)
	}
	p.nc.Close()
	p = serve()
	get := begin(func() (client.Node, error) { return c.Get(t.Context(), "/x") })
	p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{})
	if _, err := get.wait(t); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if asked != 2 || checked != 2 || strings.Join(names, " ") != "localhost localhost" {
		t.Errorf("the certificate was asked for %d times, the server's checked %d times, names %v", asked, checked, names)
	}
}

func certificate(t *testing.T, name string) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// one line for each change of state, however often connecting fails meanwhile.
func TestLog_R15(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var text bytes.Buffer
		c, f, p := start(t, client.Config{Logger: slog.New(slog.NewTextHandler(&text, nil))})
		for _, a := range []string{"a:1", "b:1", "c:1"} {
			f.down(a, errors.New("refused"))
		}
		p.nc.Close()
		<-session(t, c).Context().Done()
		c.Close()
		if n := strings.Count(text.String(), "\n"); n > 6 {
			t.Errorf("%d lines:\n%s", n, text.String())
		}
	})
}

func TestHooks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var requests []client.RequestInfo
		var connects []error
		c, _, p := start(t, client.Config{Chroot: "/app", Hooks: client.Hooks{
			Connect: func(_ string, err error) { connects = append(connects, err) },
			Request: func(r client.RequestInfo) { mu.Lock(); requests = append(requests, r); mu.Unlock() },
		}})
		g := begin(func() (client.Node, error) { return c.Get(t.Context(), "/x") })
		req := p.want(wire.OpGetData)
		time.Sleep(time.Second)
		p.reply(req, wire.ErrNoNode, nil)
		g.wait(t)
		if len(connects) != 1 || connects[0] != nil {
			t.Errorf("connects = %v", connects)
		}
		if len(requests) != 1 || requests[0] != (client.RequestInfo{Context: t.Context(), Session: sessionID, Op: "getData", Path: "/app/x", Duration: time.Second, Err: client.ErrNoNode}) {
			t.Errorf("requests = %+v", requests)
		}
	})
}

// A server whose reply is out of all proportion is left, without allocating what it claims.
func TestReply_TooLarge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f, p := start(t, client.Config{MaxReply: 1000})
		g := begin(func() (client.Node, error) { return c.Get(t.Context(), "/x") })
		p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{Data: make([]byte, 1000)})
		p.wantGone()
		p = f.reattach(timeout)
		p.reply(p.want(wire.OpGetData), 0, &wire.GetDataResponse{Data: make([]byte, 800)})
		if n, err := g.wait(t); err != nil || len(n.Data) != 800 {
			t.Errorf("get = %d bytes, %v", len(n.Data), err)
		}
	})
}
