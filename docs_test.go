package docent_test

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docent-io/docent/server/servertest"
)

// pages are all that is written for people: README.md and its like, and what is below docs.
func pages(t *testing.T) []string {
	t.Helper()
	top, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, root := range append(top, "docs", "server", "client", "internal", "examples", "recipes") {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".md") {
				list = append(list, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return list
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	fenced   = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```")
	linked   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	quoted   = regexp.MustCompile("`[^`\n]*`")
	heading  = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	noAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// Every link of a page leads to a file that is there, and to a heading of it.
func TestPages_Links(t *testing.T) {
	for _, page := range pages(t) {
		text := quoted.ReplaceAllString(fenced.ReplaceAllString(readFile(t, page), ""), "")
		for _, m := range linked.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), filepath.FromSlash(file))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(readFile(t, target)), anchor) {
				t.Errorf("%s links to %s, which has no such heading", page, m[1])
			}
		}
	}
}

// anchors are the names of a page's headings, as those who show such pages make them.
func anchors(text string) []string {
	var list []string
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		list = append(list, strings.ReplaceAll(noAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return list
}

// Every page below docs can be found from its index.
func TestPages_Index(t *testing.T) {
	index := readFile(t, "docs/README.md")
	for _, page := range pages(t) {
		name, below := strings.CutPrefix(filepath.ToSlash(page), "docs/")
		if below && name != "README.md" && !strings.Contains(index, "]("+name+")") {
			t.Errorf("docs/README.md does not lead to %s", page)
		}
	}
}

// Go code on a page is a program, which TestPages_Programs runs, or stands in a Go file of this module: it is
// compiled, and run where that file is a test.
func TestPages_GoCode(t *testing.T) {
	var sources []string
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") {
			sources = append(sources, "\n"+flat(readFile(t, path))+"\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages(t) {
		for _, m := range fenced.FindAllStringSubmatch(readFile(t, page), -1) {
			if m[1] != "go" || strings.HasPrefix(m[2], "package main") {
				continue
			}
			code := "\n" + flat(m[2]) + "\n"
			if !slices.ContainsFunc(sources, func(s string) bool { return strings.Contains(s, code) }) {
				t.Errorf("%s shows code that stands in no Go file:\n%s", page, m[2])
			}
		}
	}
}

// programs are what those of the pages print, one after the other.
var programs = map[string][]string{
	"README.md":               {"my turn, with token"},
	"docs/getting-started.md": {"my turn, token", "/hello <nil>"},
}

// programs on pages run, where a server is on 127.0.0.1:2181 (here it has another port).
func TestPages_Programs(t *testing.T) {
	srv := servertest.New(t)
	for _, page := range pages(t) {
		wants := programs[page]
		for _, m := range fenced.FindAllStringSubmatch(readFile(t, page), -1) {
			if m[1] != "go" || !strings.HasPrefix(m[2], "package main") {
				continue
			}
			if len(wants) == 0 {
				t.Errorf("what is this program of %s to print?\n%s", page, m[2])
				continue
			}
			if out, err := runProgram(t, m[2], srv.Addr()); err != nil || !strings.Contains(out, wants[0]) {
				t.Errorf("a program of %s prints %q (%v), want %q", page, out, err, wants[0])
			}
			wants = wants[1:]
		}
		if len(wants) > 0 {
			t.Errorf("%s has no program that prints %q", page, wants)
		}
	}
}

func runProgram(t *testing.T, text, addr string) (output string, err error) {
	t.Helper()
	dir := t.TempDir()
	file, bin := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "127.0.0.1:2181", addr)), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"vet", file}, {"build", "-o", bin, file}} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			return string(out), err
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin)
	cmd.Env = append(os.Environ(), "DOCENT_DSN=zk://"+addr, "TMPDIR="+dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// flat leaves out indentation and empty lines.
func flat(code string) string {
	var lines []string
	for line := range strings.Lines(code) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
