package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// Blocks of the kind console are typed into a shell by TestPages_Console. Every other command line of a page is read here:
// its verbs, flags, targets, packages and tests must be there.
func TestPages_Lines(t *testing.T) {
	root, targets := testRoot(), makeTargets(t)
	counts := make(map[string]int)
	for _, page := range linePages(t) {
		for _, line := range commandLines(page.text) {
			complain := func(what string) { t.Errorf("%s: %s: %s", page.name, line, what) }
			for i, w := range line {
				rest := line[i+1:]
				switch {
				case w == "docent":
					checkLine(root, rest, complain)
				case w == "make" && len(rest) > 0:
					if !slices.Contains(targets, rest[0]) {
						complain("the Makefile has no target " + rest[0])
					}
				case w == "go" && len(rest) > 0 && slices.Contains([]string{"test", "run", "doc", "install"}, rest[0]):
					checkGo(rest[1:], complain)
				default:
					continue
				}
				counts[w]++
			}
		}
	}
	for tool, least := range map[string]int{"docent": 150, "make": 10, "go": 20} {
		if counts[tool] < least {
			t.Errorf("only %d command lines of %s were found, want %d or more", counts[tool], tool, least)
		}
	}
}

type namedText struct{ name, text string }

// linePages are all pages of the repository.
func linePages(t *testing.T) (all []namedText) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "*/DESIGN.md", "*/*/*/DESIGN.md"} {
		names, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, namedText{name, string(text)})
		}
	}
	return all
}

var (
	blocks = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```")
	inline = regexp.MustCompile("`[^`\n]+`")
	tool   = regexp.MustCompile(`(^|[\s"'(])(docent|make|go) `) // where a command may begin: at least in part of a line
)

// commandLines are the words of every command line: within a sentence, and in blocks that are not code.
func commandLines(text string) (list [][]string) {
	for _, m := range blocks.FindAllStringSubmatch(text, -1) {
		switch m[1] {
		case "", "sh", "bash", "text", "console":
			for line := range strings.Lines(m[2]) {
				text, typed := strings.CutPrefix(line, "$ ")
				if typed || m[1] != "console" { // the rest of a console is output
					list = append(list, commandsOf(text)...)
				}
			}
		}
	}
	for _, code := range inline.FindAllString(blocks.ReplaceAllString(text, ""), -1) {
		list = append(list, commandsOf(strings.Trim(code, "`"))...)
	}
	return list
}

// commandsOf finds the commands of a line, each from its name on. What a help text says of docent is no command: there the
// name stands at the beginning of a line, or behind what begins a command.
func commandsOf(line string) (list [][]string) {
	line, _, _ = strings.Cut(line, " # ")
	for _, at := range tool.FindAllStringSubmatchIndex(line, -1) {
		before, from := strings.TrimSpace(line[:at[4]]), line[at[4]:]
		if before == "" || strings.ContainsAny(before[len(before)-1:], `$|;&("'`) || strings.HasSuffix(before, "--") ||
			regexp.MustCompile(`^(\w+=\S* *)+$`).MatchString(before) {
			list = append(list, wordsOf(from))
		}
	}
	return list
}

// wordsOf are those of the first command in a shell's line; a quoted one is whole, and an end of quotes begun earlier is an end.
func wordsOf(line string) (list []string) {
	var quote rune
	word, begun := "", false
	end := func() {
		if begun {
			list = append(list, word)
		}
		word, begun = "", false
	}
	for _, c := range line {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			} else {
				word += string(c)
			}
		case c == '\'' || c == '"':
			quote, begun = c, true
		case c == ' ' || c == '\t' || c == '\n':
			end()
		case strings.ContainsRune("|;&<>)…", c):
			end()
			return list
		default:
			word, begun = word+string(c), true
		}
	}
	end()
	return list
}

// checkLine follows the verbs, and looks up every flag up to the command that is run.
func checkLine(root *cobra.Command, args []string, complain func(string)) {
	if slices.Contains(args, "VERB") {
		return
	}
	verb, rest, err := root.Find(args)
	if err != nil {
		complain(err.Error())
		return
	}
	if verb.Name() == "help" {
		if about, unknown, err := root.Find(rest); err != nil || len(unknown) > 0 && about.HasParent() {
			complain("no such topic")
		}
		return
	}
	for i := 0; i < len(rest) && rest[i] != "--"; i++ {
		word := rest[i]
		if !strings.HasPrefix(word, "-") || word == "-" {
			if verb.HasAvailableSubCommands() && !strings.Contains(verb.Use, " ") {
				complain(verb.CommandPath() + " has no verb " + word)
			}
			continue
		}
		name, _, whole := strings.Cut(strings.TrimLeft(word, "-"), "=")
		verb.InitDefaultHelpFlag()
		flag := verb.Flag(name)
		if !strings.HasPrefix(word, "--") {
			flag = verb.Flags().ShorthandLookup(name[:1])
			whole = whole || len(name) > 1
		}
		if flag == nil {
			complain(verb.CommandPath() + " has no flag " + word)
			return
		}
		if !whole && flag.NoOptDefVal == "" {
			i++
		}
	}
}

func makeTargets(t *testing.T) (list []string) {
	t.Helper()
	text, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):`).FindAllStringSubmatch(string(text), -1) {
		list = append(list, m[1])
	}
	return list
}

var testName = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Example|Fuzz)\w*)`)

// checkGo looks for the packages, and for tests and benchmarks that the patterns name.
func checkGo(args []string, complain func(string)) {
	var dirs, patterns []string
	for i, a := range args {
		if i > 0 && (args[i-1] == "-run" || args[i-1] == "-bench") {
			patterns = append(patterns, a)
		}
		if dir, below := strings.CutSuffix(a, "..."); strings.HasPrefix(a, "./") && !below {
			if _, err := os.Stat(filepath.Join("../..", dir)); err != nil {
				dir = dir[:max(1, strings.LastIndexByte(dir, '.'))] // go doc ./lock.Semaphore
			}
			dirs = append(dirs, dir)
		}
	}
	tests := ""
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
		if err != nil || len(files) == 0 {
			complain("no package " + dir)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				complain(err.Error())
			}
			tests += string(text)
		}
	}
	for _, p := range patterns {
		first, _, _ := strings.Cut(p, "/")
		named, err := regexp.Compile(first)
		if err != nil {
			complain(err.Error())
			return
		}
		nothing := p == "xxx" || p == "^$" // no test, but benchmarks
		if !nothing && len(dirs) > 0 && !slices.ContainsFunc(testName.FindAllStringSubmatch(tests, -1), func(m []string) bool { return named.MatchString(m[1]) }) {
			complain("no test is called " + p)
		}
	}
}
