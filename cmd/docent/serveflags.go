package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/docent-io/docent/server"
)

const serveHelp = `Runs a server in the foreground until SIGINT or SIGTERM. Without any flag: one
server for this machine on 127.0.0.1:2181, its data in the user's data folder.

A member of an ensemble is told its number and the peer addresses of all
members, its own included. The first start forms the ensemble; later ones read
the data folder. An observer, 4=10.0.0.4:2888:observer, serves clients and has
no vote. A server that is to become a member of an ensemble that runs is told
its own address, waits, and is added by docent member add.

Every flag can also be given in the environment, --max-frame as
DOCENT_MAX_FRAME, or by a zoo.cfg of ZooKeeper's. A flag comes before the
environment, and the environment before the file. The exit code is 2 if the
server could not begin.`

const serveExample = `  docent serve --id 2 --data /var/lib/docent --listen 10.0.0.2:2181 \
      --peers 1=10.0.0.1:2888,2=10.0.0.2:2888,3=10.0.0.3:2888
  docent serve --id 5 --data /var/lib/docent --listen 10.0.0.5:2181 \
      --join --peers 5=10.0.0.5:2888`

// serveOptions is what the flags of docent serve are read into.
type serveOptions struct {
	cfg              server.Config
	fs               *pflag.FlagSet
	peers, words     string
	logLevel, format string
	file             string
	check            bool
	tls, peerTLS     server.TLSFiles
	clientAuth       string
	warnings         []string
}

func newServeOptions(fs *pflag.FlagSet) *serveOptions {
	o := &serveOptions{fs: fs}
	cfg := &o.cfg
	fs.StringVar(&o.file, "config", "", "`file` in the format of zoo.cfg")
	fs.BoolVar(&o.check, "check", false, "print the effective configuration, or what is wrong with it, and do not serve")
	fs.Uint64Var(&cfg.ID, "id", 0, "`number` of this member, 1 to 254 (default 1)")
	fs.StringVar(&cfg.Data, "data", dataFolder(), "`folder` for log and snapshots")
	fs.Lookup("data").DefValue = "docent in the user's data folder"
	fs.StringVar(&cfg.Listen, "listen", server.DefaultListen, "`address` for clients")
	fs.StringVar(&o.peers, "peers", "", "peer addresses of all members: `1=HOST:PORT,2=HOST:PORT,3=HOST:PORT:observer,...`")
	fs.BoolVar(&cfg.Join, "join", false, "with an empty data folder: wait to be added to an ensemble that runs, instead of forming one")
	fs.BoolVar(&cfg.ReconfigEnabled, "reconfig-enabled", false, "allow ZooKeeper's reconfig to who may write to /zookeeper/config")
	fs.BoolVar(&cfg.ReadOnlyMode, "read-only-mode", false, "serve reads to clients that allow it while there is no leader")
	fs.DurationVar(&cfg.MinSessionTimeout, "min-session-timeout", 0, "shortest session timeout granted (default 500ms)")
	fs.DurationVar(&cfg.MaxSessionTimeout, "max-session-timeout", 0, "longest session timeout granted (default 1m)")
	fs.DurationVar(&cfg.Tick, "tick", 0, "how late a session may be expired (default 100ms)")
	fs.DurationVar(&cfg.ElectionTimeout, "election-timeout", 0, "how long a silent leader is believed in (default 250ms)")
	fs.DurationVar(&cfg.ContainerInterval, "container-interval", 0, "how often empty containers are removed (default 1m)")
	fs.Int64Var(&cfg.SnapshotBytes, "snapshot-bytes", 0, "`bytes` of log between two snapshots, or as many as the last one has where that is more (default 64 MiB)")
	fs.IntVar(&cfg.MaxFrame, "max-frame", 0, "longest request taken, in `bytes` (default 1048575)")
	fs.IntVar(&cfg.Limits.Connections, "max-connections", 0, "connections in all, 0: by the limit of open files")
	fs.IntVar(&cfg.Limits.InFlight, "max-in-flight", 0, "requests of a connection in work at once (default 1000)")
	fs.IntVar(&cfg.Limits.Unread, "max-unread", 0, "`bytes` that may wait for a client that does not read (default 64 MiB)")
	fs.IntVar(&cfg.Limits.Watches, "max-watches", 0, "paths that a connection may watch (default 500000)")
	fs.DurationVar(&cfg.Limits.Handshake, "handshake-timeout", 0, "how long a new connection may take to begin a session (default 10s)")
	fs.IntVar(&cfg.MaxConnectionsPerAddress, "max-connections-per-address", 0, "connections from one address, 0: no limit")
	fs.BoolVar(&cfg.ExtendedTypes, "extended-types", false, "allow nodes with a time to live")
	fs.BoolVar(&cfg.EnforceQuota, "enforce-quota", false, "let hard quotas refuse what would exceed them")
	fs.StringVar(&cfg.SuperDigest, "super-digest", "", "`USER:DIGEST` of the user that may do everything (default: nobody)")
	fs.StringVar(&o.words, "4lw-whitelist", "srvr,isro,ruok", "four-letter `words` answered, * for all")
	fs.StringVar(&cfg.AdminListen, "admin-listen", "", "`address` for operators over HTTP; a port alone is one of this machine only")
	fs.BoolVar(&cfg.AdminPprof, "admin-pprof", false, "profiles below /debug/pprof of the operators' address")
	fs.StringVar(&o.tls.Cert, "tls-cert", "", "`file` with this server's certificates: clients may use TLS")
	fs.StringVar(&o.tls.Key, "tls-key", "", "`file` with the key of --tls-cert")
	fs.StringVar(&o.tls.CA, "tls-ca", "", "`file` with the authorities of clients' certificates")
	fs.StringVar(&o.clientAuth, "tls-client-auth", "none", "certificates of clients: none, want or need")
	fs.StringVar(&cfg.SecureListen, "secure-listen", "", "further `address` for clients, TLS only")
	fs.StringVar(&o.peerTLS.Cert, "peer-tls-cert", "", "`file` with this server's certificates towards other members")
	fs.StringVar(&o.peerTLS.Key, "peer-tls-key", "", "`file` with the key of --peer-tls-cert")
	fs.StringVar(&o.peerTLS.CA, "peer-tls-ca", "", "`file` with the authorities of the members' certificates")
	fs.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	fs.StringVar(&o.format, "log-format", "text", "text or json")
	return o
}

// complete adds environment and file to the flags given, and turns text into what it means.
func (o *serveOptions) complete(e env) error {
	if err := o.read(e); err != nil {
		return err
	}
	for _, w := range o.warnings {
		o.cfg.Logger.Warn(w)
	}
	return nil
}

func (o *serveOptions) read(e env) (err error) {
	given := make(map[string]bool)
	o.fs.Visit(func(f *pflag.Flag) { given[f.Name] = true })
	if err := o.readEnvironment(e.getenv, given); err != nil {
		return err
	}
	if o.file != "" {
		if err := o.readFile(given); err != nil {
			return err
		}
	}
	// A zero that means "default" in Config must not be asked for in so many words, and then silently mean something else.
	for _, name := range []string{"id", "data", "listen", "min-session-timeout", "max-session-timeout", "tick", "election-timeout", "container-interval", "snapshot-bytes", "max-frame",
		"max-in-flight", "max-unread", "max-watches", "handshake-timeout"} {
		if v := o.fs.Lookup(name).Value.String(); given[name] && (v == "" || v == "0" || v == "0s") {
			return fmt.Errorf("--%s %q: not a value to serve with", name, v)
		}
	}
	cfg := &o.cfg
	if cfg.Peers, cfg.Observers, err = parsePeers(o.peers); err != nil {
		return err
	}
	if cfg.Peers != nil && !given["id"] {
		return errors.New("--peers needs --id, the number of this member")
	}
	if cfg.Logger, err = newLogger(e.stderr, o.logLevel, o.format); err != nil {
		return err
	}
	cfg.FourLetterWords = []string{} // none, if the list is empty
	for w := range strings.SplitSeq(o.words, ",") {
		if w = strings.TrimSpace(w); w != "" {
			cfg.FourLetterWords = append(cfg.FourLetterWords, w)
		}
	}
	return o.readTLS()
}

// readEnvironment takes DOCENT_NAME_OF_FLAG for each flag that was not given.
func (o *serveOptions) readEnvironment(getenv func(string) string, given map[string]bool) (err error) {
	o.fs.VisitAll(func(f *pflag.Flag) {
		name := "DOCENT_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		v := getenv(name)
		if v == "" || given[f.Name] || err != nil {
			return
		}
		given[f.Name] = true
		if e := o.fs.Set(f.Name, v); e != nil {
			err = fmt.Errorf("%s=%q in the environment: %w", name, v, e)
		}
	})
	return err
}

func (o *serveOptions) readTLS() (err error) {
	auths := map[string]tls.ClientAuthType{"none": tls.NoClientCert, "want": tls.VerifyClientCertIfGiven, "need": tls.RequireAndVerifyClientCert}
	auth, ok := auths[o.clientAuth]
	if !ok {
		return fmt.Errorf("--tls-client-auth %q: want none, want or need", o.clientAuth)
	}
	o.tls.ClientAuth, o.peerTLS.ClientAuth = auth, tls.RequireAndVerifyClientCert
	if o.cfg.TLS, err = readTLSFiles("tls", o.tls); err != nil {
		return err
	}
	o.cfg.PeerTLS, err = readTLSFiles("peer-tls", o.peerTLS)
	return err
}

func readTLSFiles(name string, f server.TLSFiles) (*tls.Config, error) {
	switch {
	case f.Cert == "" && f.Key == "" && f.CA == "":
		return nil, nil
	case f.Cert == "" || f.Key == "":
		return nil, fmt.Errorf("--%[1]s-cert and --%[1]s-key belong together", name)
	}
	return f.Config()
}

// print writes the effective configuration, one flag a line.
func (o *serveOptions) print(w io.Writer) (err error) {
	o.fs.VisitAll(func(f *pflag.Flag) {
		if slices.Contains([]string{"check", "config"}, f.Name) || err != nil {
			return
		}
		v := f.Value.String()
		if f.Name == "super-digest" && v != "" {
			v = "(given)" // a secret, nearly
		}
		if d := o.defaultOf(f.Name); v == "0" || v == "0s" || v == "" {
			v = d
		}
		_, err = fmt.Fprintf(w, "%s=%s\n", f.Name, v)
	})
	return err
}

// defaultOf returns what a zero value means, as the server completes it.
func (o *serveOptions) defaultOf(name string) string {
	cfg := o.cfg.WithDefaults()
	switch name {
	case "id":
		return fmt.Sprint(cfg.ID)
	case "min-session-timeout":
		return cfg.MinSessionTimeout.String()
	case "max-session-timeout":
		return cfg.MaxSessionTimeout.String()
	case "tick":
		return cfg.Tick.String()
	case "election-timeout":
		return cfg.ElectionTimeout.String()
	case "container-interval":
		return cfg.ContainerInterval.String()
	case "snapshot-bytes":
		return fmt.Sprint(cfg.SnapshotBytes)
	case "max-frame":
		return fmt.Sprint(cfg.MaxFrame)
	case "max-connections":
		return fmt.Sprint(cfg.Limits.Connections)
	case "max-in-flight":
		return fmt.Sprint(cfg.Limits.InFlight)
	case "max-unread":
		return fmt.Sprint(cfg.Limits.Unread)
	case "max-watches":
		return fmt.Sprint(cfg.Limits.Watches)
	case "handshake-timeout":
		return cfg.Limits.Handshake.String()
	}
	return o.fs.Lookup(name).Value.String()
}

// parsePeers reads the addresses of the members, and which of them are observers.
func parsePeers(s string) (peers map[uint64]string, observers []uint64, err error) {
	if s == "" {
		return nil, nil, nil
	}
	peers = make(map[uint64]string)
	for entry := range strings.SplitSeq(s, ",") {
		num, addr, ok := strings.Cut(strings.TrimSpace(entry), "=")
		id, err := strconv.ParseUint(num, 10, 64)
		addr, observer := strings.CutSuffix(addr, ":observer")
		if _, port, e := net.SplitHostPort(addr); !ok || err != nil || e != nil || port == "" {
			return nil, nil, fmt.Errorf("--peers: %q is not NUMBER=HOST:PORT or NUMBER=HOST:PORT:observer", entry)
		}
		if _, ok := peers[id]; ok {
			return nil, nil, fmt.Errorf("--peers: number %d is there twice", id)
		}
		if peers[id] = addr; observer {
			observers = append(observers, id)
		}
	}
	return peers, observers, nil
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
