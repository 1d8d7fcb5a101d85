package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// historyLines is how many lines are remembered. The file is cut to that when it has twice as many.
const historyLines = 1000

// history remembers what was typed, in a file that nobody else may read. Several shells may append to it at once; each
// knows what was there when it began, and its own lines.
type history struct {
	file  string // empty: none
	lines []string
	tell  func(error) // gets why the file cannot be used, once
}

// historyFile is where the history is kept, by the XDG base directory specification; nowhere without a home.
func historyFile(getenv func(string) string) string {
	state := getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) {
		home := getenv("HOME")
		if !filepath.IsAbs(home) {
			return ""
		}
		state = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(state, "docent", "history")
}

func openHistory(file string, tell func(error)) *history {
	h := &history{file: file, tell: tell}
	if file == "" {
		return h
	}
	text, err := os.ReadFile(file)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			h.fail(err)
		}
		return h
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\n"); line != "" {
			h.lines = append(h.lines, line)
		}
	}
	if len(h.lines) > historyLines {
		cut := len(h.lines) > 2*historyLines
		h.lines = h.lines[len(h.lines)-historyLines:]
		if cut {
			h.fail(h.rewrite())
		}
	}
	return h
}

// rewrite replaces the file by the lines remembered, so that nobody ever sees half of it.
func (h *history) rewrite() error {
	f, err := os.CreateTemp(filepath.Dir(h.file), ".history-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Join(h.lines, "\n") + "\n")
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), h.file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// fail gives the file up.
func (h *history) fail(err error) {
	if err != nil && h.file != "" {
		h.tell(fmt.Errorf("the history is not kept: %w", err))
		h.file = ""
	}
}

// Add remembers a line, unless it is a secret, begins with a blank, or repeats the last one.
func (h *history) Add(line string) {
	if line == "" || line[0] == ' ' || secret(line) || len(h.lines) > 0 && h.lines[len(h.lines)-1] == line {
		return
	}
	h.lines = append(h.lines, line)
	if len(h.lines) > historyLines {
		h.lines = h.lines[1:]
	}
	if h.file != "" {
		h.fail(h.append(line))
	}
}

// secret holds for lines with passwords in them, also where the quotes are not right.
func secret(line string) bool {
	words, _, _ := scanWords(line)
	return len(words) > 0 && words[0] == "auth" || len(words) > 1 && words[0] == "acl" && words[1] == "digest"
}

func (h *history) append(line string) error {
	if err := os.MkdirAll(filepath.Dir(h.file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(h.file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString(line)
	b.WriteByte('\n')
	_, err = f.Write(b.Bytes()) // in one go, so that lines of several shells do not mix
	return errors.Join(err, f.Close())
}

// Len returns the number of lines.
func (h *history) Len() int { return len(h.lines) }

// At returns a line, the newest for 0.
func (h *history) At(i int) string { return h.lines[len(h.lines)-1-i] }
