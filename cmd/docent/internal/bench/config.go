package bench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// Config says what load to put on which servers. There are no defaults here: the verb docent bench has them.
type Config struct {
	Addrs []string    // servers; connections are spread over them in turn
	TLS   *tls.Config // nil: none; an empty ServerName means the host of the address
	Auth  []Auth      // sent first on every connection
	Root  string      // a node below which all happens; it is created, and deleted at the end. Its parent must exist

	Conns    int     // connections, each a session of its own
	InFlight int     // requests under way on each connection; with a Rate, the most that may be
	Mix      Mix     // what they do
	Size     int     // bytes of data in a node
	Nodes    int     // nodes that are read and set
	Zipf     float64 // 0: all nodes alike; else the exponent: node k is chosen with a probability in proportion to 1/k^Zipf
	Rate     float64 // requests per second that are due on all connections together; 0: as many as there are answers

	WarmUp   time.Duration // load that does not count, before that which does
	Duration time.Duration // how long what counts is measured
	// Timeline is the interval of the time line; 0: none. With a time line connections that break are opened again, at
	// the next server, and errors are counted; without, both end the run.
	Timeline time.Duration

	Session  time.Duration // session timeout to ask for
	Sessions int           // further sessions that do nothing
	Watches  int           // watches they hold, on nodes that never change
	Keep     bool          // do not delete the nodes
	Pids     []int         // processes of the servers, whose CPU and memory are told (Linux)
	Seed     uint64        // of the random numbers

	Progress func(string) // nil, or told what is being done
}

// Auth is an identity of a client.
type Auth struct {
	Scheme string
	Data   []byte
}

const (
	maxConns  = 100_000
	maxNodes  = 10_000_000
	maxWindow = 4 << 20 // bytes of requests under way on a connection: what buffers of sockets hold, so that writing cannot wait for reading
)

// Check returns what is wrong with the load that is asked for.
func (c *Config) Check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	inRange := func(name string, n, low, high int) {
		if n < low || n > high {
			wrong("%s: %d is not between %d and %d", name, n, low, high)
		}
	}
	if len(c.Addrs) == 0 {
		wrong("no server")
	}
	inRange("connections", c.Conns, 1, maxConns)
	inRange("requests in flight", c.InFlight, 1, 100_000)
	inRange("nodes", c.Nodes, 1, maxNodes)
	inRange("size", c.Size, 0, 1_000_000)
	inRange("idle sessions", c.Sessions, 0, maxConns)
	inRange("watches", c.Watches, 0, maxNodes)
	if c.Rate == 0 && c.InFlight*c.Size > maxWindow {
		wrong("%d requests in flight of %d bytes each: a connection can have %d bytes under way", c.InFlight, c.Size, maxWindow)
	}
	if len(c.Mix.kinds) == 0 {
		wrong("no mix of operations")
	}
	if !(c.Zipf >= 0 && c.Zipf <= 10) {
		wrong("Zipf exponent: %v is not between 0 and 10", c.Zipf)
	}
	if c.WarmUp < 0 || c.Duration <= 0 {
		wrong("durations: warm-up %v and %v", c.WarmUp, c.Duration)
	}
	if c.Timeline < 0 || c.Timeline > 0 && c.Duration/c.Timeline > 1_000_000 {
		wrong("time line in steps of %v", c.Timeline)
	}
	if c.Session < time.Second || c.Session > time.Hour {
		wrong("session timeout: %v is not between 1s and 1h", c.Session)
	}
	// A connection that sends nothing for longer would need pings.
	if least := 3 * float64(c.Conns) / c.Session.Seconds(); !(c.Rate == 0 || c.Rate >= least) {
		wrong("rate: %v is less than %.3g, which keeps %d sessions of %v alive", c.Rate, least, c.Conns, c.Session)
	}
	return errors.Join(errs...)
}

func (c *Config) progress(format string, args ...any) {
	if c.Progress != nil {
		c.Progress(fmt.Sprintf(format, args...))
	}
}
