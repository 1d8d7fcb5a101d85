package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

func TestProgress_Line(t *testing.T) {
	var b strings.Builder
	now, width := time.Unix(0, 0), 80
	p := startProgress(&b, "nodes", func() int { return width }, func() time.Time { return now })
	p.add(10)
	if p.done(); b.Len() > 0 {
		t.Errorf("short work shows %q", b.String())
	}
	now = now.Add(2 * time.Second)
	p.add(1990)
	for range 100 {
		p.add(1) // too soon for another line
	}
	if got, want := b.String(), "\r\x1b[K2,000 nodes, 1,000/s, 0:00:02"; got != want {
		t.Errorf("shows %q, want %q", got, want)
	}
	b.Reset()
	p.of(4200)
	now = now.Add(time.Second)
	p.add(0)
	if got, want := b.String(), "\r\x1b[K2,100 of 4,200 (50 %) nodes, 700/s, 0:00:03"; got != want {
		t.Errorf("shows %q, want %q", got, want)
	}
	b.Reset()
	now, width = now.Add(time.Second), 10
	p.add(1)
	if got, want := b.String(), "\r\x1b[K2,101 of "; got != want {
		t.Errorf("on 10 columns it shows %q, want %q", got, want)
	}
	b.Reset()
	if p.done(); b.String() != "\r\x1b[K" {
		t.Errorf("done shows %q, want an empty line", b.String())
	}
}

func TestProgress_Terminal(t *testing.T) {
	screen, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	p := newProgress(env{stderr: tty, getenv: func(string) string { return "xterm" }}, "nodes")
	if p == nil {
		t.Fatal("silent on a terminal")
	}
	p.begun = p.begun.Add(-time.Minute)
	p.add(150) // 2.5 a second, and a little less by now
	p.done()
	if err := tty.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(screen)
	if got, want := string(text), "\r\x1b[K150 nodes, 2/s, 0:01:00\r\x1b[K"; got != want {
		t.Errorf("the terminal shows %q, want %q (%v)", got, want, err) // reading ends with EIO, for nobody has it open
	}
}

func TestProgress_Pipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := newProgress(env{stderr: w}, "nodes")
	p.of(2)
	p.add(1)
	p.done()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(r); err != nil || len(text) > 0 {
		t.Errorf("a pipe gets %q, %v", text, err)
	}
}

func TestProgress_Goroutines(t *testing.T) {
	var wg sync.WaitGroup
	p := startProgress(io.Discard, "nodes", func() int { return 80 }, time.Now)
	p.next.Store(0)
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				p.add(1)
			}
		})
	}
	wg.Wait()
	if got := p.count.Load(); got != 8000 {
		t.Errorf("counted %d, want 8000", got)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", -100: "-100", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
	if got := fmt.Sprint(clockTime(3*time.Hour + 62*time.Second)); got != "3:01:02" {
		t.Errorf("clockTime = %q", got)
	}
}
