package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"github.com/docent-io/docent/internal/testkit"
	"github.com/docent-io/docent/lock"
)

// screen is a terminal that a verb runs on, and all that was written to it.
type screen struct {
	t    *testing.T
	ours *os.File // what a person sees and types
	tty  *os.File
	code chan int

	mu   sync.Mutex // guards text
	text bytes.Buffer
}

// onScreen runs a verb on a terminal of the given size.
func (w *lookout) onScreen(ctx context.Context, cols, rows int, args ...string) *screen {
	w.t.Helper()
	ours, tty, err := pty.Open()
	if err != nil {
		w.t.Fatal(err)
	}
	s := &screen{t: w.t, ours: ours, tty: tty, code: make(chan int, 1)}
	s.resize(cols, rows)
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := ours.Read(buf)
			s.mu.Lock()
			s.text.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(ended)
		s.code <- run(ctx, env{args: args, stdin: tty, stdout: tty, stderr: tty, getenv: func(name string) string {
			if name == "DOCENT_DSN" {
				return "zk://" + w.srv.Addr()
			}
			return ""
		}})
	}()
	w.t.Cleanup(func() {
		cancel()
		<-ended
		tty.Close()
		<-read
		ours.Close()
	})
	return s
}

func (s *screen) resize(cols, rows int) {
	s.t.Helper()
	if err := pty.Setsize(s.tty, &pty.Winsize{Cols: uint16(cols), Rows: uint16(rows)}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *screen) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// frames returns what was drawn, frame by frame, as lines.
func (s *screen) frames() (frames [][]string) {
	for _, f := range strings.Split(s.all(), screenHome)[1:] {
		if whole, rest, ok := strings.Cut(f, screenRest); ok && !strings.Contains(rest, "\x1b[H") {
			frames = append(frames, strings.Split(strings.TrimSuffix(whole, lineRest), lineRest+"\r\n"))
		}
	}
	return frames
}

// shows waits for a frame that good likes.
func (s *screen) shows(what string, good func(lines []string) bool) {
	s.t.Helper()
	testkit.Eventually(s.t, what, func() bool {
		f := s.frames()
		return len(f) > 0 && good(f[len(f)-1])
	})
}

func (s *screen) press(keys string) {
	s.t.Helper()
	if _, err := s.ours.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// ends waits for the exit code, and for the terminal to be as it was.
func (s *screen) ends(before *term.State) int {
	s.t.Helper()
	select {
	case code := <-s.code:
		after, err := term.GetState(int(s.tty.Fd()))
		if err != nil {
			s.t.Fatal(err)
		}
		if fmt.Sprint(*after) != fmt.Sprint(*before) {
			s.t.Error("the terminal is not as it was")
		}
		testkit.Eventually(s.t, "the screen is given back", func() bool { return strings.HasSuffix(s.all(), screenClose) })
		return code
	case <-time.After(20 * time.Second):
		s.t.Fatal("it does not end")
		return -1
	}
}

func TestTop_Live(t *testing.T) {
	w := newLookout(t)
	a := w.as("job-a")
	held, err := lock.New(a, "/publish").Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ours, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	before, err := term.GetState(int(tty.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	ours.Close()
	tty.Close()
	s := w.onScreen(t.Context(), 100, 24, "top", "--every", "100ms")
	has := func(words ...string) func([]string) bool {
		return func(lines []string) bool {
			all := strings.Join(lines, "\n")
			for _, word := range words {
				if !strings.Contains(all, word) {
					return false
				}
			}
			return true
		}
	}
	s.shows("the holder", has("docent top /", "1 lines, 0 wait", "/publish", "job-a"))
	if !strings.HasPrefix(s.all(), screenOpen) {
		t.Errorf("it begins with %q", s.all()[:20])
	}
	b := w.as("job-b")
	w.while(func(ctx context.Context) { lock.New(b, "/publish").Lock(ctx) })
	s.shows("who waits", has("1 wait"))
	if err := held.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.shows("the next one", has("job-b", "0 wait"))
	s.resize(20, 2)
	s.shows("a small window", func(lines []string) bool {
		for _, l := range lines {
			if len(l) > 20 {
				return false
			}
		}
		return len(lines) <= 2
	})
	w.srv.Kill()
	s.resize(100, 24)
	s.shows("that nobody answers", has("as of ", "job-b"))
	w.srv.Restart()
	s.shows("that they answer again", func(lines []string) bool { return !has("as of ")(lines) && has("docent top")(lines) })
	s.press("xq")
	if code := s.ends(before); code != 0 {
		t.Errorf("exit code %d after q", code)
	}
}

func TestTop_Ends(t *testing.T) {
	w := newLookout(t)
	for name, end := range map[string]func(s *screen, cancel func()){
		"ctrl-c": func(s *screen, _ func()) { s.press("\x03") },
		"signal": func(_ *screen, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s := w.onScreen(ctx, 80, 24, "top")
			_, tty, err := pty.Open()
			if err != nil {
				t.Fatal(err)
			}
			before, err := term.GetState(int(tty.Fd()))
			tty.Close()
			if err != nil {
				t.Fatal(err)
			}
			s.shows("a first frame", func(lines []string) bool { return len(lines) > 0 })
			end(s, cancel)
			if code := s.ends(before); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// A path that is not there, or must not be read: the terminal is given back, and the reason said on it.
func TestTop_Fails(t *testing.T) {
	w := newLookout(t)
	s := w.onScreen(t.Context(), 80, 24, "top", "/nowhere")
	select {
	case code := <-s.code:
		if code != 1 {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it does not end")
	}
	testkit.Eventually(t, "the reason", func() bool {
		_, after, ok := strings.Cut(s.all(), screenClose)
		return ok && strings.Contains(after, "docent top: ") && strings.Contains(after, "/nowhere")
	})
}

// A terminal that can do nothing but show text is sent nothing else.
func TestTop_Dumb(t *testing.T) {
	w := newLookout(t)
	if _, err := lock.New(w.as("job-a"), "/b").Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	for verb, input := range map[string]string{"top": "", "shell": "ls /nosuch\nls /\nexit\n"} {
		ours, tty, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ours.WriteString(input); err != nil {
			t.Fatal(err)
		}
		vars := map[string]string{"TERM": "dumb", "DOCENT_DSN": w.srv.DSN()}
		code := run(t.Context(), env{args: []string{verb}, stdin: tty, stdout: tty, stderr: tty, getenv: func(name string) string { return vars[name] }})
		tty.Close()
		text, _ := io.ReadAll(ours) // ends with an error when nobody has the other end
		ours.Close()
		if want := map[string]int{"top": 0, "shell": 1}[verb]; code != want || bytes.Contains(text, []byte("\x1b")) || !bytes.Contains(text, []byte("b")) {
			t.Errorf("%s: exit code %d, %q", verb, code, text)
		}
	}
}

func TestTop_Pipe(t *testing.T) {
	w := newLookout(t)
	if _, err := lock.New(w.as("job-a"), "/b").Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.ephemeral(w.c, "/a/"+guid1+"lock-0000000001", "")
	w.ephemeral(w.c, "/c/"+guid1+"lock-0000000001", "x")
	w.ephemeral(w.c, "/c/"+guid2+"lock-0000000002", "y")
	out := w.docent("top")
	out.shows(t, 0, "/a", "job-a", "3 with anybody in line")
	if strings.Contains(out.stdout, "\x1b") || strings.Index(out.stdout, "/c ") > strings.Index(out.stdout, "/a ") {
		t.Errorf("a pipe gets %q", out.stdout)
	}
	var list []*sight
	w.docent("top", "--json", "/").into(t, &list)
	if len(list) != 3 || list[0].Path != "/c" || list[0].Queued != 1 || idsOf(list[0].Holders) != "x" {
		t.Errorf("it lists %v", list)
	}
	w.docent("top", "--every", "1ms").shows(t, 64, "--every 1ms")
	w.docent("top", "a", "b").shows(t, 64, `unexpected argument "b"`)
}

// Names and data that would command the terminal are shown, and not obeyed. (ZooKeeper refuses most of such names; data are
// anything.)
func TestLook_Hostile(t *testing.T) {
	w := newLookout(t)
	evil := "\x1b]0;owned\a\x1b[2J\x1b[31m\r\nroot: \u202e\u009b2J"
	w.ephemeral(w.c, "/l\u202elock/"+guid1+"lock-0000000001", evil)
	w.ephemeral(w.c, "/l\u202elock/"+guid2+"lock-0000000002", `{"id":"a\u001b[2J","note":"\u001b[31m\n\u009b"}`)
	w.node(w.c, "/l\u202elock/stranger\u2028", evil)
	w.node(w.c, "/value\u202e", evil)
	w.node(w.c, "/jobs/\u202e/state", evil)
	w.ephemeral(w.c, "/svc/x", `{"name":"s","id":"\u001b[2J","address":"\u001b[31m","port":1,"serviceType":"DYNAMIC","payload":{"version":"\u001b","flavor":"\u0007","status":"\u009b"}}`)
	w.ephemeral(w.c, "/meet/info", `{"by":"\u001b[2J","value":"\u001b[31m"}`)
	check := func(name, text string) {
		for _, bad := range []string{"\x1b", "\a", "\r", "\u202e", "\u009b", "\u2028", "\x7f"} {
			if strings.Contains(text, bad) {
				t.Errorf("%s prints %q: %q", name, bad, text)
			}
		}
	}
	for _, args := range [][]string{
		{"lock", "ls", "/"}, {"lock", "ls", "/l\u202elock"}, {"inspect", "/l\u202elock"}, {"inspect", "/value\u202e"}, {"inspect", "/svc"}, {"inspect", "/meet"},
		{"inspect", "/no\u202e"}, {"inspect", "--orphans", "/"}, {"doctor"}, {"top"}, {"inspect", "/"}, {"inspect", "/jobs"},
	} {
		out := w.docent(args...)
		if out.stdout+out.stderr == "" {
			t.Errorf("%q prints nothing", args)
		}
		check(fmt.Sprint(args), out.stdout+out.stderr)
	}
	s := w.onScreen(t.Context(), 200, 24, "top")
	s.shows("the line", func(lines []string) bool { return strings.Contains(strings.Join(lines, "\n"), "owned") })
	for _, lines := range s.frames() {
		for _, line := range lines {
			check("top", line)
		}
	}
	s.press("q")
	<-s.code
}

func TestTop_Fit(t *testing.T) {
	for _, x := range []struct {
		line  string
		width int
		want  string
	}{{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"日本", 3, "日"}, {"日本", 4, "日本"}, {"e\u0301x", 1, "e\u0301"}, {"", 0, ""}, {"a", 0, ""}} {
		if got := fit(x.line, x.width); got != x.want {
			t.Errorf("fit(%q, %d) = %q, want %q", x.line, x.width, got, x.want)
		}
	}
}
