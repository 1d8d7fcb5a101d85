package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/docent-io/docent/server"
)

const serveHelp = `usage: docent serve [FLAGS]

Runs a server in the foreground until SIGINT or SIGTERM. Without any flag: one
server for this machine on 127.0.0.1:2181, its data in the user's data folder.

A member of an ensemble is told its number and the peer addresses of all
members, its own included. The first start forms the ensemble; later ones read
the data folder:

  docent serve --id 2 --data /var/lib/docent --listen 10.0.0.2:2181 \
      --peers 1=10.0.0.1:2888,2=10.0.0.2:2888,3=10.0.0.3:2888

Flags:
`

// serveConfig reads the flags. Every error of it is the user's.
func serveConfig(e env) (server.Config, error) {
	var (
		cfg              server.Config
		peers, words     string
		logLevel, format string
	)
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Uint64Var(&cfg.ID, "id", 0, "`number` of this member, 1 to 254 (default 1)")
	fs.StringVar(&cfg.Data, "data", "", "`folder` for log and snapshots (default "+dataFolder()+")")
	fs.StringVar(&cfg.Listen, "listen", server.DefaultListen, "`address` for clients")
	fs.StringVar(&peers, "peers", "", "peer addresses of all members: `1=HOST:PORT,2=HOST:PORT,...`")
	fs.DurationVar(&cfg.MinSessionTimeout, "min-session-timeout", 0, "shortest session timeout granted (default 500ms)")
	fs.DurationVar(&cfg.MaxSessionTimeout, "max-session-timeout", 0, "longest session timeout granted (default 1m)")
	fs.DurationVar(&cfg.Tick, "tick", 0, "how late a session may be expired (default 100ms)")
	fs.DurationVar(&cfg.ElectionTimeout, "election-timeout", 0, "how long a silent leader is believed in (default 250ms)")
	fs.DurationVar(&cfg.ContainerInterval, "container-interval", 0, "how often empty containers are removed (default 1m)")
	fs.Int64Var(&cfg.SnapshotBytes, "snapshot-bytes", 0, "`bytes` of log between two snapshots (default 64 MiB)")
	fs.IntVar(&cfg.MaxFrame, "max-frame", 0, "longest request taken, in `bytes` (default 1048575)")
	fs.IntVar(&cfg.MaxConnectionsPerAddress, "max-connections-per-address", 0, "connections from one address, 0: no limit")
	fs.BoolVar(&cfg.ExtendedTypes, "extended-types", false, "allow nodes with a time to live")
	fs.BoolVar(&cfg.EnforceQuota, "enforce-quota", false, "let hard quotas refuse what would exceed them")
	fs.StringVar(&cfg.SuperDigest, "super-digest", "", "`USER:DIGEST` of the user that may do everything (default: nobody)")
	fs.StringVar(&words, "4lw-whitelist", "srvr,isro,ruok", "four-letter `words` answered, * for all")
	fs.StringVar(&logLevel, "log-level", "info", "debug, info, warn or error")
	fs.StringVar(&format, "log-format", "text", "text or json")

	err := fs.Parse(e.args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(e.stdout, serveHelp)
		fs.SetOutput(e.stdout)
		fs.PrintDefaults()
		return cfg, err
	case err != nil:
		return cfg, usageError{err}
	case fs.NArg() > 0:
		return cfg, usageError{fmt.Errorf("unexpected argument %q", fs.Arg(0))}
	}
	given := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	// Flags whose zero value means "default" in Config must not be given as zero and then silently mean something else.
	for _, name := range []string{"id", "data", "listen", "min-session-timeout", "max-session-timeout", "tick", "election-timeout", "container-interval", "snapshot-bytes", "max-frame"} {
		if v := fs.Lookup(name).Value.String(); given[name] && (v == "" || v == "0" || v == "0s") {
			return cfg, usageError{fmt.Errorf("--%s %s: not a value to serve with", name, strconv.Quote(v))}
		}
	}
	if cfg.Peers, err = parsePeers(peers); err != nil {
		return cfg, usageError{err}
	}
	if cfg.Peers != nil && !given["id"] {
		return cfg, usageError{errors.New("--peers needs --id, the number of this member")}
	}
	if cfg.Logger, err = newLogger(e.stderr, logLevel, format); err != nil {
		return cfg, usageError{err}
	}
	cfg.FourLetterWords = []string{} // none, if the list is empty
	for w := range strings.SplitSeq(words, ",") {
		if w = strings.TrimSpace(w); w != "" {
			cfg.FourLetterWords = append(cfg.FourLetterWords, w)
		}
	}
	if !given["data"] {
		cfg.Data = dataFolder()
	}
	return cfg, nil
}

// serve starts a server, says so when it can carry out requests, and stops it when ctx ends.
func serve(ctx context.Context, e env) error {
	cfg, err := serveConfig(e)
	if err != nil {
		return err
	}
	srv, err := server.Start(cfg)
	if err != nil {
		return usageError{oneLine(err)}
	}
	if err := srv.Ready(ctx); err == nil {
		members := ""
		if len(cfg.Peers) > 1 {
			members = fmt.Sprintf(", member %d of %d", cfg.ID, len(cfg.Peers))
		}
		fmt.Fprintf(e.stdout, "docent: serving clients on %s%s, data in %s\n", srv.Addr(), members, cfg.Data)
	}
	select {
	case <-ctx.Done():
	case <-srv.Done():
	}
	return srv.Close()
}

// oneLine joins the lines of a joined error.
func oneLine(err error) error {
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

func parsePeers(s string) (map[uint64]string, error) {
	if s == "" {
		return nil, nil
	}
	peers := make(map[uint64]string)
	for entry := range strings.SplitSeq(s, ",") {
		num, addr, ok := strings.Cut(strings.TrimSpace(entry), "=")
		id, err := strconv.ParseUint(num, 10, 64)
		if !ok || err != nil {
			return nil, fmt.Errorf("--peers: %q is not NUMBER=HOST:PORT", entry)
		}
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
			return nil, fmt.Errorf("--peers: %q is not NUMBER=HOST:PORT", entry)
		}
		if _, ok := peers[id]; ok {
			return nil, fmt.Errorf("--peers: number %d is there twice", id)
		}
		peers[id] = addr
	}
	return peers, nil
}

func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q: want debug, info, warn or error", level)
	}
	o := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, fmt.Errorf("--log-format %q: want text or json", format)
}

// dataFolder is docent's folder among the user's data.
func dataFolder() string {
	if d := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "docent")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "docent-data" // in the working directory, for want of a better one
	}
	return filepath.Join(home, ".local", "share", "docent")
}
