package server

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// Version is the version of ZooKeeper's behaviour that the server answers tools with.
const Version = "3.9.3-docent"

// versionLine is in the form that both old and new parsers take.
func versionLine() string { return Version + ", built on 01/01/2026 00:00 GMT" }

// fourLetterWords are the commands that a client may send instead of a connect request. Each writes its answer, after
// which the connection is closed.
var fourLetterWords = map[string]func(s *Server, b *bytes.Buffer){
	"conf": writeConf,
	"cons": writeConnections,
	"crst": func(s *Server, b *bytes.Buffer) { s.resetConnections(); b.WriteString("Connection stats reset.\n") },
	"dirs": writeDirs,
	"dump": writeDump,
	"envi": writeEnvironment,
	"gtmk": func(_ *Server, b *bytes.Buffer) { b.WriteString("0") },
	"hash": writeHash,
	"isro": func(s *Server, b *bytes.Buffer) { b.WriteString(s.access()) },
	"mntr": writeMonitor,
	"ruok": func(_ *Server, b *bytes.Buffer) { b.WriteString("imok") },
	"srst": func(s *Server, b *bytes.Buffer) { s.resetStats(); b.WriteString("Server stats reset.\n") },
	"srvr": func(s *Server, b *bytes.Buffer) { s.writeVersion(b); s.writeReadOnly(b); s.writeSummary(b) },
	"stat": writeStat,
	"stmk": func(_ *Server, b *bytes.Buffer) { b.WriteString("0") }, // there are no trace masks
	"wchc": writeWatchesBySession,
	"wchp": writeWatchesByPath,
	"wchs": writeWatchSummary,
}

// answeredAnyway are the words that are answered while the server cannot serve.
var answeredAnyway = []string{"ruok", "envi"}

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
	case s.serves() || slices.Contains(answeredAnyway, word):
		fourLetterWords[word](s, &b)
	case word == "isro":
		b.WriteString("null")
	default:
		fmt.Fprintln(&b, notServing)
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
	case s.readOnly.Load():
		return "read-only"
	case s.standalone():
		return "standalone"
	case id == s.cfg.ID:
		return "leader"
	case s.observes():
		return "observer"
	}
	return "follower"
}

// access tells what clients may do.
func (s *Server) access() string {
	if s.readOnly.Load() {
		return "ro"
	}
	return "rw"
}

func (s *Server) writeReadOnly(b *bytes.Buffer) {
	if s.readOnly.Load() {
		b.WriteString("READ-ONLY mode; serving only read-only clients\n")
	}
}

func (s *Server) peerState() string {
	switch {
	case !s.hasLeader():
		return "election"
	case s.mode() == "follower":
		return "following - broadcast"
	case s.mode() == "observer":
		return "observing - broadcast"
	}
	return "leading - broadcast"
}

func (s *Server) writeVersion(b *bytes.Buffer) {
	fmt.Fprintf(b, "Zookeeper version: %s\n", versionLine())
}

func (s *Server) writeSummary(b *bytes.Buffer) {
	f := s.facts()
	fmt.Fprintf(b, "Latency min/avg/max: %d/%s/%d\n", f.latencyMin, decimal(f.latencyAvg), f.latencyMax)
	fmt.Fprintf(b, "Received: %d\nSent: %d\nConnections: %d\nOutstanding: %d\n", f.received, f.sent, f.connections, f.outstanding)
	fmt.Fprintf(b, "Zxid: 0x%x\nMode: %s\n", f.zxid, s.mode())
	fmt.Fprintf(b, "Node count: %d\n", f.tree.Nodes)
	if s.mode() == "leader" { // behind all else: go-zookeeper parses the lines above as one block
		b.WriteString("Proposal sizes last/min/max: -1/-1/-1\n")
	}
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', 4, 64) }

func writeStat(s *Server, b *bytes.Buffer) {
	s.writeVersion(b)
	s.writeReadOnly(b)
	b.WriteString("Clients:\n")
	for _, c := range s.connections() {
		i := c.info()
		fmt.Fprintf(b, " /%s[1](queued=%d,recved=%d,sent=%d)\n", i.remote, i.queued, i.received, i.sent)
	}
	b.WriteString("\n")
	s.writeSummary(b)
}

func writeConnections(s *Server, b *bytes.Buffer) {
	for _, c := range s.connections() {
		i := c.info()
		fmt.Fprintf(b, " /%s[1](queued=%d,recved=%d,sent=%d", i.remote, i.queued, i.received, i.sent)
		if i.session != 0 {
			fmt.Fprintf(b, ",sid=%s,lop=%s,est=%d,to=%d", sessionID(i.session), lastOperation(i.lastOp), i.opened, i.timeout.Milliseconds())
			if i.lastXid >= 0 {
				fmt.Fprintf(b, ",lcxid=0x%x", i.lastXid)
			}
			fmt.Fprintf(b, ",lzxid=0x%x,lresp=%d,llat=%d,minlat=%d,avglat=%d,maxlat=%d", i.lastZxid, max(0, i.lastTime.UnixMilli()), i.last.Milliseconds(),
				i.min.Milliseconds(), i.average().Milliseconds(), i.max.Milliseconds())
		}
		b.WriteString(")\n")
	}
	b.WriteString("\n")
}

// lastOperation returns ZooKeeper's short name of an operation.
func lastOperation(op wire.Op) string {
	short := map[wire.Op]string{
		wire.OpNotify: "NA", wire.OpCreate: "CREA", wire.OpCreate2: "CREA", wire.OpCreateContainer: "CREA", wire.OpCreateTTL: "CREA",
		wire.OpDelete: "DELE", wire.OpExists: "EXIS", wire.OpGetData: "GETD", wire.OpSetData: "SETD", wire.OpGetACL: "GETA",
		wire.OpSetACL: "SETA", wire.OpGetChildren: "GETC", wire.OpGetChildren2: "GETC", wire.OpSync: "SYNC", wire.OpPing: "PING",
		wire.OpMulti: "MULT", wire.OpMultiRead: "MLTR", wire.OpCheckWatches: "CHKW", wire.OpRemoveWatches: "REMW",
		wire.OpSetWatches: "SETW", wire.OpSetWatches2: "STW2", wire.OpAddWatch: "ADDW", wire.OpGetEphemerals: "GETE",
		wire.OpGetAllChildrenNumber: "GETACN", wire.OpWhoAmI: "HOMI", wire.OpReconfig: "RECO", wire.OpCloseSession: "CLOS",
		wire.OpCreateSession: "SESS",
	}
	if s, ok := short[op]; ok {
		return s
	}
	return strings.ToUpper(op.String())
}

// keyValue is one figure of mntr.
type keyValue struct {
	key   string
	value any
}

// monitor returns what mntr and the operators' monitor tell.
func (s *Server) monitor() []keyValue {
	f := s.facts()
	open, limit := descriptors()
	list := []keyValue{
		{"version", versionLine()}, {"server_state", s.mode()},
		{"avg_latency", jsonDecimal(f.latencyAvg)}, {"max_latency", f.latencyMax}, {"min_latency", f.latencyMin},
		{"packets_received", f.received}, {"packets_sent", f.sent}, {"num_alive_connections", f.connections},
		{"outstanding_requests", f.outstanding}, {"uptime", f.uptime.Milliseconds()}, {"znode_count", f.tree.Nodes},
		{"watch_count", f.watches}, {"ephemerals_count", f.tree.Ephemerals}, {"approximate_data_size", f.tree.DataSize},
		{"open_file_descriptor_count", open}, {"max_file_descriptor_count", limit}, {"global_sessions", f.tree.Sessions},
		{"local_sessions", 0}, {"last_client_response_size", -1}, {"max_client_response_size", -1}, {"min_client_response_size", -1},
		{"connection_drop_probability", jsonDecimal(0)}, {"auth_failed_count", f.authFailed}, {"outstanding_tls_handshake", 0},
		{"non_mtls_remote_conn_count", 0}, {"non_mtls_local_conn_count", 0}, {"connection_rejected", f.rejected},
		{"stale_sessions_expired", f.expired}, {"snap_count", f.replica.Snapshots},
		{"digest_mismatches_count", f.replica.Mismatches}, {"digest_compared_index", f.replica.ComparedIndex},
	}
	if voters, _ := s.roles(); !s.standalone() {
		list = append(list, keyValue{"peer_state", s.peerState()}, keyValue{"quorum_size", voters/2 + 1})
		if f.leads {
			followers, observers, retired := s.replica.Connected()
			list = append(list, keyValue{"learners", followers + observers + retired}, keyValue{"synced_followers", followers},
				keyValue{"synced_non_voting_followers", retired}, keyValue{"synced_observers", observers}, keyValue{"pending_syncs", 0},
				keyValue{"leader_uptime", s.replica.Led().Milliseconds()},
				keyValue{"last_proposal_size", -1}, keyValue{"max_proposal_size", -1}, keyValue{"min_proposal_size", -1})
		}
	}
	return list
}

// jsonDecimal is a number that is printed with its decimals.
type jsonDecimal float64

func (d jsonDecimal) String() string               { return decimal(float64(d)) }
func (d jsonDecimal) MarshalJSON() ([]byte, error) { return []byte(d.String()), nil }

func writeMonitor(s *Server, b *bytes.Buffer) {
	for _, kv := range s.monitor() {
		fmt.Fprintf(b, "zk_%s\t%v\n", kv.key, kv.value)
	}
}

func writeConf(s *Server, b *bytes.Buffer) {
	fmt.Fprintf(b, "clientPort=%s\nsecureClientPort=%s\n", portOf(s.Addr()), portOf(s.SecureAddr()))
	size := s.replica.Stats().LogBytes
	fmt.Fprintf(b, "dataDir=%s/version-2\ndataDirSize=%d\ndataLogDir=%s/version-2\ndataLogSize=%d\n", s.cfg.Data, dirSize(s.cfg.Data), s.cfg.Data, size)
	fmt.Fprintf(b, "tickTime=%d\nmaxClientCnxns=%d\nminSessionTimeout=%d\nmaxSessionTimeout=%d\nclientPortListenBacklog=-1\nserverId=%d\n",
		s.cfg.Tick.Milliseconds(), s.cfg.MaxConnectionsPerAddress, s.cfg.MinSessionTimeout.Milliseconds(), s.cfg.MaxSessionTimeout.Milliseconds(), s.cfg.ID)
	if !s.standalone() {
		fmt.Fprintf(b, "membership: \n%s\n", s.memberList())
	}
}

func writeDirs(s *Server, b *bytes.Buffer) {
	fmt.Fprintf(b, "datadir_size: %d\nlogdir_size: %d\n", dirSize(s.cfg.Data), s.replica.Stats().LogBytes)
}

func writeDump(s *Server, b *bytes.Buffer) {
	s.state.mu.RLock()
	defer s.state.mu.RUnlock()
	t := s.state.tree
	b.WriteString("SessionTracker dump:\n")
	fmt.Fprintf(b, "Global Sessions(%d):\n", t.Counts().Sessions)
	owners := 0
	var ephemerals bytes.Buffer
	for sess := range t.Sessions() {
		fmt.Fprintf(b, "%s\t%dms\n", sessionID(sess.ID), sess.Timeout)
		paths := t.Ephemerals(sess.ID)
		if len(paths) == 0 {
			continue
		}
		owners++
		fmt.Fprintf(&ephemerals, "%s:\n", sessionID(sess.ID))
		for _, p := range paths {
			fmt.Fprintf(&ephemerals, "\t%s\n", p)
		}
	}
	fmt.Fprintf(b, "ephemeral nodes dump:\nSessions with Ephemerals (%d):\n%s", owners, ephemerals.Bytes())
	fmt.Fprintf(b, "Connections dump:\nConnections Sets (1)/(%d):\n\n", len(s.state.conns))
}

// environment returns what envi tells, zookeeper.version first.
func environment() [][2]string {
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "<NA>"
	}
	dir, err := os.Getwd()
	if err != nil {
		dir = "<NA>"
	}
	return [][2]string{
		{"zookeeper.version", versionLine()}, {"host.name", hostname}, {"go.version", runtime.Version()}, {"os.name", runtime.GOOS},
		{"os.arch", runtime.GOARCH}, {"os.available.processors", strconv.Itoa(runtime.NumCPU())}, {"user.dir", dir},
	}
}

func writeEnvironment(_ *Server, b *bytes.Buffer) {
	b.WriteString("Environment:\n")
	for _, kv := range environment() {
		fmt.Fprintf(b, "%s=%s\n", kv[0], kv[1])
	}
}

func writeWatchSummary(s *Server, b *bytes.Buffer) {
	c := s.state.watches.Counts()
	fmt.Fprintf(b, "%d connections watching %d paths\nTotal watches:%d\n", c.DataWatchers, c.DataPaths, c.DataWatches)
}

func writeWatchesBySession(s *Server, b *bytes.Buffer) {
	for id, paths := range s.watchesBySession() {
		fmt.Fprintf(b, "%s\n", sessionID(id))
		for _, p := range paths {
			fmt.Fprintf(b, "\t%s\n", p)
		}
	}
	b.WriteString("\n")
}

func writeWatchesByPath(s *Server, b *bytes.Buffer) {
	for path, ids := range s.watchesByPath() {
		fmt.Fprintf(b, "%s\n", path)
		for _, id := range ids {
			fmt.Fprintf(b, "\t%s\n", sessionID(id))
		}
	}
	b.WriteString("\n")
}

// watchesBySession ranges over the sessions attached here and the paths each watches.
func (s *Server) watchesBySession() func(yield func(int64, []string) bool) {
	return func(yield func(int64, []string) bool) {
		for c, paths := range s.state.watches.ByWatcher() {
			if !yield(c.session, paths) {
				return
			}
		}
	}
}

// watchesByPath ranges over the paths watched here and the sessions that watch each.
func (s *Server) watchesByPath() func(yield func(string, []int64) bool) {
	return func(yield func(string, []int64) bool) {
		for path, conns := range s.state.watches.ByPath() {
			var ids []int64
			for _, c := range conns {
				ids = append(ids, c.session)
			}
			if !yield(path, ids) {
				return
			}
		}
	}
}

// writeHash tells the digest of the whole state at its present zxid: equal on all servers at equal zxids.
func writeHash(s *Server, b *bytes.Buffer) {
	fmt.Fprintln(b, s.state.Digest())
}

// portOf returns the port of an address, -1 if there is none.
func portOf(addr string) string {
	if i := strings.LastIndexByte(addr, ':'); i >= 0 {
		return addr[i+1:]
	}
	return "-1"
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return -1
	}
	return n
}

// lastSnapshot returns the zxid of the last snapshot that was taken, and when.
func (st *state) lastSnapshot() (int64, time.Time) {
	st.mu.RLock()
	defer st.mu.RUnlock()
	return st.snapZxid, st.snapTime
}
