package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/docent-io/docent/internal/wire"
)

// bare stands for a server that does the least that docent bench can be answered with: it takes requests apart and answers
// them from a map under a lock. It has no sessions, tree, watches or log; before it answers a write it syncs as many bytes to
// disk. What it reaches is what the machine and the load allow, so it bounds every server of one process.
const bare = "bare"

type bareServer struct {
	mu    sync.Mutex // guards what follows
	nodes map[string]*bareNode
	log   *os.File
	size  int64
	at    int64
}

type bareNode struct {
	data []byte
	stat wire.Stat
}

// bareLog is how much of its log is written with zeros before, and written over from then on.
const bareLog = 64 << 20

// newBareServer makes one that writes its log over and over.
func newBareServer(dir string, size int64) (s *bareServer, err error) {
	s = &bareServer{nodes: make(map[string]*bareNode), size: size}
	if s.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return nil, err
	}
	for at := int64(0); at < size && err == nil; at += 1 << 20 {
		_, err = s.log.WriteAt(make([]byte, 1<<20), at)
	}
	return s, errors.Join(err, s.log.Sync())
}

// serveBare is what this program does when it is started as a bare server. It prints its address, and runs until
// it is killed.
func serveBare(dir string) error {
	s, err := newBareServer(dir, bareLog)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	return s.run(ln)
}

func (s *bareServer) run(ln net.Listener) error {
	for {
		nc, err := ln.Accept()
		if err != nil {
			return err
		}
		go s.serve(nc)
	}
}

func (s *bareServer) serve(nc net.Conn) {
	defer nc.Close()
	in := bufio.NewReaderSize(nc, 64<<10)
	var out, buf []byte
	var r wire.Reader
	for first := true; ; first = false {
		frame, err := wire.ReadFrame(in, buf, 4<<20)
		if err != nil {
			return
		}
		buf = frame
		r.Reset(frame)
		start := len(out)
		if first {
			var m wire.ConnectRequest
			m.Decode(&r)
			out = (&wire.ConnectResponse{Timeout: m.Timeout, SessionID: 1, Password: make([]byte, wire.PasswordLen)}).Append(wire.BeginFrame(out))
		} else {
			out = s.answer(&r, wire.BeginFrame(out))
		}
		if r.Err() != nil {
			return
		}
		wire.EndFrame(out, start)
		if in.Buffered() > 0 {
			continue
		}
		if _, err := nc.Write(out); err != nil {
			return
		}
		out = out[:0]
	}
}

// answer appends the reply to a request.
func (s *bareServer) answer(r *wire.Reader, b []byte) []byte {
	var h wire.RequestHeader
	h.Decode(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	reply := wire.ReplyHeader{Xid: h.Xid, Zxid: 1}
	switch h.Op {
	case wire.OpGetData:
		var m wire.PathWatchRequest
		m.Decode(r)
		if n := s.nodes[m.Path]; n != nil {
			return (&wire.GetDataResponse{Data: n.data, Stat: n.stat}).Append(reply.Append(b))
		}
		reply.Err = wire.ErrNoNode
	case wire.OpSetData:
		var m wire.SetDataRequest
		m.Decode(r)
		if n := s.nodes[m.Path]; n != nil {
			n.data = append(n.data[:0], m.Data...)
			n.stat.Version++
			if s.sync(m.Data) == nil {
				return n.stat.Append(reply.Append(b))
			}
			reply.Err = wire.ErrSystem
			break
		}
		reply.Err = wire.ErrNoNode
	case wire.OpMulti:
		ops := r.MultiOps(h.Op)
		results := make([]wire.MultiResult, len(ops))
		for i, op := range ops {
			results[i].Op = op.Op
			switch op.Op {
			case wire.OpCreate:
				results[i].Path = op.Create.Path
				s.nodes[op.Create.Path] = &bareNode{data: slices.Clone(op.Create.Data), stat: wire.Stat{DataLength: int32(len(op.Create.Data))}}
			case wire.OpDelete:
				delete(s.nodes, op.Check.Path)
			}
		}
		return wire.AppendMultiResults(reply.Append(b), results)
	case wire.OpDelete:
		var m wire.PathVersionRequest
		m.Decode(r)
		delete(s.nodes, m.Path)
	case wire.OpGetChildren:
		var m wire.PathWatchRequest
		m.Decode(r)
		var names []string
		for path := range maps.Keys(s.nodes) {
			if name, ok := strings.CutPrefix(path, m.Path+"/"); ok && !strings.Contains(name, "/") {
				names = append(names, name)
			}
		}
		return wire.AppendStrings(reply.Append(b), names)
	case wire.OpSync:
		return wire.AppendString(reply.Append(b), r.String())
	}
	return reply.Append(b)
}

// sync puts a write on the disk.
func (s *bareServer) sync(data []byte) error {
	record := append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
	if s.at+int64(len(record)) > s.size {
		s.at = 0
	}
	_, err := s.log.WriteAt(record, s.at)
	s.at += int64(len(record))
	return errors.Join(err, datasync(s.log))
}

// newBare starts one.
func (c *campaign) newBare() (*ensemble, error) {
	dir, err := os.MkdirTemp(c.work, "bare-")
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-bare", dir)
	cmd.Stderr, cmd.SysProcAttr = os.Stderr, dieWithUs()
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{id: 1, cmd: cmd, ended: make(chan struct{})}
	addr, err := bufio.NewReader(out).ReadString('\n')
	go func() {
		_ = cmd.Wait() // it is killed
		close(s.ended)
	}()
	e := &ensemble{system: bare, dir: dir, servers: []*server{s}}
	if err != nil {
		e.close()
		return nil, fmt.Errorf("bare server: %w", err)
	}
	s.addr = strings.TrimSpace(addr)
	return e, nil
}
