package servertest

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// stream is one direction of a connection.
type stream struct {
	mu       sync.Mutex // guards the fields below
	changed  sync.Cond  // on mu
	buf      []byte
	finished bool // nothing more is written
	dropped  bool // nothing more is read
	deadline time.Time
	alarm    *time.Timer // wakes the reader at deadline
	writeBy  time.Time
}

func newStream() *stream {
	s := new(stream)
	s.changed.L = &s.mu
	return s
}

func over(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.dropped:
			return 0, net.ErrClosed
		case over(s.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(s.buf) > 0:
			n := copy(p, s.buf)
			if s.buf = s.buf[n:]; len(s.buf) == 0 {
				s.buf = s.buf[:0]
			}
			return n, nil
		case s.finished:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.finished:
		return 0, net.ErrClosed
	case over(s.writeBy):
		return 0, os.ErrDeadlineExceeded
	case s.dropped:
		return 0, syscall.EPIPE
	}
	s.buf = append(s.buf, p...)
	s.changed.Broadcast()
	return len(p), nil
}

func (s *stream) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
	s.changed.Broadcast()
}

func (s *stream) drop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dropped {
		return net.ErrClosed
	}
	s.dropped, s.buf = true, nil
	s.silence()
	s.changed.Broadcast()
	return nil
}

func (s *stream) setDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silence()
	s.deadline = t
	if !t.IsZero() && !s.dropped {
		s.alarm = time.AfterFunc(time.Until(t), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.changed.Broadcast()
		})
	}
	s.changed.Broadcast()
}

// silence stops the alarm. The caller holds mu.
func (s *stream) silence() {
	if s.alarm != nil {
		s.alarm.Stop()
		s.alarm = nil
	}
}

func (s *stream) setWriteDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeBy = t
}
