package bench_test

import (
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/docent-io/docent/cmd/docent/internal/bench"
	"github.com/docent-io/docent/internal/wire"
)

// puppet is a server that answers setting up as it must, and requests of the load as a test wants: reply gets the request
// number and what is right, and returns what is sent.
type puppet struct {
	listener net.Listener
	reply    func(n int, xid int32, op wire.Op, right []byte) []byte
	wg       sync.WaitGroup
}

func newPuppet(t *testing.T, reply func(n int, xid int32, op wire.Op, right []byte) []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &puppet{listener: l, reply: reply}
	p.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(nc) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.wg.Wait()
	})
	return l.Addr().String()
}

func frame(body []byte) []byte { return wire.EndFrame(append(wire.BeginFrame(nil), body...), 0) }

func (p *puppet) serve(nc net.Conn) {
	defer nc.Close()
	if _, err := wire.ReadFrame(nc, nil, 0); err != nil {
		return
	}
	hello := wire.ConnectResponse{Timeout: 10_000, SessionID: 1, Password: make([]byte, 16)}
	nc.Write(frame(hello.Append(nil)))
	versions, n := map[string]int32{}, 0
	for {
		req, err := wire.ReadFrame(nc, nil, 0)
		if err != nil {
			return
		}
		xid, op := int32(binary.BigEndian.Uint32(req)), wire.Op(binary.BigEndian.Uint32(req[4:]))
		right := wire.ReplyHeader{Xid: xid, Zxid: 1}.Append(nil)
		r := wire.NewReader(req[8:])
		switch op {
		case wire.OpMulti:
			right = wire.AppendMultiResults(right, nil)
		case wire.OpGetChildren:
			right = wire.AppendStrings(right, nil)
		case wire.OpSync:
			right = wire.AppendString(right, r.String())
		case wire.OpSetData:
			path, data := r.String(), r.Buffer()
			versions[path]++
			stat := wire.Stat{Version: versions[path], DataLength: int32(len(data))}
			right = stat.Append(right)
			n++
			right = p.reply(n, xid, op, right)
		case wire.OpCloseSession:
			return
		}
		if len(right) > 0 && right[0] == 0xee { // raw
			nc.Write(right[1:])
			return
		}
		nc.Write(frame(right))
	}
}

func TestHostileReplies(t *testing.T) {
	header := func(xid int32, code wire.Code) []byte { return wire.ReplyHeader{Xid: xid, Err: code}.Append(nil) }
	for name, x := range map[string]struct {
		reply func(n int, xid int32, op wire.Op, right []byte) []byte
		wrong bool // a WrongReply
	}{
		"right": {func(_ int, _ int32, _ wire.Op, right []byte) []byte { return right }, false},
		"another xid": {func(_ int, xid int32, _ wire.Op, right []byte) []byte {
			return append(wire.AppendInt32(nil, xid+1), right[4:]...)
		}, true},
		"xid 0": {func(_ int, _ int32, _ wire.Op, right []byte) []byte {
			return append(wire.AppendInt32(nil, 0), right[4:]...)
		}, true},
		"cut header":       {func(_ int, _ int32, _ wire.Op, right []byte) []byte { return right[:10] }, true},
		"empty frame":      {func(int, int32, wire.Op, []byte) []byte { return nil }, true},
		"cut body":         {func(_ int, _ int32, _ wire.Op, right []byte) []byte { return right[:len(right)-1] }, true},
		"more than a body": {func(_ int, _ int32, _ wire.Op, right []byte) []byte { return append(right, 0) }, true},
		"no body":          {func(_ int, xid int32, _ wire.Op, _ []byte) []byte { return header(xid, wire.OK) }, true},
		"old version": {func(n int, xid int32, _ wire.Op, right []byte) []byte {
			if n < 50 {
				return right
			}
			stat := wire.Stat{DataLength: 100}
			return stat.Append(header(xid, wire.OK))
		}, true},
		"other length": {func(_ int, xid int32, _ wire.Op, _ []byte) []byte {
			stat := wire.Stat{Version: 1 << 20, DataLength: 99}
			return stat.Append(header(xid, wire.OK))
		}, true},
		"error code":      {func(_ int, xid int32, _ wire.Op, _ []byte) []byte { return header(xid, wire.ErrNoNode) }, false},
		"negative length": {func(int, int32, wire.Op, []byte) []byte { return []byte{0xee, 0xff, 0xff, 0xff, 0xff} }, false},
		"huge length":     {func(int, int32, wire.Op, []byte) []byte { return []byte{0xee, 0x7f, 0xff, 0xff, 0xff} }, false},
		"end in a frame":  {func(int, int32, wire.Op, []byte) []byte { return []byte{0xee, 0, 0, 0, 99, 1, 2, 3} }, false},
		"end":             {func(int, int32, wire.Op, []byte) []byte { return []byte{0xee} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, rate := range []float64{0, 2000} {
				cfg := light(t, newPuppet(t, x.reply))
				cfg.Mix, cfg.Conns, cfg.Rate, cfg.Nodes = mix(t, "set"), 1, rate, 10
				res, err := bench.Run(t.Context(), cfg)
				if name == "right" {
					if err != nil || res.Ops == 0 {
						t.Errorf("%+v, %v", res, err)
					}
					continue
				}
				if err == nil {
					t.Fatalf("unnoticed: %+v", res)
				}
				if bad := new(bench.WrongReply); errors.As(err, &bad) != x.wrong {
					t.Errorf("the error is %T: %v", err, err)
				}
			}
		})
	}
}

// While the server stands still, requests go on to be due, and all of them are late: half of them are by half of the
// pause, where a generator that waits for each answer would see one late request.
func TestPause_OfTheServerCountsForAllThatWasDue(t *testing.T) {
	const pause = 400 * time.Millisecond
	addr := newPuppet(t, func(n int, _ int32, _ wire.Op, right []byte) []byte {
		if n == 100 {
			time.Sleep(pause) // what is measured
		}
		return right
	})
	cfg := light(t, addr)
	cfg.Mix, cfg.Conns, cfg.InFlight, cfg.Nodes, cfg.Rate = mix(t, "set"), 1, 5, 10, 1000 // fewer under way than are due in the pause
	cfg.WarmUp, cfg.Duration = 0, time.Second
	res := run(t, cfg)
	if n := res.Latency.Count; n != 1000 {
		t.Errorf("%d requests, want 1000", n)
	}
	// 400 of 1000 are late by 0 to 400 ms, evenly: the 800th in order by 200 ms, and the 990th by 390 ms.
	p90, p99 := res.Latency.P90, res.Latency.P99
	if p90 < 200e3 || p99 < 350e3 {
		t.Errorf("p90 %.0f µs and p99 %.0f µs, want about 300 ms and 390 ms", p90, p99)
	}
	if res.Latency.Max < 380e3 {
		t.Errorf("max %.0f µs, want the whole pause", res.Latency.Max)
	}
}
