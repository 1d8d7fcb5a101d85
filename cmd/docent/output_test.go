package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// hostile is a name that would turn the text red, clear the screen, ring, break the line, and turn the text around.
const hostile = "a\x1b[31m\x1b[2J\a\nb\r\x7f\u009b2J\u202ec\xff\xfe\U000e0001"

func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{
		"":                "",
		"orders 7":        "orders 7",
		"Bestände/日本/🙂":   "Bestände/日本/🙂",
		`C:\x`:            `C:\x`,
		"a\tb":            `a\x09b`,
		"\ufffd is drawn": "\ufffd is drawn",
		hostile:           `a\x1b[31m\x1b[2J\x07\x0ab\x0d\x7f\u009b2J\u202ec\xff\xfe\U000e0001`,
	} {
		if got := printable(s); got != want {
			t.Errorf("printable(%q) = %q, want %q", s, got, want)
		}
	}
	if got, want := printableText("a\n\tb\r\x1b"), "a\n\tb"+`\x0d\x1b`; got != want {
		t.Errorf("printableText = %q, want %q", got, want)
	}
}

func TestOutput_JSON(t *testing.T) {
	var b strings.Builder
	o := &output{json: true}
	if err := o.one(&b, map[string]string{"name": hostile}, nil); err != nil {
		t.Fatal(err)
	}
	if line := strings.TrimSuffix(b.String(), "\n"); strings.ContainsAny(line, "\x1b\a\n\r\x7f\u009b") {
		t.Errorf("JSON holds control characters: %q", line)
	}
	var back map[string]string
	if err := json.Unmarshal([]byte(b.String()), &back); err != nil {
		t.Fatal(err)
	}
	if got, want := back["name"], strings.ToValidUTF8(hostile[:len(hostile)-6], "")+"\ufffd\ufffd\U000e0001"; got != want {
		t.Errorf("it is read as %q, want %q", got, want)
	}
}

// Programs get what there is; a terminal gets nothing that it could obey.
func TestOutput_Format(t *testing.T) {
	o := &output{format: "{{.}}"}
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := o.one(&b, hostile, nil); err != nil || b.String() != hostile+"\n" {
		t.Errorf("a pipe gets %q, %v", b.String(), err)
	}
	screen, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer screen.Close()
	defer tty.Close()
	if err := o.one(tty, hostile, nil); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1024)
	n, err := screen.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.TrimRight(string(buf[:n]), "\r\n"), strings.ReplaceAll(printable(hostile), `\x0a`, "\r\n"); got != want {
		t.Errorf("a terminal gets %q, want %q", got, want)
	}
}

func TestTerminal(t *testing.T) {
	if _, ok := terminal(&strings.Builder{}); ok {
		t.Error("memory is taken for a terminal")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, ok := terminal(w); ok {
		t.Error("a pipe is taken for a terminal")
	}
}
