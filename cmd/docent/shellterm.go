package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/term"

	"github.com/docent-io/docent/client"
)

const (
	ctrlC = 0x03
	// dropLine is what Ctrl-C stands for at the prompt: go to the end, delete to the beginning, and begin a new line.
	dropLine = "\x05\x15\r"
)

// interactive serves a person at a terminal.
func (s *shell) interactive(ctx context.Context, fd int) error {
	cooked, err := term.MakeRaw(fd)
	if err != nil {
		return err
	}
	defer term.Restore(fd, cooked) // the process ends anyway
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	k := newKeys(ctx, s.e.stdin)
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{k, s.e.stdout}, "")
	k.typed = func() {
		if width, height, err := term.GetSize(fd); err == nil && width > 0 {
			t.SetSize(width, height)
		}
	}
	h := openHistory(historyFile(s.e.getenv), func(err error) { fmt.Fprintf(t, "docent: %v\n", err) })
	t.History = h
	t.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		if key != '\t' {
			return "", 0, false
		}
		return s.complete(ctx, t, line, pos)
	}
	s.at.interactive = true
	p := &prompter{t: t, s: s}
	for ctx.Err() == nil {
		if err := s.prompted(ctx, k, p); errors.Is(err, errQuit) {
			return nil
		} else if err != nil {
			fmt.Fprintln(t, printable(oneLine(err)))
		}
	}
	return nil
}

// prompted reads a line and carries it out. Ctrl-C drops the one, and breaks off the other.
func (s *shell) prompted(ctx context.Context, k *keys, p *prompter) error {
	verb, cancel := context.WithCancel(ctx)
	defer cancel()
	k.begin(cancel)
	line, err := p.readLine(ctx, s.at.c)
	if err != nil {
		io.WriteString(s.e.stdout, "\r\n") // leave the prompt
		return errQuit                     // the keyboard is gone, or the person
	}
	s.at.more = func(prompt string) (string, error) {
		k.begin(cancel)
		p.t.SetPrompt(prompt)
		line, err := p.t.ReadLine()
		return line, errors.Join(err, verb.Err())
	}
	err = s.line(verb, p.t, line)
	if err != nil && verb.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// prompter shows where the shell stands, and how the connection is.
type prompter struct {
	t *term.Terminal
	s *shell
}

func (p *prompter) set(state client.State, cwd string) {
	text := "docent:" + printable(cwd)
	if state != client.Connected {
		text += " (" + state.String() + ")"
	}
	p.t.SetPrompt(text + "> ")
}

// readLine reads a line. Verbs read further ones behind prompts of their own.
func (p *prompter) readLine(ctx context.Context, c *client.Client) (string, error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p.set(c.State(), p.s.at.cwd)
	wg.Go(func() { p.follow(ctx, c) })
	return p.t.ReadLine()
}

// follow tells of changes of the connection while a line is being typed.
func (p *prompter) follow(ctx context.Context, c *client.Client) {
	last := c.State()
	cwd := p.s.at.cwd
	for state := range c.States(ctx) {
		if state == last {
			continue
		}
		last = state
		p.set(state, cwd)
		what := state.String()
		if state == client.Connecting {
			what = "the session has ended, and its ephemerals with it; connecting"
		}
		fmt.Fprintf(p.t, "docent: %s\n", what)
	}
}

// keys are what is typed. It sees Ctrl-C also while nobody reads.
type keys struct {
	ctx   context.Context
	typed func()        // called whenever something was typed and is about to be read
	more  chan struct{} // of one: there is something to read, or an end

	mu        sync.Mutex // guards the rest
	buffer    []byte
	err       error
	interrupt func() // what Ctrl-C does, beside dropping what was typed
	typing    bool   // a line, at the end of which Ctrl-C still stands for dropLine
}

// newKeys begins to read in. That goes on until in ends, or the process: a read of a terminal cannot be called off.
func newKeys(ctx context.Context, in io.Reader) *keys {
	k := &keys{ctx: ctx, typed: func() {}, more: make(chan struct{}, 1)}
	go k.pump(in)
	return k
}

func (k *keys) pump(in io.Reader) {
	b := make([]byte, 4096)
	for {
		n, err := in.Read(b)
		k.take(b[:n], err)
		if err != nil {
			return
		}
	}
}

func (k *keys) take(b []byte, err error) {
	var interrupt func()
	k.mu.Lock()
	for _, key := range b {
		if key != ctrlC {
			k.buffer = append(k.buffer, key)
			continue
		}
		if interrupt, k.buffer = k.interrupt, nil; k.typing {
			k.buffer = []byte(dropLine)
		}
	}
	k.err = err
	k.mu.Unlock()
	if interrupt != nil {
		interrupt()
	}
	select {
	case k.more <- struct{}{}:
	default:
	}
}

// begin says that a line is going to be typed, and what Ctrl-C does from now on.
func (k *keys) begin(interrupt func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.interrupt, k.typing = interrupt, true
}

// Read returns what was typed.
func (k *keys) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, io.ErrShortBuffer // an escape sequence without an end
	}
	for {
		k.mu.Lock()
		n, err := copy(p, k.buffer), k.err
		k.buffer = k.buffer[n:]
		if bytes.ContainsAny(p[:n], "\r\n") {
			k.typing = false
		}
		k.mu.Unlock()
		if n > 0 {
			k.typed()
			return n, nil
		}
		if err != nil {
			return 0, err
		}
		select {
		case <-k.more:
		case <-k.ctx.Done():
			return 0, io.EOF
		}
	}
}
