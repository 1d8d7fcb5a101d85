package server_test

import (
	"bufio"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server"
)

// BenchmarkPipelined measures a server of its own with 4 connections of 100 requests in flight each, 1 KiB of data, in
// memory and on disk.
func BenchmarkPipelined(b *testing.B) {
	for _, disk := range []bool{false, true} {
		for _, op := range []wire.Op{wire.OpGetData, wire.OpSetData} {
			b.Run(fmt.Sprintf("disk=%v/%v", disk, op), func(b *testing.B) {
				cfg := server.Config{Listen: "127.0.0.1:0"}
				if disk {
					cfg.Data = b.TempDir()
				}
				srv, err := server.Start(cfg)
				if err != nil {
					b.Fatal(err)
				}
				defer srv.Close()
				if err := srv.Ready(b.Context()); err != nil {
					b.Fatal(err)
				}
				benchPipelined(b, srv.Addr(), op, 4, 100)
			})
		}
	}
}

func benchPipelined(b *testing.B, addr string, op wire.Op, conns, flight int) {
	data := make([]byte, 1024)
	var loads []*load
	for i := range conns {
		l, err := newLoad(addr)
		if err != nil {
			b.Fatal(err)
		}
		defer l.nc.Close()
		path := fmt.Sprintf("/bench%d", i)
		create := wire.CreateRequest{Path: path, Data: data, ACL: openACL}
		if err := l.run(1, 1, wire.OpCreate, create.Append(nil, wire.OpCreate)); err != nil {
			b.Fatal(err)
		}
		l.body = watchBody(path, false)
		if op == wire.OpSetData {
			l.body = (&wire.SetDataRequest{Path: path, Data: data, Version: -1}).Append(nil)
		}
		loads = append(loads, l)
	}
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for _, l := range loads {
		wg.Go(func() {
			if err := l.run(b.N/conns+1, flight, op, l.body); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
}

// load is a connection that sends the same request again and again.
type load struct {
	nc   net.Conn
	br   *bufio.Reader
	buf  []byte
	body []byte
}

func newLoad(addr string) (*load, error) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	l := &load{nc: nc, br: bufio.NewReaderSize(nc, 256<<10)}
	req := wire.ConnectRequest{Timeout: 30_000, Password: make([]byte, 16)}
	if _, err := nc.Write(wire.EndFrame(req.Append(wire.BeginFrame(nil)), 0)); err != nil {
		return nil, err
	}
	_, err = wire.ReadFrame(l.br, nil, 0)
	return l, err
}

// run sends n requests, with so many in flight: it waits for half of them before it sends as many again.
func (l *load) run(n, flight int, op wire.Op, body []byte) error {
	frame := wire.EndFrame(append(wire.RequestHeader{Xid: 1, Op: op}.Append(wire.BeginFrame(nil)), body...), 0)
	sent, got := 0, 0
	for got < n {
		burst := l.buf[:0]
		for sent < n && sent-got < flight {
			burst = append(burst, frame...)
			sent++
		}
		l.buf = burst
		if _, err := l.nc.Write(burst); err != nil {
			return err
		}
		for want := max(1, (sent-got)/2); want > 0; want-- {
			reply, err := wire.ReadFrame(l.br, l.body[:0:0], 2<<20)
			if err != nil {
				return err
			}
			var h wire.ReplyHeader
			if h.Decode(wire.NewReader(reply)); h.Err != wire.OK {
				return h.Err
			}
			got++
		}
	}
	return nil
}
