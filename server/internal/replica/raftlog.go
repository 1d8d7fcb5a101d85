package replica

import (
	"bytes"
	"context"
	"log/slog"
)

// raftLines passes raft's log lines on, at debug level: what an operator must know, we say ourselves.
type raftLines struct{ log *slog.Logger }

// level tells raft not to make lines that nobody reads.
func (l raftLines) level() string {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		return "DEBUG"
	}
	return "OFF"
}

// Write takes one line: time, [LEVEL], text.
func (l raftLines) Write(line []byte) (int, error) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		text := line
		if _, after, ok := bytes.Cut(line, []byte("] ")); ok {
			text = after
		}
		l.log.Debug(string(bytes.TrimSpace(text)))
	}
	return len(line), nil
}
