package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var update = flag.Bool("update", false, "write docs/command.md anew")

const commandDocs = "../../docs/command.md"

// docs/command.md is what docent says of itself, verb by verb. go test ./cmd/docent -run Docs -update writes it.
func TestDocs_Command(t *testing.T) {
	var b strings.Builder
	b.WriteString("# The docent command\n\nWhat `docent help` tells, verb by verb; a test keeps this page equal to it.\n")
	eachVerb(testRoot(), func(v *cobra.Command) {
		fmt.Fprintf(&b, "\n%s %s\n\n```text\n%s```\n", strings.Repeat("#", strings.Count(v.CommandPath(), " ")+2), v.CommandPath(), helpText(v))
	})
	if *update {
		if err := os.WriteFile(commandDocs, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(commandDocs)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != b.String() {
		t.Error("docs/command.md is not what docent help says; go test ./cmd/docent -run Docs -update writes it anew")
	}
}

// What a verb does is told on one screen, with an example. (The flags of a server need more than one.)
func TestHelp_FitsOneScreen(t *testing.T) {
	const rows, columns = 24, 80
	eachVerb(testRoot(), func(v *cobra.Command) {
		text := helpText(v)
		if n := strings.Count(text, "\n"); n > rows && v.Name() != "serve" && v.HasParent() {
			t.Errorf("%s --help has %d lines, want at most %d:\n%s", v.CommandPath(), n, rows, text)
		}
		for line := range strings.Lines(text) {
			if len([]rune(strings.TrimRight(line, "\n"))) > columns {
				t.Errorf("%s --help: longer than %d columns: %q", v.CommandPath(), columns, line)
			}
		}
		if v.Runnable() && !v.HasSubCommands() && v.Example == "" && v.Name() != "version" {
			t.Errorf("%s --help has no example", v.CommandPath())
		}
	})
}

func testRoot() *cobra.Command {
	return newRoot(env{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }})
}

// eachVerb calls f with every verb and topic of docent's own, parents before those below them.
func eachVerb(cmd *cobra.Command, f func(*cobra.Command)) {
	if cmd.Hidden {
		return
	}
	f(cmd)
	for _, v := range cmd.Commands() {
		eachVerb(v, f)
	}
}
