package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// TLSFiles names the files of a TLS identity. They are read again when they change, so certificates are renewed
// without a restart.
type TLSFiles struct {
	Cert, Key string // PEM: the chain of this server, and its key
	CA        string // PEM: who may have signed the other side's certificate; empty: the system's roots
	// ClientAuth says whether the other side has to show a certificate: tls.NoClientCert,
	// tls.VerifyClientCertIfGiven or tls.RequireAndVerifyClientCert.
	ClientAuth tls.ClientAuthType
}

// Config returns a configuration for both ends of a connection, which follows the files. What is wrong with the files
// now is an error; if they are wrong later, what was read last stays in use.
func (f TLSFiles) Config() (*tls.Config, error) {
	l := &tlsLoader{files: f}
	if err := l.load(); err != nil {
		return nil, err
	}
	base := &tls.Config{MinVersion: tls.VersionTLS12}
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		cert, pool := l.current()
		return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: f.ClientAuth}, nil
	}
	// The other end, when this server dials a peer.
	base.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		cert, _ := l.current()
		return &cert, nil
	}
	base.InsecureSkipVerify = true // in favour of VerifyConnection, which uses the roots as they are now
	base.VerifyConnection = func(cs tls.ConnectionState) error {
		_, pool := l.current()
		return verifyServer(cs, pool)
	}
	return base, nil
}

func verifyServer(cs tls.ConnectionState, roots *x509.CertPool) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("tls: the other side shows no certificate")
	}
	opts := x509.VerifyOptions{Roots: roots, DNSName: cs.ServerName, Intermediates: x509.NewCertPool()}
	for _, c := range cs.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := cs.PeerCertificates[0].Verify(opts)
	return err
}

// tlsLoader keeps what was read from the files last, and looks at them again at most once a second.
type tlsLoader struct {
	files TLSFiles

	mu      sync.Mutex // guards the fields below
	cert    tls.Certificate
	pool    *x509.CertPool
	stamp   string
	checked time.Time
}

func (l *tlsLoader) load() error {
	stamp, err := l.stampNow()
	if err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(l.files.Cert, l.files.Key)
	if err != nil {
		return fmt.Errorf("TLS certificate %s with key %s: %w", l.files.Cert, l.files.Key, err)
	}
	var pool *x509.CertPool
	if l.files.CA != "" {
		text, err := os.ReadFile(l.files.CA)
		if err != nil {
			return fmt.Errorf("TLS authorities: %w", err)
		}
		pool = x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return fmt.Errorf("TLS authorities: %s holds no certificate in PEM", l.files.CA)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cert, l.pool, l.stamp = cert, pool, stamp
	return nil
}

// stampNow tells the files' versions apart.
func (l *tlsLoader) stampNow() (string, error) {
	var stamp string
	for _, name := range []string{l.files.Cert, l.files.Key, l.files.CA} {
		if name == "" {
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return "", fmt.Errorf("TLS: %w", err)
		}
		stamp += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), ";")
	}
	return stamp, nil
}

func (l *tlsLoader) current() (tls.Certificate, *x509.CertPool) {
	l.mu.Lock()
	look := time.Since(l.checked) > time.Second
	if look {
		l.checked = time.Now()
	}
	old := l.stamp
	l.mu.Unlock()
	if look {
		// Half-written files fail to load and are looked at again a second later; what was read last stays.
		if stamp, err := l.stampNow(); err == nil && stamp != old {
			_ = l.load()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cert, l.pool
}

// tlsRecord is the first byte of a TLS handshake. No connect request and no four-letter word begins with it: as the
// first byte of a length it would mean a frame of 352 MiB.
const tlsRecord = 0x16

// startTLS puts TLS on a new connection if its client begins it. On the port for TLS it must.
func (c *conn) startTLS() error {
	cfg := c.srv.cfg.TLS
	if cfg == nil {
		return nil
	}
	head, err := c.br.Peek(1)
	switch {
	case err != nil:
		return err
	case head[0] != tlsRecord && c.secure:
		return errors.New("no TLS on the port for TLS")
	case head[0] != tlsRecord:
		return nil
	}
	tc := tls.Server(&peekedConn{Conn: c.nc, r: c.br}, cfg)
	ctx, cancel := context.WithTimeout(context.Background(), c.srv.cfg.Limits.Handshake)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	c.mu.Lock() // close may be setting a deadline
	c.nc = tc
	c.mu.Unlock()
	c.br, c.quiet = newIntake(tc), quiet{}
	if certs := tc.ConnectionState().VerifiedChains; len(certs) > 0 {
		c.addID(wire.ID{Scheme: "x509", ID: certs[0][0].Subject.String()})
	}
	return nil
}

// peekedConn reads what was peeked at first.
type peekedConn struct {
	net.Conn
	r interface{ Read([]byte) (int, error) }
}

func (p *peekedConn) Read(b []byte) (int, error) { return p.r.Read(b) }

// CloseWrite tells the other side that nothing follows.
func (p *peekedConn) CloseWrite() error {
	if half, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// securePeers puts TLS on both ends of the connections between members.
func securePeers(cfg *tls.Config, ln net.Listener, dial DialFunc) (net.Listener, DialFunc) {
	if dial == nil {
		dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	return tls.NewListener(ln, cfg), func(ctx context.Context, addr string) (net.Conn, error) {
		nc, err := dial(ctx, addr)
		if err != nil {
			return nil, err
		}
		mine := cfg.Clone()
		if mine.ServerName, _, err = net.SplitHostPort(addr); err != nil {
			return nil, errors.Join(err, nc.Close())
		}
		tc := tls.Client(nc, mine)
		if err := tc.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("TLS with peer %s: %w", addr, err), nc.Close())
		}
		return tc, nil
	}
}
