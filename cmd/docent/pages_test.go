//go:build unix

package main_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	fenced   = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```")
	exitMark = regexp.MustCompile("\x01(\\d+)\n")
)

// What pages show in blocks of the kind console is typed into a shell, one shell for each page, and prints what the page says;
// … stands for anything. The folder is the test's, and so are addresses on 127.0.0.1: to each that a page names belongs a
// free one. 127.0.0.1:2181 is where docent serve listens and its clients look.
func TestPages_Console(t *testing.T) {
	for page, text := range pages(t) {
		var typed []command
		for _, m := range fenced.FindAllStringSubmatch(text, -1) {
			if m[1] == "console" {
				typed = append(typed, commands(m[2])...)
			}
		}
		if len(typed) == 0 {
			continue
		}
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			addr, here := elsewhere(t, text)
			sh := newShell(t, addr)
			for _, c := range typed {
				c = command{here.Replace(c.line), here.Replace(c.output)}
				got, code := sh.run(c.line)
				if !c.shows(got) {
					t.Fatalf("%s: $ %s\nexits with %s and prints\n%swant\n%s", page, c.line, code, got, c.output)
				}
			}
		})
	}
}

// pages are the texts of README.md and of what is below docs.
func pages(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, root := range []string{"../../README.md", "../../docs"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".md" {
				return err
			}
			text, err := os.ReadFile(path)
			all[path] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

var loopback = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// elsewhere gives every address of a page a free one, and tells that of the usual port.
func elsewhere(t *testing.T, text string) (usual string, here *strings.Replacer) {
	t.Helper()
	named := append(loopback.FindAllString(text, -1), "127.0.0.1:2181")
	slices.Sort(named)
	named = slices.Compact(named)
	free := freeAddrs(t, len(named))
	var pairs []string
	for i, addr := range named {
		pairs = append(pairs, addr, free[i])
		if addr == "127.0.0.1:2181" {
			usual = free[i]
		}
	}
	return usual, strings.NewReplacer(pairs...)
}

// A command is a line that is typed, and what it prints.
type command struct{ line, output string }

// commands reads a block: lines that begin with "$ ", each with its output behind it. A line that ends with \ goes on.
func commands(block string) (list []command) {
	more := false
	for line := range strings.Lines(block) {
		text, typed := strings.CutPrefix(line, "$ ")
		switch {
		case more:
			list[len(list)-1].line += "\n" + strings.TrimSuffix(line, "\n")
			typed = true
		case typed:
			list = append(list, command{line: strings.TrimSuffix(text, "\n")})
		case len(list) > 0:
			list[len(list)-1].output += line
		}
		more = typed && strings.HasSuffix(line, "\\\n")
	}
	return list
}

func (c command) shows(got string) bool {
	want := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(c.output)), "…", "(?s:.*)")
	return regexp.MustCompile(`^\s*` + want + `\s*$`).MatchString(got)
}

// A shell runs line after line, as somebody types them.
type shell struct {
	*process
	seen int // bytes of its output that belong to earlier lines
}

func newShell(t *testing.T, addr string) *shell {
	t.Helper()
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	home := t.TempDir()
	cmd := exec.Command(bash)
	cmd.Dir = home
	cmd.Env = []string{"HOME=" + home, "PATH=" + filepath.Dir(docent(t)) + ":" + os.Getenv("PATH"),
		"DOCENT_LISTEN=" + addr, "DOCENT_DSN=zk://" + addr}
	sh := &shell{process: run(t, "bash", cmd)}
	t.Cleanup(func() {
		// One after the other, from the last, so that clients end while their servers live.
		sh.run("for job in $(jobs -p | tac); do kill $job 2>/dev/null; wait $job; done")
		fmt.Fprintln(sh.stdin, "exit")
		sh.exit()
	})
	sh.run("exec 2>&1")
	return sh
}

// run types a line and returns what it prints, and its exit code.
func (sh *shell) run(line string) (output string, code string) {
	sh.t.Helper()
	fmt.Fprintf(sh.stdin, "%s\nprintf '\\001%%d\\n' $?\n", line)
	limit := time.After(3 * patience)
	for {
		sh.stdout.mu.Lock()
		text, grown, ended := sh.stdout.text.String()[sh.seen:], sh.stdout.grown, sh.stdout.isEnded
		sh.stdout.mu.Unlock()
		if m := exitMark.FindStringSubmatchIndex(text); m != nil {
			sh.seen += m[1]
			return text[:m[0]], text[m[2]:m[3]]
		}
		if ended {
			sh.t.Fatalf("$ %s\nended the shell: %s", line, text)
		}
		select {
		case <-grown:
		case <-limit:
			sh.t.Fatalf("$ %s\nhas not come to an end: %s", line, text)
		}
	}
}
