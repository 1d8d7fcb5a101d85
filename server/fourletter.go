package server

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/docent-io/docent/server/internal/tree"
	"github.com/docent-io/docent/server/internal/watch"
)

// Version is the version of ZooKeeper's behaviour that the server answers tools with.
const Version = "3.9.3-docent"

const buildDate = "01/01/2026 00:00 GMT" // in the form that old parsers want

// fourLetterWords are the commands that a client may send instead of a connect request. Each writes its answer, after
// which the connection is closed.
var fourLetterWords = map[string]func(s *Server, b *bytes.Buffer){
	"ruok": func(_ *Server, b *bytes.Buffer) { b.WriteString("imok") },
	"isro": func(_ *Server, b *bytes.Buffer) { b.WriteString("rw") },
	"srvr": func(s *Server, b *bytes.Buffer) { s.writeVersion(b); s.writeSummary(b) },
	"stat": writeStat,
	"mntr": writeMonitor,
	"conf": writeConf,
	"envi": writeEnvironment,
	"cons": writeConnections,
	"wchs": writeWatchSummary,
	"hash": writeHash,
	"srst": func(s *Server, b *bytes.Buffer) { s.stats.reset(); b.WriteString("Server stats reset.\n") },
}

// answeredAnyway are the words that are answered while the server cannot serve.
var answeredAnyway = []string{"ruok", "envi", "isro"}

func isFourLetterWord(w string) bool {
	_, ok := fourLetterWords[w]
	return ok
}

// fourLetterWord answers and leaves closing to the caller.
func (c *conn) fourLetterWord(word string) {
	var b bytes.Buffer
	s := c.srv
	switch allowed := s.cfg.FourLetterWords; {
	case !slices.Contains(allowed, word) && !slices.Contains(allowed, "*"):
		fmt.Fprintf(&b, "%s is not executed because it is not in the whitelist.\n", word)
	case s.hasLeader():
		fourLetterWords[word](s, &b)
	case word == "isro":
		b.WriteString("null")
	case slices.Contains(answeredAnyway, word):
		fourLetterWords[word](s, &b)
	default:
		b.WriteString("This ZooKeeper instance is not currently serving requests\n")
	}
	c.mu.Lock()
	c.out = append(c.out, b.Bytes()...)
	c.mu.Unlock()
	if err := c.flush(); err != nil {
		s.log.Debug("four-letter word not answered", "word", word, "error", err)
		return
	}
	c.drain()
}

func (s *Server) mode() string {
	switch id, _ := s.replica.Leader(); {
	case len(s.cfg.Peers) <= 1:
		return "standalone"
	case id == s.cfg.ID:
		return "leader"
	}
	return "follower"
}

func (s *Server) writeVersion(b *bytes.Buffer) {
	fmt.Fprintf(b, "Zookeeper version: %s, built on %s\n", Version, buildDate)
}

// facts are the numbers that several words tell.
type facts struct {
	zxid                     int64
	tree                     tree.Counts
	watch                    watch.Counts
	connections, outstanding int
}

func (s *Server) facts() (f facts) {
	s.state.mu.RLock()
	t := s.state.tree
	f.zxid, f.tree = t.Zxid(), t.Counts()
	s.state.mu.RUnlock()
	f.watch = s.state.watches.Counts()
	for _, c := range s.connections() {
		f.connections++
		f.outstanding += c.queued()
	}
	return f
}

func (s *Server) writeSummary(b *bytes.Buffer) {
	f, st := s.facts(), &s.stats
	fmt.Fprintf(b, "Latency min/avg/max: %d/%.4f/%d\n", st.latencyMin.Load(), st.average(), st.latencyMax.Load())
	fmt.Fprintf(b, "Received: %d\nSent: %d\nConnections: %d\nOutstanding: %d\n", st.received.Load(), st.sent.Load(), f.connections, f.outstanding)
	fmt.Fprintf(b, "Zxid: 0x%x\nMode: %s\nNode count: %d\n", f.zxid, s.mode(), f.tree.Nodes)
	if s.mode() == "leader" {
		b.WriteString("Proposal sizes last/min/max: -1/-1/-1\n")
	}
}

func writeStat(s *Server, b *bytes.Buffer) {
	s.writeVersion(b)
	b.WriteString("Clients:\n")
	for _, c := range s.connections() {
		fmt.Fprintf(b, " /%s[1](queued=%d,recved=%d,sent=%d)\n", c.remote, c.queued(), c.stats.received.Load(), c.stats.sent.Load())
	}
	b.WriteString("\n")
	s.writeSummary(b)
}

func writeConnections(s *Server, b *bytes.Buffer) {
	for _, c := range s.connections() {
		fmt.Fprintf(b, " /%s[1](queued=%d,recved=%d,sent=%d", c.remote, c.queued(), c.stats.received.Load(), c.stats.sent.Load())
		s.state.mu.RLock()
		session, timeout := c.session, c.timeout
		s.state.mu.RUnlock()
		if session != 0 {
			fmt.Fprintf(b, ",sid=%s,lop=%v,est=%d,to=%d,lcxid=0x%x", sessionID(session), c.stats.operation(), c.opened.UnixMilli(),
				timeout.Milliseconds(), c.stats.lastXid.Load())
		}
		b.WriteString(")\n")
	}
	b.WriteString("\n")
}

func writeMonitor(s *Server, b *bytes.Buffer) {
	f, st := s.facts(), &s.stats
	line := func(key string, value any) { fmt.Fprintf(b, "zk_%s\t%v\n", key, value) }
	line("version", Version+", built on "+buildDate)
	line("server_state", s.mode())
	line("avg_latency", fmt.Sprintf("%.4f", st.average()))
	line("max_latency", st.latencyMax.Load())
	line("min_latency", st.latencyMin.Load())
	line("packets_received", st.received.Load())
	line("packets_sent", st.sent.Load())
	line("num_alive_connections", f.connections)
	line("outstanding_requests", f.outstanding)
	line("uptime", time.Since(s.started).Milliseconds())
	line("znode_count", f.tree.Nodes)
	line("watch_count", f.watch.Watches)
	line("ephemerals_count", f.tree.Ephemerals)
	line("approximate_data_size", f.tree.DataSize)
	line("global_sessions", f.tree.Sessions)
	line("connection_rejected", st.rejected.Load())
	if len(s.cfg.Peers) > 1 {
		line("quorum_size", len(s.cfg.Peers)/2+1)
	}
}

func writeConf(s *Server, b *bytes.Buffer) {
	fmt.Fprintf(b, "clientPort=%s\nsecureClientPort=-1\ndataDir=%s\ntickTime=%d\nmaxClientCnxns=%d\nminSessionTimeout=%d\nmaxSessionTimeout=%d\nserverId=%d\n",
		portOf(s.Addr()), s.cfg.Data, s.cfg.Tick.Milliseconds(), s.cfg.MaxConnectionsPerAddress,
		s.cfg.MinSessionTimeout.Milliseconds(), s.cfg.MaxSessionTimeout.Milliseconds(), s.cfg.ID)
	if len(s.cfg.Peers) > 1 {
		b.WriteString("membership: \n")
		for _, id := range peerIDs(s.cfg.Peers) {
			fmt.Fprintf(b, "server.%d=%s\n", id, s.cfg.Peers[id])
		}
	}
}

func writeEnvironment(s *Server, b *bytes.Buffer) {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "<NA>"
	}
	fmt.Fprintf(b, "Environment:\nzookeeper.version=%s, built on %s\nhost.name=%s\ngo.version=%s\nos.name=%s\nos.arch=%s\n",
		Version, buildDate, hostname, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func writeWatchSummary(s *Server, b *bytes.Buffer) {
	f := s.facts()
	fmt.Fprintf(b, "%d connections watching %d paths\nTotal watches:%d\n", f.watch.DataWatchers, f.watch.DataPaths, f.watch.DataWatches)
}

// writeHash tells the digest of the whole state at its present zxid: equal on all servers at equal zxids.
func writeHash(s *Server, b *bytes.Buffer) {
	zxid, digest := s.state.digest()
	fmt.Fprintf(b, "%x: %x\n", zxid, digest)
}

// connections returns the open connections, oldest first.
func (s *Server) connections() []*conn {
	s.mu.Lock()
	list := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b *conn) int { return cmp.Or(a.opened.Compare(b.opened), cmp.Compare(a.remote, b.remote)) })
	return list
}

func (c *conn) queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queue.len()
}

func portOf(addr string) string {
	for i := len(addr) - 1; i >= 0; i-- {
		if addr[i] == ':' {
			return addr[i+1:]
		}
	}
	return addr
}
