package main

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/cmd/docent/internal/bench"
)

// invented is a campaign with a sample of every row and figure, in a folder of the test.
func invented(t *testing.T) *campaign {
	t.Helper()
	dir := t.TempDir()
	c := &campaign{ctx: context.Background(), rounds: 3, scale: 1, docs: filepath.Join(dir, "docs"), file: filepath.Join(dir, "results.jsonl"), began: time.Now()}
	save := func(row, system string, value float64, more map[string]float64) {
		for round := range c.rounds {
			if err := c.once(row, system, round, func() (sample, error) {
				return sample{Value: value * (1 + float64(round)/100), More: more, Line: []float64{5, 50_000, 0, 7}, Events: []event{{0.3, "the leader < fails"}}}, nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, system := range systems(0) {
		x := float64(9 - 8*i)
		for _, r := range loadRows() {
			save(r.name, system, 1000*x, nil)
			if r.bounded {
				save(r.name, bare, 12_000, nil)
			}
		}
		for _, f := range faults() {
			save(f.name, system, 10/x, nil)
		}
		for _, n := range sizes {
			for _, share := range shares {
				save(shareRow(n, share), system, 1e4*x*float64(n), nil)
			}
		}
		save("fig-b-500", system, 500, map[string]float64{"rate": 500, "p50_us": 300, "p99_us": 3000})
		save("fig-b-1000", system, 900, map[string]float64{"rate": 880, "p50_us": 500, "p99_us": 9000})
		save("fig-c", system, 1, map[string]float64{"interval": 0.25})
		for _, g := range growths() {
			for _, n := range g.x {
				save(g.row(n), system, 1e5/x, nil)
			}
		}
	}
	for _, library := range libraries() {
		for _, l := range append(lockRows(), lockCurve()...) {
			save(l.row, library, 400, nil)
		}
	}
	for _, x := range clientRows() {
		save(x.row, docent, 2, nil)
		save(x.row, gozk, 14, nil)
	}
	save("growth", docent, 95, nil)
	save("false-elections", docent, 0, map[string]float64{"seconds": 600})
	return c
}

func TestFigures_AreWellFormed(t *testing.T) {
	c := invented(t)
	if err := c.drawAll(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"read-share", "latency", "timeline", "growth", "locks"} {
		text, err := os.ReadFile(filepath.Join(c.docs, "figures", name+".svg"))
		if err != nil {
			t.Fatal(err)
		}
		lines := 0
		for dec := xml.NewDecoder(strings.NewReader(string(text))); ; {
			token, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
				lines++
			}
		}
		if lines < 2 || strings.Contains(string(text), "NaN") || strings.Contains(string(text), "Inf") {
			t.Errorf("%s: %d lines\n%s", name, lines, text)
		}
	}
}

func TestReport(t *testing.T) {
	c := invented(t)
	if err := os.MkdirAll(c.docs, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := c.report(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(c.docs, "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| writes, 9 × 100 | 9,090 [9,000–9,180] | 1,010 [1,000–1,020] | 9× | ≥ 6× | met |",
		"| reads, 9 × 100 | 9,090 [9,000–9,180] | 1,010 [1,000–1,020] | 9× | ≥ 20× | missed |",
		"| CPU of all servers per pipelined write | 9,090 µs [9,000–9,180] | 1,010 µs [1,000–1,020] | 9× | ≤ 1/6 | missed |",
		"p90 1.13 ms",
		"| 0 in 600 s | – | – | none | met |",
		"404 [400–408], Curator",
		"| synchronous reads, 64 | 12,100 [12,000–12,200] | 9,090 | 75 % | 12× | ≥ 3× |",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the page does not say %q:\n%s", want, text)
		}
	}
	if !strings.Contains(string(text), "docent is behind") || !strings.Contains(string(text), "CPU of all servers per pipelined write (9×)") {
		t.Errorf("the page does not say where docent is behind:\n%s", text)
	}
}

// A bare server answers what docent bench asks, which checks every reply.
func TestBare(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newBareServer(t.TempDir(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- s.run(ln) }()
	for _, mix := range []string{"get=50,set=50", "get=100"} {
		m, err := bench.ParseMix(mix)
		if err != nil {
			t.Fatal(err)
		}
		res, err := bench.Run(t.Context(), bench.Config{Addrs: []string{ln.Addr().String()}, Conns: 3, InFlight: 5, Mix: m,
			Nodes: 30, Size: 1024, Duration: 50 * time.Millisecond, Session: 10 * time.Second})
		if err != nil || res.Ops == 0 {
			t.Fatalf("%+v, %v", res, err)
		}
	}
	ln.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// A campaign that was interrupted goes on with what is missing.
func TestCampaign_GoesOn(t *testing.T) {
	c := invented(t)
	again := &campaign{ctx: c.ctx, rounds: 3, file: c.file}
	if err := again.load(); err != nil || len(again.have) != len(c.have) {
		t.Fatalf("%d samples of %d are read again: %v", len(again.have), len(c.have), err)
	}
	if err := again.load(); err != nil || len(again.have) != len(c.have) {
		t.Fatalf("%d samples of %d are there when they are read once more: %v", len(again.have), len(c.have), err)
	}
	if err := again.loads(loadRows(), 3); err != nil { // would start servers if anything were missing
		t.Error(err)
	}
	failed := errors.New("no")
	if err := again.once("new", docent, 0, func() (sample, error) { return sample{}, failed }); !errors.Is(err, failed) {
		t.Errorf("the error is %v", err)
	}
	if err := again.once("new", docent, 0, func() (sample, error) { return sample{Value: 1}, nil }); err != nil || !again.measured("new", docent, 0) {
		t.Errorf("the error is %v", err)
	}
}

func TestNumber(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 0.1234: "0.123", 12.34: "12.3", 123.4: "123", 999: "999", 1234: "1,230", 99_999: "100,000", 1_234_567: "1,230,000"} {
		if got := number(x); got != want {
			t.Errorf("number(%v) = %s, want %s", x, got, want)
		}
	}
}

func TestChoose(t *testing.T) {
	c := &campaign{}
	names := func(only string, table bool) string {
		list, err := choose(c.jobs(), only, table)
		if err != nil {
			return err.Error()
		}
		var s []string
		for _, j := range c.together(list) {
			s = append(s, j.name)
		}
		return strings.Join(s, ",")
	}
	for _, x := range []struct {
		only  string
		table bool
		want  string
	}{
		{"writes,standalone-sync,reads", true, "rows of 3 servers,rows of 1 servers"},
		{"fig-c", false, "fig-c-docent,fig-c-zookeeper"},
		{"", true, "rows of 3 servers,rows of 1 servers,locks,clients,growth,killed,terminated,cut-off,false-elections"},
		{"nothing", false, `there is no row "nothing"; ROWS=list lists them`},
	} {
		if got := names(x.only, x.table); got != x.want {
			t.Errorf("%q, table %v: %s, want %s", x.only, x.table, got, x.want)
		}
	}
}
