//go:build unix

package main_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/docent-io/docent/server/servertest"
)

func TestBench(t *testing.T) {
	srv := servertest.New(t)
	args := []string{"bench", "--dsn", "zk://" + srv.Addr(), "--load", "2x10", "--nodes", "50", "--time", "200ms", "--warm-up", "10ms"}
	p := run(t, "docent bench", exec.Command(docent(t), append(args, "--mix", "get=9,set=1,create,ephemeral,exists,children,sync", "--json")...))
	if code := p.exit(); code != 0 {
		t.Fatalf("exit code %d: %s", code, p.stderr)
	}
	var got struct {
		Ops   int64
		Kinds map[string]struct{ Rate float64 }
	}
	if err := json.Unmarshal([]byte(p.stdout.String()), &got); err != nil || got.Ops == 0 || got.Kinds["get"].Rate == 0 {
		t.Errorf("%v: %s", err, p.stdout)
	}
	p = run(t, "docent bench", exec.Command(docent(t), append(args, "--mix", "75")...))
	if code := p.exit(); code != 0 || !strings.Contains(p.stdout.String(), "every reply checked") || p.stderr.String() != "" {
		t.Errorf("exit code %d: stdout %q, stderr %q", code, p.stdout, p.stderr)
	}
}

func TestBench_BadFlags(t *testing.T) {
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"--load", "9"}, "CONNECTIONSxREQUESTS"},
		{[]string{"--load", "0x1"}, "connections"},
		{[]string{"--mix", "101"}, "101 percent"},
		{[]string{"--mix", "got"}, `"got"`},
		{[]string{"--idle", "5"}, "SESSIONS,WATCHES"},
		{[]string{"--time", "0s"}, "--time"},
		{[]string{"--rate", "-1"}, "rate"},
		{[]string{"--nodes", "0"}, "nodes"},
		{[]string{"now"}, `"now"`},
	} {
		refuses(t, append([]string{"bench"}, x.args...), x.want)
	}
	wasRefused(t, 69, run(t, "docent", exec.Command(docent(t), "bench", "--dsn", "zk://127.0.0.1:1", "--connect", "200ms")), "127.0.0.1:1")
}
