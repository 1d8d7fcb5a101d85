package server_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server"
)

// counted waits until a metric has reached a value.
func counted(t *testing.T, srv *server.Server, name string, want float64) {
	t.Helper()
	testkit.Eventually(t, name+" counts", func() bool { return metricOf(t, srv, "docent_"+name) >= want })
}

// ended waits until the server closes the connection, and returns what came before.
func (r *raw) ended() []byte {
	r.t.Helper()
	b, err := io.ReadAll(r.nc)
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		r.t.Error("the connection is not closed")
	}
	return b
}

// encoded is a request as it goes over the connection.
func encoded(xid int32, op wire.Op, body []byte) []byte {
	b := wire.RequestHeader{Xid: xid, Op: op}.Append(wire.BeginFrame(nil))
	return wire.EndFrame(append(b, body...), 0)
}

// metricOf reads one metric.
func metricOf(t testing.TB, srv *server.Server, name string) float64 {
	t.Helper()
	_, text := get(t, srv, "/metrics")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

func limits(l server.Limits) func(*server.Config) { return func(c *server.Config) { c.Limits = l } }

func TestLimit_Frame(t *testing.T) {
	t.Parallel()
	srv := start(t, withAdmin, func(c *server.Config) { c.MaxFrame = 2000 })
	bystander := connect(t, srv)
	for i, size := range []uint32{2001, 1 << 31, 0xffffffff} {
		r := connect(t, srv)
		if _, err := r.nc.Write(binary.BigEndian.AppendUint32(nil, size)); err != nil {
			t.Fatal(err)
		}
		r.ended()
		counted(t, srv, "frames_refused_total", float64(i+1))
	}
	bystander.want(wire.OK, wire.OpCreate, createBody("/a", string(make([]byte, 1500)), 0))
}

// Who has no session yet cannot make the server wait for more than a connect request: what it announces is refused at once.
func TestLimit_ConnectRequest(t *testing.T) {
	t.Parallel()
	srv := start(t, withAdmin)
	r := dialRaw(t, srv.Addr())
	if _, err := r.nc.Write(binary.BigEndian.AppendUint32(nil, 5000)); err != nil {
		t.Fatal(err)
	}
	r.ended()
	counted(t, srv, "frames_refused_total", 1)
}

func TestLimit_Connections(t *testing.T) {
	t.Parallel()
	srv := start(t, withAdmin, limits(server.Limits{Connections: 3}))
	var conns []*raw
	for range 3 {
		conns = append(conns, connect(t, srv))
	}
	if b := dialRaw(t, srv.Addr()).ended(); len(b) > 0 {
		t.Errorf("one too many was told %q", b)
	}
	counted(t, srv, "connections_rejected_total", 1)
	conns[0].want(wire.OK, wire.OpExists, watchBody("/", false))
	conns[1].nc.Close()
	testkit.Eventually(t, "a place is free", func() bool { return metricOf(t, srv, "docent_connections") == 2 })
	connect(t, srv)
}

// Neither a silent connection nor one that sends its first request byte by byte stays.
func TestLimit_Handshake(t *testing.T) {
	t.Parallel()
	srv := start(t, withAdmin, limits(server.Limits{Handshake: 200 * time.Millisecond}))
	bystander := connect(t, srv)
	silent, half, slow := dialRaw(t, srv.Addr()), dialRaw(t, srv.Addr()), dialRaw(t, srv.Addr())
	if _, err := half.nc.Write([]byte{0, 0, 0, 44, 0, 0}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for _, b := range append([]byte{0, 0, 0, 44}, make([]byte, 44)...) { // would take a second
			if _, err := slow.nc.Write([]byte{b}); err != nil {
				return
			}
			<-tick.C
		}
	}()
	for _, r := range []*raw{silent, half, slow} {
		r.ended()
	}
	<-done
	counted(t, srv, "handshakes_late_total", 3)
	bystander.want(wire.OK, wire.OpExists, watchBody("/", false))
}

// A client that sends without end is not read while its requests are in work, and gets all its answers.
func TestLimit_InFlight(t *testing.T) {
	t.Parallel()
	srv := start(t, withAdmin, limits(server.Limits{InFlight: 10}))
	r := connect(t, srv)
	const n = 2000
	go func() {
		var b []byte
		for i := range n {
			b = append(b, encoded(int32(i+1), wire.OpCreate, createBody("/a", "", wire.FlagSequential))...)
		}
		if _, err := r.nc.Write(b); err != nil {
			t.Error(err)
		}
	}()
	for i := range n {
		if h, _ := r.reply(int32(i + 1)); h.Err != wire.OK {
			t.Fatalf("answer %d: %+v", i, h)
		}
	}
	counted(t, srv, "connections_held_total", 1)
}

// A client that asks and does not read is not read either; others do not feel it.
func TestLimit_SlowReaderOfAnswers(t *testing.T) {
	t.Parallel()
	srv := start(t, withAdmin)
	bystander := connect(t, srv)
	bystander.want(wire.OK, wire.OpCreate, createBody("/big", string(make([]byte, 1_000_000)), 0))
	r := connect(t, srv)
	var asked int
	for { // until neither side's buffers take more
		if err := r.nc.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		asked++
		if _, err := r.nc.Write(bytes.Repeat(encoded(1, wire.OpGetData, watchBody("/big", false)), 1000)); err != nil {
			break
		}
		if asked > 10_000 {
			t.Fatal("the server goes on reading")
		}
	}
	counted(t, srv, "connections_held_total", 1)
	if heap := metricOf(t, srv, "go_memstats_heap_inuse_bytes"); heap > 200<<20 {
		t.Errorf("%.0f bytes of heap in use for a client that does not read", heap)
	}
	bystander.want(wire.OK, wire.OpExists, watchBody("/", false))
}

// A client that does not take its events is cut off when too many bytes of them wait; writers do not wait for it.
func TestLimit_SlowReaderOfEvents(t *testing.T) {
	t.Parallel()
	srv := start(t, withAdmin, limits(server.Limits{Unread: 64 << 10}))
	r, writer := connect(t, srv), connect(t, srv)
	r.want(wire.OK, wire.OpAddWatch, wire.AppendInt32(wire.AppendString(nil, "/"), int32(wire.WatchPersistentRecursive)))
	long := "/" + string(bytes.Repeat([]byte{'n'}, 60_000))
	writer.want(wire.OK, wire.OpCreate, createBody(long, "", 0))
	cut := func() bool { return metricOf(t, srv, "docent_connections_cut_total") == 1 }
	for i := 0; !cut(); i++ {
		if i == 10_000 {
			t.Fatal("the client that does not read is still there")
		}
		writer.want(wire.OK, wire.OpSetData, setBody(long, "", -1))
	}
	r.ended()
	writer.want(wire.OK, wire.OpExists, watchBody("/", false))
}

// Answers behind a request that is not answered yet count as well: they cannot be sent, however eager the client is.
func TestLimit_AnswersBehindAWrite(t *testing.T) {
	t.Parallel()
	srv := start(t, withAdmin, limits(server.Limits{Unread: 3 << 20}))
	bystander := connect(t, srv)
	bystander.want(wire.OK, wire.OpCreate, createBody("/big", string(make([]byte, 1_000_000)), 0))
	r := connect(t, srv)
	b := encoded(1, wire.OpCreate, createBody("/w", "", 0))
	for range 100 {
		b = append(b, encoded(2, wire.OpGetData, watchBody("/big", false))...)
	}
	if _, err := r.nc.Write(b); err != nil {
		t.Fatal(err)
	}
	// Either the answers found room one after the other, or the connection was cut: never is more kept than allowed.
	n, err := io.Copy(io.Discard, io.LimitReader(r.nc, 100_000_000))
	if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
		t.Errorf("%d bytes and then nothing", n)
	}
	bystander.want(wire.OK, wire.OpExists, watchBody("/w", false))
}

func TestLimit_Watches(t *testing.T) {
	t.Parallel()
	srv := start(t, withAdmin, limits(server.Limits{Watches: 2}))
	r := connect(t, srv)
	r.want(wire.OK, wire.OpGetData, watchBody("/", true))
	r.want(wire.OK, wire.OpGetChildren, watchBody("/", true)) // the same path
	r.want(wire.ErrNoNode, wire.OpExists, watchBody("/a", true))
	r.want(wire.ErrThrottled, wire.OpExists, watchBody("/b", true))
	r.want(wire.ErrThrottled, wire.OpGetData, watchBody("/zookeeper", true))
	r.want(wire.ErrThrottled, wire.OpAddWatch, wire.AppendInt32(wire.AppendString(nil, "/c"), int32(wire.WatchPersistent)))
	counted(t, srv, "watches_refused_total", 3)
	r.want(wire.OK, wire.OpGetData, watchBody("/zookeeper", false))
	other := connect(t, srv)
	other.want(wire.OK, wire.OpGetData, watchBody("/zookeeper", true))
}

func TestLimits_Refused(t *testing.T) {
	t.Parallel()
	for _, l := range []server.Limits{{Connections: -1}, {Handshake: -1}, {InFlight: -1}, {Unread: 5}, {Watches: -1}} {
		if err := (server.Config{Limits: l}).Check(); err == nil {
			t.Errorf("%+v is taken", l)
		}
	}
}
