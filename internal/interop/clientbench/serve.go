//go:build unix

package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/servertest"
)

// serve is a server in a process of its own: it prints its address, and lives until its input ends.
func serve(kind string) {
	if kind == "docent" {
		srv := servertest.MustStart()
		defer srv.Close()
		fmt.Println(srv.Addr())
		io.Copy(io.Discard, os.Stdin)
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ln.Addr())
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				log.Fatal(err)
			}
			go echo(nc)
		}
	}()
	io.Copy(io.Discard, os.Stdin)
}

// echo is the least a server can do: it answers each request at once, with a node of 1 KiB, from one buffer. What is
// measured with it is the client.
func echo(nc net.Conn) {
	defer nc.Close()
	br, bw := bufio.NewReaderSize(nc, 64<<10), bufio.NewWriterSize(nc, 64<<10)
	frame, err := wire.ReadFrame(br, nil, 0)
	if err != nil {
		return
	}
	var req wire.ConnectRequest
	req.Decode(wire.NewReader(frame))
	hello := wire.ConnectResponse{Timeout: 10_000, SessionID: 1, Password: make([]byte, 16), HasReadOnly: req.HasReadOnly}
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
		case wire.OpCreate, wire.OpCreate2:
			n := binary.BigEndian.Uint32(frame[8:])
			if out = append(out, frame[8:12+n]...); op == wire.OpCreate2 {
				out = node.Stat.Append(out)
			}
		}
		bw.Write(wire.EndFrame(out, 0))
	}
}
