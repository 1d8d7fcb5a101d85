//go:build linux

package faults

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// journal keeps what a process writes, in a file, and lets others wait for its lines.
type journal struct {
	mu    sync.Mutex // guards the fields below
	file  *os.File
	text  []byte // of this run: its beginning and its end
	grown chan struct{}
	ended bool
}

// latest is how much of each is kept.
const latest = 16 << 10

func newJournal(name string) (*journal, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	return &journal{file: f, grown: make(chan struct{})}, err
}

func (j *journal) note(format string, args ...any) {
	fmt.Fprintf(j.file, "---- %s %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text = append(j.text, b...)
	if over := len(j.text) - 3*latest; over > 0 {
		j.text = slices.Delete(j.text, latest, latest+over) // what it said first matters, and what it said last
	}
	close(j.grown)
	j.grown = make(chan struct{})
	return j.file.Write(b)
}

func (j *journal) end(how string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.note("%s", how)
	j.ended = true
	close(j.grown)
	j.grown = make(chan struct{})
	j.file.Close()
}

// await waits for one of the texts.
func (j *journal) await(ctx context.Context, texts ...string) error {
	for {
		j.mu.Lock()
		grown, ended := j.grown, j.ended
		j.mu.Unlock()
		switch {
		case slices.ContainsFunc(texts, j.has):
			return nil
		case ended:
			return fmt.Errorf("it has ended, and did not say %q", texts)
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return fmt.Errorf("it did not say %q: %w", texts, context.Cause(ctx))
		}
	}
}

func (j *journal) has(text string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return bytes.Contains(j.text, []byte(text))
}

func (j *journal) tail() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := string(j.text)
	return "\t" + strings.ReplaceAll(strings.TrimSpace(s[max(0, len(s)-2<<10):]), "\n", "\n\t")
}
