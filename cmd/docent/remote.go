package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/docent-io/docent/client"
)

// sharedFlag annotates the flags that are explained once for all verbs.
const sharedFlag = "docent-shared"

// remote is how a verb reaches an ensemble: flags, which come before the environment.
type remote struct {
	getenv           func(string) string
	stderr           *cobra.Command
	dsn, id          string
	auth, ca         string
	cert, key        string
	connect, session time.Duration
	verbose          bool
	oneOfTwo         bool // ensembles, of which one may have TLS and the other not
	attached         *attachment
}

// attachment is what a verb works on that is given in a shell.
type attachment struct {
	c   *client.Client
	cwd string // what relative paths are below
	// more reads a line of input that belongs to a verb; io.EOF means that there is none.
	more        func(prompt string) (string, error)
	interactive bool // somebody is there to be asked
}

// addRemote gives a verb the flags that say how to reach an ensemble.
func addRemote(cmd *cobra.Command, e env) *remote {
	r := &remote{getenv: e.getenv, stderr: cmd, attached: e.attached}
	if strings.Contains(cmd.Use, "PATH") {
		cmd.ValidArgsFunction = r.completePath
	}
	if r.attached != nil {
		return r
	}
	fs := cmd.Flags()
	fs.StringVar(&r.dsn, "dsn", "", "`URL` of the ensemble; or DOCENT_DSN")
	fs.DurationVar(&r.connect, "connect", 10*time.Second, "how long to try to reach a server")
	fs.DurationVar(&r.session, "session", 0, "session timeout to ask for (default: the URL's, or 10s)")
	fs.StringVar(&r.id, "id", "", "who this is; or DOCENT_IDENTITY (default: the batch job, the pod, or host:pid)")
	fs.StringVar(&r.auth, "auth", "", "`USER:PASSWORD` of the scheme digest; or DOCENT_AUTH")
	fs.StringVar(&r.ca, "tls-ca", "", "`file` with the authorities of the servers' certificates; or DOCENT_CA")
	fs.StringVar(&r.cert, "tls-cert", "", "`file` with the certificate to show to servers; or DOCENT_CERT")
	fs.StringVar(&r.key, "tls-key", "", "`file` with the key of --tls-cert; or DOCENT_KEY")
	fs.BoolVar(&r.verbose, "verbose", false, "tell on stderr how the connection fares")
	for _, name := range []string{"dsn", "connect", "session", "id", "auth", "tls-ca", "tls-cert", "tls-key", "verbose"} {
		fs.Lookup(name).Annotations = map[string][]string{sharedFlag: {"connecting"}}
	}
	return r
}

func connectingTopic() *cobra.Command {
	return &cobra.Command{Use: "connecting", Short: "how verbs find the ensemble, and who they are", Long: `How verbs find the ensemble, and who they are. A flag comes before the variable.

  --dsn URL, DOCENT_DSN   zk://HOST:PORT,HOST:PORT/CHROOT?session=30s, or zks://
                          with TLS (default zk://127.0.0.1:2181)
  --connect DURATION      how long to try to reach a server (default 10s); then
                          the exit code is 69
  --session DURATION      session timeout to ask for (default the URL's, or 10s)
  --id WHO, DOCENT_IDENTITY
                          who this is, for those who ask who holds (default the
                          SLURM or PBS job, the Kubernetes pod, or host:pid)
  --auth USER:PASSWORD, DOCENT_AUTH
                          authentication of the scheme digest
  --tls-ca, --tls-cert, --tls-key FILE, DOCENT_CA, DOCENT_CERT, DOCENT_KEY
                          the servers' authorities, and what to show them
  --verbose               tell on stderr how the connection fares`}
}

// config returns the client's configuration.
func (r *remote) config() (client.Config, error) {
	flags := map[string]string{"DOCENT_DSN": r.dsn, "DOCENT_IDENTITY": r.id, "DOCENT_AUTH": r.auth, "DOCENT_CA": r.ca, "DOCENT_CERT": r.cert, "DOCENT_KEY": r.key}
	lookup := func(name string) string {
		if v := flags[name]; v != "" {
			return v
		}
		return r.getenv(name)
	}
	if r.cert+r.key != "" && (lookup("DOCENT_CERT") == "" || lookup("DOCENT_KEY") == "") {
		return client.Config{}, usagef("--tls-cert and --tls-key need each other")
	}
	cfg, err := client.FromLookup(lookup)
	if err != nil {
		return cfg, usageError(r.byFlag(err))
	}
	switch {
	case !r.oneOfTwo && cfg.TLS == nil && r.ca+r.cert+r.key != "":
		return cfg, usagef("--tls-ca, --tls-cert and --tls-key need TLS: a URL that begins with zks://")
	case slices.ContainsFunc(cfg.Auth, func(a client.Auth) bool { return a.Scheme == "digest" && !bytes.Contains(a.Data, []byte(":")) }):
		return cfg, usagef("--auth, or what stands for it: want USER:PASSWORD") // not the text: it is secret
	case r.session < 0 || r.session > 0 && r.session < time.Millisecond:
		return cfg, usagef("--session %v: want at least 1ms", r.session)
	case r.connect <= 0:
		return cfg, usagef("--connect %v: want more than nothing", r.connect)
	case r.session > 0:
		cfg.SessionTimeout = r.session
	}
	if r.verbose {
		cfg.Logger = slog.New(slog.NewTextHandler(r.stderr.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return cfg, nil
}

// byFlag names the flag, and not the variable that it stands in front of, in what is wrong with it.
func (r *remote) byFlag(err error) error {
	text := strings.Replace(err.Error(), "DOCENT_DSN: DSN: ", "DOCENT_DSN: ", 1)
	for name, flag := range map[string]struct{ name, value string }{
		"DOCENT_DSN": {"--dsn", r.dsn}, "DOCENT_CA": {"--tls-ca", r.ca}, "DOCENT_CERT": {"--tls-cert", r.cert}, "DOCENT_KEY": {"--tls-key", r.key},
	} {
		if flag.value != "" {
			text = strings.Replace(text, name, flag.name, 1)
		}
	}
	return &refusal{err, text}
}

// dial returns a client with a live session, or an error with the exit code for it.
func (r *remote) dial(ctx context.Context) (*client.Client, error) {
	cfg, err := r.config()
	if err != nil {
		return nil, err
	}
	return r.dialConfig(ctx, cfg)
}

func (r *remote) dialConfig(ctx context.Context, cfg client.Config) (*client.Client, error) {
	within, cancel := context.WithTimeoutCause(ctx, r.connect, fmt.Errorf("no server reached within %v", r.connect))
	defer cancel()
	c, err := client.Dial(within, cfg)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, client.ErrAuthFailed), errors.Is(err, client.ErrNoAuth):
		return nil, &exit{code: exitDenied, err: err}
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	said := strings.Replace(err.Error(), "dial: "+context.DeadlineExceeded.Error()+": ", "", 1)
	return nil, &exit{code: exitUnreachable, err: &refusal{err, said}}
}

// run is a verb's work: f with a client and a context that limit bounds.
func (r *remote) run(cmd *cobra.Command, limit *timeLimit, f func(ctx context.Context, c *client.Client) error) error {
	ctx, cancel := limit.bound(cmd.Context())
	defer cancel()
	return r.use(ctx, func(c *client.Client) error { return f(ctx, c) })
}

// use calls f with a client: that of the shell, or one of its own that is closed behind it. What f fails with is said in
// the words of somebody at a terminal.
func (r *remote) use(ctx context.Context, f func(c *client.Client) error) error {
	if r.attached != nil {
		return inWords(ctx, f(r.attached.c))
	}
	c, err := r.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close() // that no server confirms the end of the session is no failure of what was done in it
	return inWords(ctx, f(c))
}

// inWords puts an error into words, and knows the exit codes of a time limit and of a version that was not the node's.
func inWords(ctx context.Context, err error) error {
	var op *client.OpError
	if said := (*refusal)(nil); errors.As(err, &said) {
		return err
	}
	if limit := (*exit)(nil); errors.As(err, &op) && ctx.Err() != nil && errors.As(context.Cause(ctx), &limit) {
		return &exit{code: limit.code, err: fmt.Errorf("%w%s", limit.err, maybeApplied(op))}
	}
	err = worded(err)
	if errors.Is(err, client.ErrBadVersion) {
		return &exit{code: exitTemporary, err: err}
	}
	return err
}

// worded leaves the protocol's name of the operation and the number of the session out of an error.
func worded(err error) error {
	var op *client.OpError
	if said := (*refusal)(nil); errors.As(err, &said) || !errors.As(err, &op) {
		return err
	}
	plain := strings.TrimPrefix(op.Path+": ", ": ") + op.Err.Error() + maybeApplied(op)
	return &refusal{err, strings.ReplaceAll(err.Error(), op.Error(), plain)}
}

func maybeApplied(op *client.OpError) string {
	if op.MaybeApplied {
		return "; it may have been applied"
	}
	return ""
}

// refusal is an error in other words.
type refusal struct {
	err  error
	text string
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.err }

// timeLimit bounds all that a verb does; zero does not.
type timeLimit time.Duration

// addTimeout gives a verb --timeout, which bounds all it does.
func addTimeout(cmd *cobra.Command) *timeLimit {
	l := new(timeLimit)
	*l = timeLimit(30 * time.Second)
	cmd.Flags().Var(l, "timeout", "how long it may take in all, 0: no limit")
	return l
}

// Set reads the flag.
func (l *timeLimit) Set(text string) error {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return err
	case d < 0:
		return errors.New("want a time, or 0 for no limit")
	}
	*l = timeLimit(d)
	return nil
}

// String and Type are for help.
func (l *timeLimit) String() string { return time.Duration(*l).String() }
func (l *timeLimit) Type() string   { return "duration" }

// bound returns the context of a verb. What exceeds it is a server that does not answer, for the verb waits for nothing else.
func (l *timeLimit) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	d := time.Duration(*l)
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, d, &exit{code: exitUnreachable, err: fmt.Errorf("no answer within %v", d)})
}

// lifeSign bounds what takes long as a whole by the time that passes without a sign of life.
type lifeSign struct {
	limit time.Duration // 0: none
	timer *time.Timer
}

// lifeSigns returns a context that ends, as that of bound, when there was no sign of life for so long.
func (l *timeLimit) lifeSigns(parent context.Context) (context.Context, *lifeSign, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	p := &lifeSign{limit: max(time.Duration(*l), 0)}
	p.timer = time.AfterFunc(p.limit, func() {
		if p.limit > 0 {
			cancel(&exit{code: exitUnreachable, err: fmt.Errorf("no answer within %v", p.limit)})
		}
	})
	return ctx, p, func() { p.timer.Stop(); cancel(nil) }
}

// alive is a sign of life.
func (p *lifeSign) alive() { p.timer.Reset(p.limit) }

// rest lets time pass until the next sign of life: it is somebody else who is waited for.
func (p *lifeSign) rest() { p.timer.Stop() }
