package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// Config says what a server is to be. Its zero value is a server of its own, in memory, on 127.0.0.1:2181.
type Config struct {
	// ID is the number of this server in its ensemble, 1 to 254. Default 1.
	ID uint64
	// Listen is the address for clients. Default 127.0.0.1:2181; port 0 picks a free one.
	Listen string
	// Listener, if given, is used instead of Listen. The server closes it.
	Listener net.Listener

	// TLS, if given, is spoken with clients that begin it, on the same port as without. Certificates that clients show are
	// verified as it says, and make them known under the scheme x509. TLSFiles makes one that follows its files.
	TLS *tls.Config
	// SecureListen is a further address for clients, on which TLS is a must. It needs TLS.
	SecureListen string
	// PeerTLS, if given, is spoken between the members, on both ends. It should require a certificate of each.
	PeerTLS *tls.Config

	// Data is the folder that holds the log and the snapshots. It is created if need be, and belongs to one member of
	// one ensemble for good. Empty: everything is kept in memory and gone when the server stops.
	Data string

	// Peers are the peer addresses of all members, this one included, by number. They count at the first start with an
	// empty data folder; later starts read the folder, and only take this server's own address from here. Empty: a server
	// of its own.
	Peers map[uint64]string
	// Observers are the numbers of those members that serve clients and have no vote. They count when Peers do.
	Observers []uint64
	// Join makes a server with an empty data folder wait until it is added to an ensemble that runs, instead of forming
	// one. Of Peers only its own address counts.
	Join bool
	// ReconfigEnabled allows ZooKeeper's operation reconfig, to whoever may write to /zookeeper/config. As in ZooKeeper a
	// server that was removed goes on then, without serving, and can be added again; else it stops.
	ReconfigEnabled bool
	// ReadOnlyMode serves clients that allow it from what this server has while no leader is known, after four election
	// time-outs.
	ReadOnlyMode bool
	// PeerListener, if given, is used instead of listening on this server's own peer address. The server closes it.
	PeerListener net.Listener
	// DialPeer, if given, connects to other members instead of a plain TCP dial.
	DialPeer DialFunc

	// MinSessionTimeout and MaxSessionTimeout bound what a client may ask for. Defaults 500 ms and 60 s.
	MinSessionTimeout, MaxSessionTimeout time.Duration
	// Tick is how often the leader looks for sessions that are overdue, and so how late one may be ended. Default 100 ms.
	Tick time.Duration
	// ElectionTimeout is how long a silent leader is believed in. Default 250 ms.
	ElectionTimeout time.Duration
	// SnapshotBytes is how much log is written between two snapshots, or as much as the last one has where that is more: to write
	// a large tree again and again would cost more than the writes themselves. Default 64 MiB.
	SnapshotBytes int64
	// ContainerInterval is how often the leader removes containers that ran empty and nodes whose time to live is over.
	// Default one minute.
	ContainerInterval time.Duration
	// ContainerNeverUsed is the age at which a container that never had a child is removed, too. Default five minutes.
	ContainerNeverUsed time.Duration
	// ExtendedTypes allows nodes with a time to live.
	ExtendedTypes bool
	// EnforceQuota makes hard quotas refuse what would exceed them. Soft ones are logged when they are passed, no more.
	EnforceQuota bool
	// SuperDigest is the digest identity that may do everything, "super:" and the base64 of the SHA-1 of
	// "super:PASSWORD". Default: nobody may.
	SuperDigest string

	// AdminListen is the address for operators: HTTP with /metrics, /healthz, /readyz and ZooKeeper's /commands. A port
	// alone is one of this machine only. Default: none.
	AdminListen string
	// AdminPprof adds Go's profiles to it, below /debug/pprof.
	AdminPprof bool

	// Limits bound what clients may use, together with the two below.
	Limits Limits
	// MaxFrame is the longest request taken, in bytes. Default 1048575, as in ZooKeeper.
	MaxFrame int
	// MaxConnectionsPerAddress bounds the connections from one IP address. Default 0: no limit.
	MaxConnectionsPerAddress int
	// FourLetterWords are the four-letter words answered, "*" for all of them. Default srvr, isro and ruok.
	FourLetterWords []string

	// Lab is for tests.
	Lab Lab

	// Logger gets one line per change of state. Default: silent.
	Logger *slog.Logger
}

// DefaultListen is where a server listens for clients unless told otherwise.
const DefaultListen = "127.0.0.1:2181"

// WithDefaults returns the configuration with the documented defaults in the place of zero values.
func (cfg Config) WithDefaults() Config {
	def(&cfg.ID, 1)
	def(&cfg.Listen, DefaultListen)
	def(&cfg.MinSessionTimeout, 500*time.Millisecond)
	def(&cfg.MaxSessionTimeout, 60*time.Second)
	def(&cfg.Tick, 100*time.Millisecond)
	def(&cfg.ElectionTimeout, 250*time.Millisecond)
	def(&cfg.SnapshotBytes, 64<<20)
	def(&cfg.ContainerInterval, time.Minute)
	def(&cfg.ContainerNeverUsed, 5*time.Minute)
	def(&cfg.MaxFrame, wire.MaxFrame)
	cfg.Limits.setDefaults()
	if cfg.FourLetterWords == nil {
		cfg.FourLetterWords = []string{"srvr", "isro", "ruok"}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg
}

func def[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// Check reports everything that is wrong with the configuration, short of what only starting shows.
func (cfg Config) Check() error {
	cfg = cfg.WithDefaults()
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if cfg.ID < 1 || cfg.ID > 254 {
		wrong("id %d: want 1 to 254", cfg.ID)
	}
	if len(cfg.Peers) > 0 {
		if _, ok := cfg.Peers[cfg.ID]; !ok {
			wrong("peers %v do not contain this server's own id %d", peerIDs(cfg.Peers), cfg.ID)
		}
	}
	if cfg.Join && len(cfg.Peers) == 0 {
		wrong("a server that is to join an ensemble needs its own peer address")
	}
	for _, id := range cfg.Observers {
		if _, ok := cfg.Peers[id]; !ok {
			wrong("observer %d is not among the peers", id)
		}
	}
	if len(cfg.Peers) > 0 && len(cfg.Observers) >= len(cfg.Peers) && !cfg.Join {
		wrong("the peers are observers only, and nobody votes")
	}
	seen := make(map[string]uint64)
	for _, id := range peerIDs(cfg.Peers) {
		addr := cfg.Peers[id]
		if id < 1 || id > 254 {
			wrong("peer id %d: want 1 to 254", id)
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			wrong("address of peer %d: %w", id, err)
		}
		if other, ok := seen[addr]; ok {
			wrong("peers %d and %d have the same address %s", other, id, addr)
		}
		seen[addr] = id
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"minimum session timeout", cfg.MinSessionTimeout}, {"maximum session timeout", cfg.MaxSessionTimeout},
		{"tick", cfg.Tick}, {"election timeout", cfg.ElectionTimeout}, {"container interval", cfg.ContainerInterval},
	} {
		if d.value <= 0 {
			wrong("%s %v: want more than 0", d.name, d.value)
		}
	}
	if cfg.SecureListen != "" && cfg.TLS == nil {
		wrong("an address for TLS (%s) needs a certificate", cfg.SecureListen)
	}
	if cfg.MinSessionTimeout > cfg.MaxSessionTimeout {
		wrong("minimum session timeout %v is above the maximum %v", cfg.MinSessionTimeout, cfg.MaxSessionTimeout)
	}
	if user, hash, ok := strings.Cut(cfg.SuperDigest, ":"); cfg.SuperDigest != "" && (!ok || user == "" || hash == "") {
		wrong("super digest: want USER:DIGEST") // what was given may be a password
	}
	if cfg.SnapshotBytes < 0 {
		wrong("snapshot bytes %d: want 0 or more", cfg.SnapshotBytes)
	}
	if cfg.MaxFrame < 1024 {
		wrong("longest frame %d: want at least 1024 bytes", cfg.MaxFrame)
	}
	if cfg.MaxConnectionsPerAddress < 0 {
		wrong("connections per address %d: want 0 or more", cfg.MaxConnectionsPerAddress)
	}
	cfg.Limits.check(wrong)
	for _, w := range cfg.FourLetterWords {
		if _, ok := fourLetterWords[w]; !ok && w != "*" {
			wrong("four-letter word %q is not known", w)
		}
	}
	return errors.Join(errs...)
}

func peerIDs(peers map[uint64]string) []uint64 {
	ids := make([]uint64, 0, len(peers))
	for id := range peers {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
