package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// admin is the HTTP listener for operators.
type admin struct {
	listener net.Listener
	http     *http.Server
}

// An adminCommand answers /commands/NAME with the fields it returns.
type adminCommand struct {
	name    string
	aliases []string
	always  bool // also while no leader is known
	run     func(s *Server) (map[string]any, error)
}

// adminCommands are those of ZooKeeper's AdminServer that have a meaning here, and some of our own.
func adminCommands() []adminCommand {
	return []adminCommand{
		{name: "configuration", aliases: []string{"conf", "config"}, run: adminConfiguration},
		{name: "connection_stat_reset", aliases: []string{"crst"}, run: adminConnReset},
		{name: "connections", aliases: []string{"cons"}, run: adminConnections},
		{name: "containers", run: adminContainers},
		{name: "dirs", always: true, run: func(s *Server) (map[string]any, error) {
			return map[string]any{"datadir_size": dirSize(s.cfg.Data), "logdir_size": s.replica.Stats().LogBytes}, nil
		}},
		{name: "dump", run: adminDump},
		{name: "environment", aliases: []string{"env", "envi"}, always: true, run: adminEnvironment},
		{name: "hash", run: adminHash},
		{name: "is_read_only", aliases: []string{"isro"}, run: func(s *Server) (map[string]any, error) { return map[string]any{"read_only": s.readOnly.Load()}, nil }},
		{name: "last_snapshot", aliases: []string{"lsnp"}, run: adminLastSnapshot},
		{name: "leader", aliases: []string{"lead"}, run: adminLeader},
		{name: "monitor", aliases: []string{"mntr"}, run: adminMonitor},
		{name: "member", aliases: []string{"members"}, always: true, run: adminMembers},
		{name: "observers", aliases: []string{"obsr"}, run: adminObservers},
		{name: "ruok", always: true, run: func(*Server) (map[string]any, error) { return map[string]any{}, nil }},
		{name: "server_stats", aliases: []string{"srvr"}, run: adminServerStats},
		{name: "stat_reset", aliases: []string{"srst"}, run: func(s *Server) (map[string]any, error) { s.resetStats(); return map[string]any{}, nil }},
		{name: "stats", aliases: []string{"stat"}, run: adminStats},
		{name: "voting_view", run: adminVotingView},
		{name: "watch_summary", aliases: []string{"wchs"}, run: adminWatchSummary},
		{name: "watches", aliases: []string{"wchc"}, run: adminWatches},
		{name: "watches_by_path", aliases: []string{"wchp"}, run: adminWatchesByPath},
		{name: "zabstate", run: func(s *Server) (map[string]any, error) {
			return map[string]any{"voting": !s.observes(), "zabstate": strings.ToLower(s.peerState())}, nil
		}},
	}
}

// adminAddr completes an address: a port alone is one of this machine only.
func adminAddr(addr string) string {
	if !strings.Contains(addr, ":") {
		addr = ":" + addr
	}
	if strings.HasPrefix(addr, ":") {
		addr = "127.0.0.1" + addr
	}
	return addr
}

// openAdmin begins to listen, if the configuration says so.
func (s *Server) openAdmin() error {
	if s.cfg.AdminListen == "" {
		return nil
	}
	reg, err := newRegistry(s)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", adminAddr(s.cfg.AdminListen))
	if err != nil {
		return fmt.Errorf("listen for operators: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.serveReady)
	mux.HandleFunc("GET /commands", s.serveCommandIndex)
	mux.HandleFunc("GET /commands/{name}", s.serveCommand)
	mux.HandleFunc("GET /commands/snapshot", s.serveSnapshot)
	mux.HandleFunc("GET /commands/snap", s.serveSnapshot)
	mux.HandleFunc("POST /commands/restore", s.serveRestore)
	mux.HandleFunc("POST /commands/rest", s.serveRestore)
	mux.HandleFunc("POST /commands/member/{verb}", s.serveMember)
	if s.cfg.AdminPprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	s.admin = &admin{listener: ln, http: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}
	return nil
}

func (a *admin) serve() error {
	if err := a.http.Serve(a.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("listener for operators: %w", err)
	}
	return nil
}

// AdminAddr returns the address for operators, empty if there is none.
func (s *Server) AdminAddr() string {
	if s.admin == nil {
		return ""
	}
	return s.admin.listener.Addr().String()
}

// serveReady tells whether the server can carry out requests: a majority has confirmed it just now.
func (s *Server) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	if err := s.replica.Sync(ctx); err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (s *Server) serveCommandIndex(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html;charset=utf-8")
	names := []string{"restore", "snapshot"} // which have ways of their own, for what they take and give is no JSON
	for _, c := range adminCommands() {
		names = append(names, c.name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(w, "<a href=\"/commands/%[1]s\">%[1]s</a>\n<br/>\n", name)
	}
}

func (s *Server) serveCommand(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	fields, failure := map[string]any{}, ""
	list := adminCommands()
	i := slices.IndexFunc(list, func(c adminCommand) bool { return c.name == name || slices.Contains(c.aliases, name) })
	switch {
	case i < 0:
		failure = "Unknown command: " + name
	case !list[i].always && !s.serves():
		name, failure = list[i].name, notServing
	default:
		name = list[i].name
		var err error
		if fields, err = list[i].run(s); err != nil {
			failure = err.Error()
		}
	}
	w.Header().Set("Content-Type", "application/json")
	if err := writeCommand(w, fields, name, failure); err != nil {
		s.log.Debug("operator not answered", "command", name, "error", err)
	}
}

// notServing is what tools look for.
const notServing = "This ZooKeeper instance is not currently serving requests"

// writeCommand writes the fields in order, and command and error behind them, as ZooKeeper does. No failure is a null.
func writeCommand(w interface{ Write([]byte) (int, error) }, fields map[string]any, name, failure string) error {
	var b bytes.Buffer
	b.WriteString("{\n")
	field := func(key string, v any) error {
		text, err := json.MarshalIndent(v, "  ", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "  %q : %s", key, text)
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if err := field(key, fields[key]); err != nil {
			return err
		}
		b.WriteString(",\n")
	}
	if err := field("command", name); err != nil {
		return err
	}
	b.WriteString(",\n")
	var text any
	if failure != "" {
		text = failure
	}
	if err := field("error", text); err != nil {
		return err
	}
	b.WriteString("\n}\n")
	_, err := w.Write(b.Bytes())
	return err
}

func adminConfiguration(s *Server) (map[string]any, error) {
	return map[string]any{
		"client_port": atoi(portOf(s.Addr())), "data_dir": s.cfg.Data, "data_log_dir": s.cfg.Data, "tick_time": s.cfg.Tick.Milliseconds(),
		"max_client_cnxns": s.cfg.MaxConnectionsPerAddress, "min_session_timeout": s.cfg.MinSessionTimeout.Milliseconds(),
		"max_session_timeout": s.cfg.MaxSessionTimeout.Milliseconds(), "server_id": s.cfg.ID, "client_port_listen_backlog": -1,
	}, nil
}

func adminConnections(s *Server) (map[string]any, error) {
	list := []map[string]any{}
	for _, c := range s.connections() {
		i := c.info()
		list = append(list, map[string]any{
			"remote_socket_address": i.remote, "interest_ops": 1, "outstanding_requests": i.queued, "packets_received": i.received,
			"packets_sent": i.sent, "session_id": i.session, "last_operation": lastOperation(i.lastOp), "established": i.opened,
			"session_timeout": i.timeout.Milliseconds(), "last_cxid": i.lastXid, "last_zxid": i.lastZxid,
			"last_response_time": i.lastTime.UnixMilli(), "last_latency": i.last.Milliseconds(), "min_latency": i.min.Milliseconds(),
			"avg_latency": i.average().Milliseconds(), "max_latency": i.max.Milliseconds(),
		})
	}
	return map[string]any{"connections": list, "secure_connections": []any{}}, nil
}

func adminConnReset(s *Server) (map[string]any, error) {
	s.resetConnections()
	return map[string]any{}, nil
}

// adminContainers is docent's own: a client cannot tell a container from a plain node.
func adminContainers(s *Server) (map[string]any, error) {
	s.state.mu.RLock()
	containers, ttls := s.state.tree.Containers()
	s.state.mu.RUnlock()
	slices.Sort(containers)
	slices.Sort(ttls)
	return map[string]any{"containers": containers, "ttl_nodes": ttls}, nil
}

func adminDump(s *Server) (map[string]any, error) {
	ephemerals := map[string][]string{}
	s.state.mu.RLock()
	defer s.state.mu.RUnlock()
	expiry := map[string][]string{}
	for sess := range s.state.tree.Sessions() {
		id := sessionID(sess.ID)
		if paths := s.state.tree.Ephemerals(sess.ID); len(paths) > 0 {
			ephemerals[id] = paths
		}
		if at, ok := s.lead.deadline(sess.ID); ok {
			key := fmt.Sprint(at.UnixMilli())
			expiry[key] = append(expiry[key], id)
		}
	}
	return map[string]any{"expiry_time_to_session_ids": expiry, "session_id_to_ephemeral_paths": ephemerals}, nil
}

func adminEnvironment(*Server) (map[string]any, error) {
	m := map[string]any{}
	for _, kv := range environment() {
		m[strings.ReplaceAll(kv[0], ".", "_")] = kv[1]
	}
	return m, nil
}

func adminHash(s *Server) (map[string]any, error) {
	d, stats := s.state.Digest(), s.replica.Stats()
	return map[string]any{
		"digests":        []map[string]any{{"zxid": d.Zxid, "digest": fmt.Sprintf("%x", d.Sum), "digest_version": d.Version}},
		"compared_index": stats.ComparedIndex, "comparisons": stats.Comparisons, "mismatches": stats.Mismatches,
	}, nil
}

func adminLastSnapshot(s *Server) (map[string]any, error) {
	zxid, at := s.state.lastSnapshot()
	return map[string]any{"zxid": fmt.Sprintf("0x%x", zxid), "timestamp": at.Unix()}, nil
}

func adminLeader(s *Server) (map[string]any, error) {
	id, _ := s.replica.Leader()
	m, ok := s.member(id)
	if s.standalone() || !ok {
		return nil, errors.New("server is not initialized")
	}
	host, _, err := net.SplitHostPort(m.Addr)
	if err != nil {
		return nil, err
	}
	return map[string]any{"is_leader": id == s.cfg.ID, "leader_id": id, "leader_ip": host}, nil
}

func adminMonitor(s *Server) (map[string]any, error) {
	m := map[string]any{}
	for _, kv := range s.monitor() {
		m[kv.key] = kv.value
	}
	return m, nil
}

func adminServerStats(s *Server) (map[string]any, error) {
	f := s.facts()
	m := map[string]any{"version": versionLine(), "read_only": s.readOnly.Load(), "node_count": f.tree.Nodes, "server_stats": map[string]any{
		"packets_sent": f.sent, "packets_received": f.received, "fsync_threshold_exceed_count": 0,
		"server_state": s.mode(), "last_processed_zxid": f.zxid, "outstanding_requests": f.outstanding, "avg_latency": f.latencyAvg,
		"max_latency": f.latencyMax, "min_latency": f.latencyMin, "num_alive_client_connections": f.connections,
		"provider_null": false, "uptime": f.uptime.Milliseconds(), "data_dir_size": dirSize(s.cfg.Data), "log_dir_size": f.replica.LogBytes,
		"auth_failed_count": f.authFailed,
	}}
	return m, nil
}

func adminStats(s *Server) (map[string]any, error) {
	m, err := adminServerStats(s)
	if err != nil {
		return nil, err
	}
	conns, err := adminConnections(s)
	maps.Copy(m, conns)
	return m, err
}

func adminVotingView(s *Server) (map[string]any, error) {
	view := map[string]any{}
	for _, m := range s.Members() {
		if !m.Observer && !s.standalone() {
			view[fmt.Sprint(m.ID)] = map[string]any{"server_addresses": []string{m.Addr}, "election_addresses": []string{m.Addr}, "learner_type": "PARTICIPANT"}
		}
	}
	return map[string]any{"current_config": view}, nil
}

func adminWatchSummary(s *Server) (map[string]any, error) {
	c := s.state.watches.Counts()
	return map[string]any{"num_connections": c.DataWatchers, "num_paths": c.DataPaths, "num_total_watches": c.DataWatches}, nil
}

func adminWatches(s *Server) (map[string]any, error) {
	m := map[string][]string{}
	for id, paths := range s.watchesBySession() {
		m[sessionID(id)] = paths
	}
	return map[string]any{"session_id_to_watched_paths": m}, nil
}

func adminWatchesByPath(s *Server) (map[string]any, error) {
	m := map[string][]string{}
	for path, ids := range s.watchesByPath() {
		for _, id := range ids {
			m[path] = append(m[path], sessionID(id))
		}
	}
	return map[string]any{"path_to_session_ids": m}, nil
}
