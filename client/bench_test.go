package client_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/docent-io/docent/client"
	"github.com/docent-io/docent/internal/wire"
)

// echo is the least a server can do: it answers each request at once, with a node of 1 KiB, from one buffer.
func echo(t testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { serveEcho(nc) })
		}
	})
	t.Cleanup(func() { ln.Close(); conns.Wait() })
	return ln.Addr().String()
}

func serveEcho(nc net.Conn) {
	defer nc.Close()
	br, bw := bufio.NewReaderSize(nc, 64<<10), bufio.NewWriterSize(nc, 64<<10)
	if _, err := wire.ReadFrame(br, nil, 0); err != nil {
		return
	}
	hello := wire.ConnectResponse{Timeout: 10_000, SessionID: 1, Password: make([]byte, 16), HasReadOnly: true}
	bw.Write(wire.EndFrame(hello.Append(wire.BeginFrame(nil)), 0))
	node := wire.GetDataResponse{Data: make([]byte, 1024)}
	var buf, out []byte
	for zxid := int64(1); ; zxid++ {
		if br.Buffered() == 0 && bw.Flush() != nil {
			return
		}
		frame, err := wire.ReadFrame(br, buf, 0)
		if err != nil {
			return
		}
		buf = frame
		xid, op := int32(binary.BigEndian.Uint32(frame)), wire.Op(binary.BigEndian.Uint32(frame[4:]))
		out = wire.ReplyHeader{Xid: xid, Zxid: zxid}.Append(wire.BeginFrame(out[:0]))
		switch op {
		case wire.OpGetData:
			out = node.Append(out)
		case wire.OpSetData:
			out = node.Stat.Append(out)
		case wire.OpCreate2:
			n := binary.BigEndian.Uint32(frame[8:])
			out = node.Stat.Append(append(out, frame[8:12+n]...))
		case wire.OpCloseSession:
			bw.Write(wire.EndFrame(out, 0))
			bw.Flush()
			return
		}
		bw.Write(wire.EndFrame(out, 0))
	}
}

func dialEcho(t testing.TB) *client.Client {
	c, err := client.Dial(context.Background(), client.Config{Servers: []string{echo(t)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// operations are what is measured, and the most allocations one of them may take (PERFORMANCE.md §12).
var operations = []struct {
	name   string
	allocs float64
	do     func(ctx context.Context, c *client.Client, data []byte) error
}{
	{"get", 3, func(ctx context.Context, c *client.Client, _ []byte) error {
		_, err := c.Get(ctx, "/bench")
		return err
	}},
	{"set", 2, func(ctx context.Context, c *client.Client, data []byte) error {
		_, err := c.Set(ctx, "/bench", data, -1)
		return err
	}},
	{"create", 2, func(ctx context.Context, c *client.Client, data []byte) error {
		_, err := c.Create(ctx, "/bench", data)
		return err
	}},
}

// BenchmarkBlocking is blocking calls of many goroutines on one connection. Compare with go-zookeeper/zk by
// internal/interop/gozk.
func BenchmarkBlocking(b *testing.B) {
	for _, op := range operations {
		for _, n := range []int{1, 16, 256} {
			b.Run(fmt.Sprintf("%s/%d", op.name, n), func(b *testing.B) {
				c, data := dialEcho(b), make([]byte, 1024)
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for i := range n {
					wg.Go(func() {
						for range b.N/n + min(1, max(0, b.N%n-i)) {
							if err := op.do(context.Background(), c, data); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
			})
		}
	}
}

// BenchmarkBatch is reads in flights of 100.
func BenchmarkBatch(b *testing.B) {
	s := session(b, dialEcho(b))
	b.ReportAllocs()
	for i := 0; i < b.N; i += 100 {
		batch := s.Batch()
		for range 100 {
			batch.Get("/bench")
		}
		if err := batch.Do(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

func TestAllocations(t *testing.T) {
	c, data, ctx := dialEcho(t), make([]byte, 1024), context.Background()
	for _, op := range operations {
		got := testing.AllocsPerRun(2000, func() {
			if err := op.do(ctx, c, data); err != nil {
				t.Fatal(err)
			}
		})
		if got > op.allocs && !raceEnabled {
			t.Errorf("%s: %v allocations, want at most %v", op.name, got, op.allocs)
		}
	}
}
