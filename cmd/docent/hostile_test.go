//go:build unix

package main_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/internal/wire"
)

// TestHostile_BytesAtEveryServer sends what no client would to the leader and its followers, while well-behaved clients
// work: their connections are answered or closed, and nothing else happens.
func TestHostile_BytesAtEveryServer(t *testing.T) {
	e := startEnsemble(t)
	healthy := startHealthy(t, e)
	var idle []rawConn
	for _, m := range e {
		c := rawDial(t, m.addr)
		defer c.Close()
		if _, err := c.Write([]byte{0, 0, 0}); err != nil { // a part of a length
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	leader := e.leader(t)
	for _, m := range e {
		role := "follower"
		if m == leader {
			role = "leader"
		}
		t.Run(fmt.Sprintf("%s, %s", m.name, role), func(t *testing.T) {
			t.Run("instead of a connect request", func(t *testing.T) { testHostileConnects(t, m) })
			t.Run("requests", func(t *testing.T) { testHostileRequests(t, m) })
			t.Run("cut requests", func(t *testing.T) { testCutRequests(t, m) })
			t.Run("mutated requests", func(t *testing.T) { testMutatedRequests(t, m) })
			t.Run("peer port", func(t *testing.T) { testHostilePeers(t, m) })
		})
	}
	for i, c := range idle {
		if !c.closedByPeer() {
			t.Errorf("%s keeps a connection that never sends its first request", e[i].name)
		}
	}
	healthy.stop(t)
	for _, m := range e {
		m.alive()
		if log := m.stderr.String(); strings.Contains(log, "panic") {
			t.Errorf("%s panicked:\n%s", m.name, log)
		}
	}
	e.sameTrees(t)
}

// closedByPeer tells whether the server ends the connection, whatever it says before.
func (c rawConn) closedByPeer() bool {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return true
	}
	_, err := io.Copy(io.Discard, c)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

func int32s(values ...int32) (b []byte) {
	for _, v := range values {
		b = wire.AppendInt32(b, v)
	}
	return b
}

func testHostileConnects(t *testing.T, m *member) {
	rng := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, 64<<10)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	for name, sent := range map[string][]byte{
		"length -1":            int32s(-1),
		"least length":         int32s(math.MinInt32),
		"greatest length":      int32s(math.MaxInt32),
		"above the limit":      int32s(wire.MaxFrame + 1),
		"length 0":             int32s(0),
		"shorter than claimed": append(int32s(1000), "that was all"...),
		"cut":                  append(int32s(20), connectRequest(0, make([]byte, 16))[4:24]...),
		"huge password":        append(int32s(28), connectRequestClaiming(math.MaxInt32)...),
		"negative password":    append(int32s(28), connectRequestClaiming(math.MinInt32)...),
		"session of nobody":    connectRequest(0x7eadbeef, make([]byte, 16)),
		"http":                 []byte("GET / HTTP/1.1\r\nHost: docent\r\n\r\n"),
		"unknown word":         []byte("rouk"),
		"noise":                noise,
	} {
		c := rawDial(t, m.addr)
		if _, err := c.Write(sent); err != nil && name != "noise" { // that may be cut off
			t.Fatalf("%s: %v", name, err)
		}
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil && name != "noise" {
			t.Fatalf("%s: %v", name, err)
		}
		if !c.closedByPeer() {
			t.Errorf("%s: the connection is still open", name)
		}
		c.Close()
	}
}

// connectRequestClaiming is the beginning of a connect request, up to its password's length.
func connectRequestClaiming(length int32) []byte {
	return append(connectRequest(0, nil)[4:28], int32s(length)...)
}

const closed = wire.Code(math.MaxInt32) // in place of an answer

func testHostileRequests(t *testing.T, m *member) {
	path := wire.AppendString(nil, "/hostile")
	acl := wire.AppendACLs(nil, []wire.ACL{{Perms: wire.PermAll, Scheme: "world", ID: "anyone"}})
	create := func(path string) []byte {
		return slices.Concat(wire.AppendString(nil, path), wire.AppendBuffer(nil, nil), acl, int32s(0))
	}
	header := func(op wire.Op) []byte { return wire.MultiHeader{Op: op, Err: -1}.Append(nil) }
	end := wire.MultiHeader{Op: wire.OpError, Done: true, Err: -1}.Append(nil)
	for _, x := range []struct {
		name string
		sent []byte
		want wire.Code
	}{
		{"length -1", int32s(-1), closed},
		{"length above the limit", int32s(wire.MaxFrame + 1), closed},
		{"greatest length", int32s(math.MaxInt32), closed},
		{"length 0", int32s(0), closed},
		{"half a header", int32s(4, 7), closed},
		{"unknown operation", request(7, 999), wire.ErrUnimplemented},
		{"check outside of a multi", request(7, wire.OpCheck, append(path, int32s(0)...)...), wire.ErrUnimplemented},
		{"create a session", request(7, wire.OpCreateSession, int32s(1000)...), wire.ErrUnimplemented},
		{"delete a container", request(7, wire.OpDeleteContainer, path...), wire.ErrUnimplemented},
		{"error", request(7, wire.OpError), wire.ErrUnimplemented},
		{"no body", request(7, wire.OpGetData), wire.ErrMarshalling},
		{"path longer than the frame", request(7, wire.OpGetData, int32s(math.MaxInt32)...), wire.ErrMarshalling},
		{"path of negative length", request(7, wire.OpGetData, int32s(math.MinInt32)...), wire.ErrMarshalling},
		{"huge list of watches", request(7, wire.OpSetWatches, int32s(0, 0, math.MaxInt32)...), wire.ErrMarshalling},
		{"huge ACL", request(7, wire.OpSetACL, append(path, int32s(math.MaxInt32)...)...), wire.ErrMarshalling},
		{"multi without end", request(7, wire.OpMulti, header(wire.OpCheck)...), wire.ErrMarshalling},
		{"multi inside a multi", request(7, wire.OpMulti, slices.Concat(header(wire.OpMulti), end, end)...), wire.ErrMarshalling},
		{"sync inside a multi", request(7, wire.OpMulti, slices.Concat(header(wire.OpSync), path, end)...), wire.ErrMarshalling},
		{"relative path", request(7, wire.OpCreate, create("hostile")...), wire.ErrBadArguments},
		{"path with a dot", request(7, wire.OpCreate, create("/.")...), wire.ErrBadArguments},
		{"path with an empty name", request(7, wire.OpCreate, create("//hostile")...), wire.ErrBadArguments},
		{"path with a zero", request(7, wire.OpCreate, create("/hostile\x00")...), wire.ErrBadArguments},
		{"unknown flags", request(7, wire.OpCreate, slices.Concat(path, wire.AppendBuffer(nil, nil), acl, int32s(99))...), wire.ErrBadArguments},
		{"no ACL", request(7, wire.OpCreate, slices.Concat(path, wire.AppendBuffer(nil, nil), int32s(0, 0))...), wire.ErrInvalidACL},
	} {
		c := rawDial(t, m.addr)
		c.attach(t)
		if _, err := c.Write(x.sent); err != nil {
			t.Fatalf("%s: %v", x.name, err)
		}
		got := closed
		switch h, err := c.reply(); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			t.Errorf("%s: neither answered nor closed", x.name)
		case err == nil && h.Xid != 7:
			t.Errorf("%s: answer to request %d, want 7", x.name, h.Xid)
		case err == nil:
			got = h.Err
		}
		if got != x.want {
			t.Errorf("%s: %v, want %v", x.name, got, x.want)
		}
		c.Close()
	}
}

// validRequests returns a request of each kind.
func validRequests() map[wire.Op][]byte {
	acl := []wire.ACL{{Perms: wire.PermAll, Scheme: "world", ID: "anyone"}}
	create := wire.CreateRequest{Path: "/hostile", Data: []byte("data"), ACL: acl, TTL: 1000}
	check := wire.PathVersionRequest{Path: "/hostile/none", Version: 1}
	set := wire.SetDataRequest{Path: "/hostile/none", Data: []byte("data"), Version: 1}
	read := wire.PathWatchRequest{Path: "/hostile", Watch: true}
	setACL := wire.SetACLRequest{Path: "/hostile/none", ACL: acl, Version: 1}
	watches := wire.SetWatchesRequest{Data: []string{"/hostile/a"}, Exist: []string{"/hostile/b"}, Child: []string{"/hostile"}}
	path := wire.AppendString(nil, "/hostile")
	return map[wire.Op][]byte{
		wire.OpCreate:               create.Append(nil, wire.OpCreate),
		wire.OpCreate2:              create.Append(nil, wire.OpCreate2),
		wire.OpCreateContainer:      create.Append(nil, wire.OpCreateContainer),
		wire.OpCreateTTL:            create.Append(nil, wire.OpCreateTTL),
		wire.OpDelete:               check.Append(nil),
		wire.OpExists:               read.Append(nil),
		wire.OpGetData:              read.Append(nil),
		wire.OpSetData:              set.Append(nil),
		wire.OpGetACL:               path,
		wire.OpSetACL:               setACL.Append(nil),
		wire.OpGetChildren:          read.Append(nil),
		wire.OpGetChildren2:         read.Append(nil),
		wire.OpSync:                 path,
		wire.OpGetEphemerals:        path,
		wire.OpGetAllChildrenNumber: path,
		wire.OpMulti: wire.AppendMulti(nil, []wire.MultiOp{{Op: wire.OpCreate, Create: create}, {Op: wire.OpCheck, Check: check},
			{Op: wire.OpSetData, Set: set}, {Op: wire.OpDelete, Check: check}}),
		wire.OpMultiRead:     wire.AppendMulti(nil, []wire.MultiOp{{Op: wire.OpGetData, Read: read}, {Op: wire.OpGetChildren, Read: read}}),
		wire.OpSetWatches:    watches.Append(nil, wire.OpSetWatches),
		wire.OpSetWatches2:   watches.Append(nil, wire.OpSetWatches2),
		wire.OpAddWatch:      (&wire.AddWatchRequest{Path: "/hostile", Mode: wire.WatchPersistentRecursive}).Append(nil),
		wire.OpCheckWatches:  (&wire.RemoveWatchesRequest{Path: "/hostile", Type: wire.WatcherAny}).Append(nil),
		wire.OpRemoveWatches: (&wire.RemoveWatchesRequest{Path: "/hostile", Type: wire.WatcherAny}).Append(nil),
		wire.OpReconfig:      (&wire.ReconfigRequest{Joining: "server.4=127.0.0.1:1:2:participant"}).Append(nil),
		wire.OpAuth:          (&wire.AuthRequest{Scheme: "digest", Auth: []byte("user:password")}).Append(nil),
		wire.OpWhoAmI:        nil,
		wire.OpSASL:          wire.AppendBuffer(nil, []byte("token")),
	}
}

// testCutRequests sends each request cut at each byte, in a frame of the right length.
func testCutRequests(t *testing.T, m *member) {
	p := prober{t: t, m: m}
	defer p.close()
	for op, body := range validRequests() {
		for n := range body {
			p.probe(op, body[:n])
		}
	}
}

// testMutatedRequests sends requests with a few bytes changed, numbers replaced by extreme ones, cut and made longer.
func testMutatedRequests(t *testing.T, m *member) {
	each := 200
	if testing.Short() || raceEnabled {
		each = 20
	}
	rng := rand.New(rand.NewPCG(2, 2))
	p := prober{t: t, m: m}
	defer p.close()
	valid := validRequests()
	ops := make([]wire.Op, 0, len(valid))
	for op := range valid {
		ops = append(ops, op)
	}
	slices.Sort(ops) // the same requests in each run
	for _, op := range ops {
		for range each {
			p.probe(op, mutate(rng, valid[op]))
		}
	}
}

func mutate(rng *rand.Rand, body []byte) []byte {
	b := slices.Clone(body)
	for range 1 + rng.IntN(3) {
		switch kind := rng.IntN(4); {
		case kind == 0 || len(b) < 4:
			b = wire.AppendInt64(b, int64(rng.Uint64()))
		case kind == 1:
			b[rng.IntN(len(b))] = byte(rng.Uint32())
		case kind == 2:
			extremes := []uint32{0, 1, math.MaxInt32, 1 << 31, math.MaxUint32, 1 << 20, 1 << 24}
			binary.BigEndian.PutUint32(b[rng.IntN(len(b)-3):], extremes[rng.IntN(len(extremes))])
		default:
			b = b[:rng.IntN(len(b))]
		}
	}
	return b
}

// prober sends requests of which only the server knows what they are, over one connection as long as that lasts.
type prober struct {
	t *testing.T
	m *member
	c rawConn
}

// probe sends a request with another one behind that is known to be answered, and waits until that is, or until the
// server closes the connection.
func (p *prober) probe(op wire.Op, body []byte) {
	p.t.Helper()
	const marker = 1 << 20
	if p.c.Conn == nil {
		p.c = rawDial(p.t, p.m.addr)
		p.c.attach(p.t)
	}
	if err := p.c.SetDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	read := wire.PathWatchRequest{Path: "/"}
	both := append(request(7, op, body...), request(marker, wire.OpExists, read.Append(nil)...)...)
	_, err := p.c.Write(both)
	for err == nil {
		var h wire.ReplyHeader
		if h, err = p.c.reply(); err == nil && h.Xid == marker {
			return
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("%v with body %x: neither answered nor closed", op, body)
	}
	p.close()
}

func (p *prober) close() {
	if p.c.Conn != nil {
		p.c.Close()
		p.c.Conn = nil
	}
}

// testHostilePeers sends noise to the peer port.
func testHostilePeers(t *testing.T, m *member) {
	rng := rand.New(rand.NewPCG(3, 3))
	for n := range 50 {
		noise := make([]byte, rng.IntN(1000))
		for i := range noise {
			noise[i] = byte(rng.Uint32())
		}
		c := rawDial(t, m.peer)
		// Either may fail, for the server may have had enough.
		c.Write(noise)
		c.Conn.(*net.TCPConn).CloseWrite()
		if !c.closedByPeer() {
			t.Errorf("attempt %d: the connection is still open", n)
		}
		c.Close()
	}
}
