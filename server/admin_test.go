package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server"
)

func get(t testing.TB, srv *server.Server, path string) (int, string) {
	t.Helper()
	resp, err := http.Get("http://" + srv.AdminAddr() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func withAdmin(c *server.Config) { c.AdminListen = "0" }

func TestMetricsAreReadByTheOfficialParser(t *testing.T) {
	srv := start(t, withAdmin)
	if !strings.HasPrefix(srv.AdminAddr(), "127.0.0.1:") {
		t.Errorf("a port alone listens on %s, want this machine only", srv.AdminAddr())
	}
	r := connect(t, srv)
	r.want(wire.OK, wire.OpCreate, createBody("/a", "data", wire.FlagEphemeral))
	r.want(wire.OK, wire.OpExists, watchBody("/a", true))
	code, text := get(t, srv, "/metrics")
	if code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"docent_connections": 1, "docent_sessions": 1, "docent_znodes": 5, "docent_ephemerals": 1, "docent_watches": 1,
		"docent_leader": 1, "docent_requests_total": 2, "docent_events_total": 0,
	} {
		f := families[name]
		if f == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		m := f.GetMetric()[0]
		if got := m.GetGauge().GetValue() + m.GetCounter().GetValue(); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes"} {
		if families[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "docent_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestAdminCommands(t *testing.T) {
	srv := start(t, withAdmin)
	connect(t, srv).want(wire.OK, wire.OpCreate, createBody("/e", "", wire.FlagEphemeral))
	_, index := get(t, srv, "/commands")
	for _, name := range []string{"snapshot", "restore"} {
		if !strings.Contains(index, `<a href="/commands/`+name+`">`) {
			t.Errorf("%s is not in the index", name)
		}
	}
	for _, name := range []string{
		"configuration", "connections", "containers", "dirs", "dump", "environment", "hash", "is_read_only", "last_snapshot", "monitor", "ruok",
		"server_stats", "stat_reset", "stats", "voting_view", "watch_summary", "watches", "watches_by_path", "connection_stat_reset", "zabstate", "leader",
	} {
		if !strings.Contains(index, `<a href="/commands/`+name+`">`) {
			t.Errorf("%s is not in the index", name)
		}
		code, body := get(t, srv, "/commands/"+name)
		var m map[string]any
		if err := json.Unmarshal([]byte(body), &m); err != nil || code != http.StatusOK {
			t.Errorf("%s: status %d, %v: %s", name, code, err, body)
			continue
		}
		if m["command"] != name || (m["error"] != nil) != (name == "leader") {
			t.Errorf("%s: command %v, error %v", name, m["command"], m["error"])
		}
	}
	for path, want := range map[string]string{
		"/commands/mntr": `"znode_count" : 5`, "/commands/srvr": `"server_state": "standalone"`, "/commands/dump": `"/e"`,
		"/commands/containers": `"ttl_nodes" : []`,
		"/commands/nonsense":   `"error" : "Unknown command: nonsense"`, "/commands/conf": `"max_session_timeout" : 60000`,
	} {
		if _, body := get(t, srv, path); !strings.Contains(body, want) {
			t.Errorf("%s: %s, want %s", path, body, want)
		}
	}
}

func TestHealthAndReadiness(t *testing.T) {
	servers := startEnsemble(t, 3, withAdmin)
	for _, s := range servers {
		for _, path := range []string{"/healthz", "/readyz"} {
			if code, body := get(t, s, path); code != http.StatusOK {
				t.Errorf("%s: %d %s", path, code, body)
			}
		}
		if code, _ := get(t, s, "/debug/pprof/"); code != http.StatusNotFound {
			t.Errorf("profiles without the switch: %d", code)
		}
	}
	for _, s := range servers[1:] {
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	if code, _ := get(t, servers[0], "/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("readyz without a majority: %d", code)
	}
	if code, _ := get(t, servers[0], "/healthz"); code != http.StatusOK {
		t.Errorf("healthz without a majority: %d", code)
	}
}

func TestMonitorHasTheKeysOfDashboards(t *testing.T) {
	for _, s := range startEnsemble(t, 3) {
		r := dialRaw(t, s.Addr())
		if _, err := io.WriteString(r.nc, "mntr"); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r.nc)
		if err != nil {
			t.Fatal(err)
		}
		keys := strings.Fields("version server_state peer_state avg_latency max_latency min_latency packets_received packets_sent num_alive_connections " +
			"outstanding_requests uptime znode_count watch_count ephemerals_count approximate_data_size open_file_descriptor_count " +
			"max_file_descriptor_count global_sessions local_sessions last_client_response_size max_client_response_size " +
			"min_client_response_size connection_drop_probability auth_failed_count outstanding_tls_handshake non_mtls_remote_conn_count " +
			"non_mtls_local_conn_count quorum_size")
		if strings.Contains(string(text), "zk_server_state\tleader") {
			keys = append(keys, strings.Fields("learners synced_followers synced_non_voting_followers synced_observers pending_syncs leader_uptime "+
				"last_proposal_size max_proposal_size min_proposal_size")...)
		}
		for _, k := range keys {
			if !strings.Contains("\n"+string(text), "\nzk_"+k+"\t") {
				t.Errorf("mntr has no zk_%s", k)
			}
		}
	}
}
