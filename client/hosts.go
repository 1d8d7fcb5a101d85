package client

import (
	"context"
	"math/rand/v2"
	"net"
	"time"
)

// host is one address to try.
type host struct {
	addr string // host:port to dial
	name string // as configured, without the port: what a certificate is checked for
}

// hosts chooses the addresses to try: all servers once, in an order drawn for this client, at once; then, as long as
// none attached the session, a pause before each further round, so that many clients do not come back together.
type hosts struct {
	cfg     *Config
	servers []string
	at      int    // next server
	queue   []host // addresses found for the last one
	tried   int    // servers of the present round
	pause   decorrelated
	spent   int           // rounds begun at once, of burst
	since   time.Duration // when spent was last counted down
}

// A lost connection begins a round at once, for it may be the server that has gone and not the ensemble. If that
// happens again and again (a server that attaches sessions and drops them), it is paid from a small credit: burst
// rounds, one more per refill.
const (
	burst  = 5
	refill = time.Second
)

func newHosts(cfg *Config) *hosts {
	most := min(max(cfg.SessionTimeout/10, 250*time.Millisecond), 2*time.Second)
	return &hosts{cfg: cfg, pause: decorrelated{least: most / 20, most: most}}
}

// next returns the next address, and how long to wait before trying it.
func (h *hosts) next(ctx context.Context) (host, time.Duration, error) {
	if len(h.queue) > 0 {
		next := h.queue[0]
		h.queue = h.queue[1:]
		return next, 0, nil
	}
	var wait time.Duration
	if h.tried > 0 && h.tried >= len(h.servers) {
		wait, h.tried = h.pause.NextBackOff(), 0
	}
	if h.tried == 0 {
		if err := h.refresh(ctx); err != nil {
			h.tried = max(len(h.servers), 1)
			return host{}, wait, err
		}
	}
	server := h.servers[h.at%len(h.servers)]
	h.at++
	h.tried++
	found, err := h.lookUp(ctx, server)
	if err != nil {
		return host{addr: server}, wait, err
	}
	h.queue = found[1:]
	return found[0], wait, nil
}

// roundOver tells whether every address of the round was tried.
func (h *hosts) roundOver() bool { return len(h.queue) == 0 && h.tried >= len(h.servers) }

// begin starts a new round at once.
func (h *hosts) begin() {
	h.tried, h.queue = 0, nil
}

// lost notes at which time a connection was lost that had been attached, and how long it had lived.
func (h *hosts) lost(now, lived time.Duration) {
	if lived >= refill {
		h.pause.Reset()
	}
	earned := int((now - h.since) / refill)
	h.since += time.Duration(earned) * refill
	h.spent = max(h.spent-earned, 0)
	if h.spent < burst {
		h.spent++
		h.begin()
	}
}

// prefer puts an address before all others.
func (h *hosts) prefer(first host) { h.queue = append([]host{first}, h.queue...) }

// refresh reads the list of servers. An unchanged list keeps its order and its place.
func (h *hosts) refresh(ctx context.Context) error {
	list := h.cfg.Servers
	if h.cfg.Resolver != nil {
		var err error
		if list, err = h.cfg.Resolver.Servers(ctx); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		return &net.AddrError{Err: "no servers to try"}
	}
	if h.cfg.Resolver == nil && h.servers != nil {
		return nil
	}
	h.servers = append([]string(nil), list...)
	rand.Shuffle(len(h.servers), func(i, j int) { h.servers[i], h.servers[j] = h.servers[j], h.servers[i] })
	return nil
}

// lookUp returns the addresses of a server. A dialer of the user's is given names as they are: it may reach where this
// process's resolver does not.
func (h *hosts) lookUp(ctx context.Context, server string) ([]host, error) {
	name, port, err := splitServer(server)
	if err != nil {
		return nil, err
	}
	if h.cfg.ownDialer || net.ParseIP(name) != nil {
		return []host{{net.JoinHostPort(name, port), name}}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, h.cfg.ConnectTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return nil, err
	}
	found := make([]host, len(ips))
	for i, j := range rand.Perm(len(ips)) {
		found[i] = host{net.JoinHostPort(ips[j], port), name}
	}
	return found, nil
}
