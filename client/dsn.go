package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// ParseDSN reads a configuration from one line:
//
//	zk://a:2181,b:2181,c/chroot?session=10s
//	zks://user:password@a:2281,b:2281/chroot    TLS, and digest authentication
//
// Keys behind the question mark: session, connect, read, close, margin (durations), require (bool: the session timeout
// must be granted as asked for), readonly (bool), identity. A key it does not know is an error.
func ParseDSN(s string) (Config, error) {
	cfg, err := parseDSN(s)
	if err != nil {
		return Config{}, fmt.Errorf("DSN: %w", err)
	}
	return cfg, nil
}

func parseDSN(s string) (cfg Config, err error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "zk" && scheme != "zks" {
		return cfg, errors.New("does not begin with zk:// or zks://")
	}
	if scheme == "zks" {
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	rest, query, _ := strings.Cut(rest, "?")
	servers, chroot, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(servers, '@'); at >= 0 {
		user, err := url.PathUnescape(servers[:at])
		if err != nil {
			return cfg, errors.New("user and password are not well escaped") // not the text: it is secret
		}
		cfg.Auth = []Auth{{Scheme: "digest", Data: []byte(user)}}
		servers = servers[at+1:]
	}
	if cfg.Chroot, err = url.PathUnescape(chroot); err != nil {
		return cfg, err
	}
	cfg.Servers = strings.Split(servers, ",")
	values, err := url.ParseQuery(query)
	if err != nil {
		return cfg, err
	}
	for key, v := range values {
		if err := cfg.setKey(key, v[len(v)-1]); err != nil {
			return cfg, err
		}
	}
	return cfg, cfg.check()
}

func (c *Config) setKey(key, value string) (err error) {
	duration := func(d *time.Duration) { *d, err = time.ParseDuration(value) }
	switch key {
	case "session":
		duration(&c.SessionTimeout)
	case "connect":
		duration(&c.ConnectTimeout)
	case "read":
		duration(&c.ReadTimeout)
	case "close":
		duration(&c.CloseTimeout)
	case "margin":
		duration(&c.MinMargin)
	case "require":
		c.RequireTimeout, err = strconv.ParseBool(value)
	case "readonly":
		c.AllowReadOnly, err = strconv.ParseBool(value)
	case "identity":
		c.Identity = value
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	if err != nil {
		return fmt.Errorf("key %q: %w", key, err)
	}
	return nil
}

// FromEnv reads a configuration from the environment: DOCENT_DSN (default zk://127.0.0.1:2181), DOCENT_IDENTITY,
// DOCENT_AUTH (user:password, scheme digest), and for zks:// DOCENT_CA, DOCENT_CERT and DOCENT_KEY, paths of PEM files.
func FromEnv() (Config, error) {
	cfg, err := FromLookup(os.Getenv)
	if err != nil {
		return Config{}, fmt.Errorf("environment: %w", err)
	}
	return cfg, nil
}

// FromLookup is FromEnv for variables that come from elsewhere, such as flags in front of the environment. lookup returns
// "" for a variable that is not set.
func FromLookup(lookup func(name string) string) (Config, error) {
	cfg, err := ParseDSN(orElse(lookup("DOCENT_DSN"), "zk://127.0.0.1:2181"))
	if err != nil {
		return cfg, fmt.Errorf("DOCENT_DSN: %w", err)
	}
	if id := lookup("DOCENT_IDENTITY"); id != "" {
		cfg.Identity = id
	}
	if auth := lookup("DOCENT_AUTH"); auth != "" {
		cfg.Auth = append(cfg.Auth, Auth{Scheme: "digest", Data: []byte(auth)})
	}
	if cfg.TLS == nil {
		return cfg, nil
	}
	return cfg, loadTLS(cfg.TLS, lookup)
}

func loadTLS(cfg *tls.Config, env func(string) string) error {
	if ca := env("DOCENT_CA"); ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("DOCENT_CA: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("DOCENT_CA: %s holds no certificate", ca)
		}
	}
	cert, key := env("DOCENT_CERT"), env("DOCENT_KEY")
	if cert == "" && key == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("DOCENT_CERT, DOCENT_KEY: %w", err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	return nil
}
