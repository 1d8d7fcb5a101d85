package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"strings"
	"time"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/internal/zpath"
)

// Config says how to reach an ensemble and how to behave. The zero value of every field but Servers is a good default.
type Config struct {
	// Servers are host:port of the ensemble's members, tried in random order; without a port, 2181. Names are looked up
	// again on every attempt, and every address found counts (a DialContext of your own gets the names).
	Servers []string
	// Chroot is a path put before all paths, and taken off what comes back.
	Chroot string
	// SessionTimeout is how long the ensemble keeps the session, and its ephemerals, without hearing from us. The
	// server may grant another one: see Session.Timeout. Default 10 s, at least 1 ms.
	SessionTimeout time.Duration
	// RequireTimeout makes Dial fail with ErrTimeoutRefused if the server grants another timeout.
	RequireTimeout bool
	// MinMargin is the least reserve between Session.Deadline and the end of the timeout. Default (and least) a third
	// of the timeout.
	MinMargin time.Duration
	// ConnectTimeout bounds one attempt at one address, the handshake included. Default: the session timeout divided
	// by the number of servers, but within 100 ms and 5 s.
	ConnectTimeout time.Duration
	// ReadTimeout is the silence after which a connection is given up for another one. Default half of the granted
	// timeout: three pings unanswered, and time left to attach elsewhere before Session.Deadline ends what is held
	// (other clients wait for 2/3, which is when ours is).
	ReadTimeout time.Duration
	// CloseTimeout bounds Close. Default 3 s.
	CloseTimeout time.Duration
	// TLS, if not nil, is spoken on every connection. An empty ServerName means the host part of the server's address.
	// Its functions are asked on every connection: to change certificates while the program runs, have
	// GetClientCertificate return the present one, and VerifyConnection check what the server shows.
	TLS *tls.Config
	// Auth is sent first on every connection. If a server refuses it, Dial fails with ErrAuthFailed; later on, that is
	// logged as an error and the next server is tried.
	Auth []Auth
	// ACL chooses the ACL of a created node (and of created parents); the path is relative to the chroot. Default:
	// everybody may do everything. It must not block.
	ACL func(path string) []ACL
	// Retry is for the methods of Client; those of Session never repeat a write.
	Retry RetryPolicy
	// Identity says in recipe payloads who this is. Default BatchIdentity().
	Identity string
	// AllowReadOnly accepts a server that has lost its quorum: see the state ReadOnly. The client then goes on looking
	// for one that takes writes, and leaves for it. A session is not kept alive by a read-only server, and gives way to
	// one of that server's own after its timeout; such a one ends when the client leaves.
	AllowReadOnly bool
	// MaxReply is the largest reply in bytes that is accepted. Default 64 MiB; servers do not bound lists of children.
	MaxReply int
	// Logger gets one line per change of state. Default: silence.
	Logger *slog.Logger
	// Hooks are told what happens, for metrics and tracing.
	Hooks Hooks
	// DialContext makes the connections. Default: a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Resolver, if not nil, is asked in place of Servers before every round over the servers.
	Resolver Resolver
	// Resume re-attaches to an earlier session in place of beginning one. If that session has ended, Dial fails with
	// ErrSessionExpired.
	Resume *Ticket

	ownDialer bool // DialContext is the user's
}

// Resolver tells the servers of the ensemble at present, as Config.Servers would. The client calls it from one
// goroutine; ctx ends when the client is closed.
type Resolver interface {
	Servers(ctx context.Context) ([]string, error)
}

// RetryPolicy says how Client methods pause before they repeat what is safe to repeat. How long they go on is up to
// their context.
type RetryPolicy struct {
	Initial  time.Duration // pause before the first repetition, jittered. Default 20 ms
	Max      time.Duration // longest pause. Default 2 s
	Attempts int           // most attempts in all; 0: as many as the context has time for; 1: never repeat
}

// withDefaults returns the configuration with the defaults filled in, or what is wrong with it.
func (c Config) withDefaults() (Config, error) {
	if err := c.check(); err != nil {
		return c, fmt.Errorf("client config: %w", err)
	}
	c.Chroot = strings.TrimSuffix(zpath.Join("", c.Chroot), "/")
	setDefault(&c.SessionTimeout, 10*time.Second)
	setDefault(&c.ConnectTimeout, min(max(c.SessionTimeout/time.Duration(max(len(c.Servers), 1)), 100*time.Millisecond), 5*time.Second))
	setDefault(&c.CloseTimeout, 3*time.Second)
	setDefault(&c.Retry.Initial, 20*time.Millisecond)
	setDefault(&c.Retry.Max, 2*time.Second)
	setDefault(&c.MaxReply, 64<<20)
	if c.Identity == "" {
		c.Identity = BatchIdentity()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.ownDialer = c.DialContext != nil; !c.ownDialer {
		c.DialContext = (&net.Dialer{KeepAlive: -1}).DialContext // the session's own pings notice a dead peer sooner
	}
	return c, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c *Config) check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Servers) == 0 && c.Resolver == nil {
		wrong("Servers is empty")
	}
	for _, s := range c.Servers {
		if _, _, err := splitServer(s); err != nil {
			wrong("Servers: %w", err)
		}
	}
	if err := zpath.Validate(zpath.Join("", c.Chroot)); err != nil {
		wrong("Chroot: %w", err)
	}
	if c.SessionTimeout != 0 && (c.SessionTimeout < time.Millisecond || c.SessionTimeout.Milliseconds() > math.MaxInt32) {
		wrong("SessionTimeout is %v", c.SessionTimeout)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"MinMargin", c.MinMargin}, {"ConnectTimeout", c.ConnectTimeout}, {"ReadTimeout", c.ReadTimeout}, {"CloseTimeout", c.CloseTimeout}, {"Retry.Initial", c.Retry.Initial}, {"Retry.Max", c.Retry.Max}} {
		if d.value < 0 {
			wrong("%s is negative", d.name)
		}
	}
	if c.Retry.Attempts < 0 {
		wrong("Retry.Attempts is negative")
	}
	if c.MaxReply < 0 || c.MaxReply > math.MaxInt32 {
		wrong("MaxReply is %d", c.MaxReply)
	}
	if c.Resume != nil && (c.Resume.SessionID == 0 || len(c.Resume.Password) != wire.PasswordLen) {
		wrong("Resume is not the ticket of a session")
	}
	return errors.Join(errs...)
}

// margin returns the reserve between the deadline and the end of a granted timeout.
func (c *Config) margin(granted time.Duration) time.Duration { return max(granted/3, c.MinMargin) }

// readTimeout returns the silence after which a connection is given up.
func (c *Config) readTimeout(granted time.Duration) time.Duration {
	if c.ReadTimeout > 0 {
		return c.ReadTimeout
	}
	return granted / 2
}

// splitServer splits host:port; the port may be missing. An IPv6 address with a port stands in brackets.
func splitServer(s string) (host, port string, err error) {
	if host, port, err = net.SplitHostPort(s); err != nil {
		host, port = strings.Trim(s, "[]"), "2181"
		if strings.Contains(s, ":") && net.ParseIP(host) == nil {
			return "", "", fmt.Errorf("%q is not host:port", s)
		}
	}
	if host == "" || port == "" {
		return "", "", fmt.Errorf("%q is not host:port", s)
	}
	return host, port, nil
}
