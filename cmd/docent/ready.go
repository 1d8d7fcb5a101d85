package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
)

// readiness is a pipe on which the child says, in lines of KEY=TEXT, where it can be reached.
type readiness struct {
	fd       int // its number in the child
	childEnd *os.File
	ours     *os.File
	failed   chan error
	post     func(ctx context.Context, value json.RawMessage) error
	cancel   context.CancelFunc
	reader   sync.WaitGroup
}

// newReadiness makes the pipe. post is called for every line, one after the other.
func newReadiness(fd int, post func(context.Context, json.RawMessage) error) (*readiness, error) {
	ours, childEnd, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("--ready-fd: %w", err)
	}
	return &readiness{fd: fd, childEnd: childEnd, ours: ours, post: post, failed: make(chan error, 1), cancel: func() {}}, nil
}

// begin reads what the child says. Call it when the child has its end.
func (r *readiness) begin(ctx context.Context) {
	r.childEnd.Close()
	ctx, r.cancel = context.WithCancel(ctx)
	r.reader.Go(func() {
		lines := bufio.NewScanner(r.ours)
		lines.Buffer(nil, maxData) // a longer one fits into no node
		var err error
		for err == nil && lines.Scan() {
			err = r.take(ctx, lines.Text())
		}
		if err == nil && errors.Is(lines.Err(), bufio.ErrTooLong) { // else the child would wait for ever with the rest of it
			err = fmt.Errorf("the command wrote to descriptor %d a line of more than %d bytes", r.fd, maxData)
		}
		if err != nil && ctx.Err() == nil {
			r.failed <- err
		}
	})
}

// take posts a line. A lost connection is waited for; with the session, the child will be stopped in any case.
func (r *readiness) take(ctx context.Context, line string) error {
	if line = strings.TrimSpace(line); line == "" {
		return nil
	}
	value, err := parseLine(line)
	if err != nil {
		return fmt.Errorf("the command wrote to descriptor %d: %w", r.fd, err)
	}
	_, err = again(ctx, func() (struct{}, error) { return struct{}{}, r.post(ctx, value) })
	return err
}

// parseLine reads words KEY=TEXT, or a JSON object.
func parseLine(line string) (json.RawMessage, error) {
	switch {
	case line[0] != '{':
		return parsePairs(strings.Fields(line))
	case !json.Valid([]byte(line)):
		return nil, fmt.Errorf("%q is no JSON", line)
	}
	return json.RawMessage(line), nil
}

// close ends the reading.
func (r *readiness) close() {
	r.cancel()
	r.childEnd.Close()
	r.ours.Close()
	r.reader.Wait()
}
