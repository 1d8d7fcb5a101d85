package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// listedAtMost is how many candidates are shown.
const listedAtMost = 100

// complete completes the word before the cursor. If it cannot be made any longer, the candidates are shown on w.
func (s *shell) complete(ctx context.Context, w io.Writer, line string, pos int) (string, int, bool) {
	words, last, err := scanWords(line[:pos])
	word := ""
	if last < pos {
		word, words = words[len(words)-1], words[:len(words)-1]
	}
	if err != nil && last == pos {
		return line, pos, true
	}
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	found := s.candidates(ctx, words, word)
	if len(found) == 0 {
		return line, pos, true
	}
	common := found[0].text
	for _, c := range found[1:] {
		common = commonPrefix(common, c.text)
	}
	text := quoteWord(common)
	switch {
	case len(found) == 1:
		text = s.finish(ctx, found[0])
	case common == word:
		showCandidates(w, found)
		return line, pos, true
	}
	return line[:last] + text + line[pos:], last + len(text), true
}

// candidate is what a word may become.
type candidate struct {
	text string
	path bool // of a node
}

// candidates returns what a word may become behind other words.
func (s *shell) candidates(ctx context.Context, words []string, word string) (found []candidate) {
	add := func(text string, path bool) {
		if strings.HasPrefix(text, word) {
			found = append(found, candidate{text, path})
		}
	}
	root := s.verbs(io.Discard)
	cmd, args, err := root.Find(words)
	if err != nil {
		return nil
	}
	switch {
	case strings.HasPrefix(word, "-"):
		cmd.InitDefaultHelpFlag()
		cmd.Flags().VisitAll(func(f *pflag.Flag) { add("--"+f.Name, false) })
	case cmd.HasSubCommands() && len(args) == 0:
		for _, v := range cmd.Commands() {
			add(v.Name(), false)
		}
	case cmd.Name() == "help":
		for _, v := range root.Commands() {
			add(v.Name(), false)
		}
	case cmd.ValidArgsFunction != nil && !slices.ContainsFunc(args, func(a string) bool { return !strings.HasPrefix(a, "-") }):
		cmd.SetContext(ctx)
		paths, _ := cmd.ValidArgsFunction(cmd, nil, word)
		for _, p := range paths {
			add(p, true)
		}
	}
	slices.SortFunc(found, func(a, b candidate) int { return strings.Compare(a.text, b.text) })
	return found
}

// finish returns the only candidate, with what comes next: a slash if there are nodes below, else a blank.
func (s *shell) finish(ctx context.Context, c candidate) string {
	if c.path {
		if stat, ok, err := s.at.c.Exists(ctx, s.at.path(c.text)); err == nil && ok && stat.NumChildren > 0 {
			return quoteWord(c.text + "/")
		}
	}
	return quoteWord(c.text) + " "
}

func showCandidates(w io.Writer, found []candidate) {
	shown := found[:min(len(found), listedAtMost)]
	texts := make([]string, len(shown))
	for i, c := range shown {
		texts[i] = printable(c.text[1+strings.LastIndexByte(c.text, '/'):])
		if !c.path {
			texts[i] = c.text
		}
	}
	line := strings.Join(texts, "  ")
	if more := len(found) - len(shown); more > 0 {
		line += fmt.Sprintf("  and %d more", more)
	}
	fmt.Fprintln(w, line)
}

// commonPrefix returns how both begin, in whole characters.
func commonPrefix(a, b string) string {
	for i, r := range a {
		if !strings.HasPrefix(b[min(i, len(b)):], string(r)) {
			return a[:i]
		}
	}
	return a
}
