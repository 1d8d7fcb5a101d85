package main

import (
	"errors"
	"strings"
)

// splitWords splits a line as shells do: words end at blanks, and '...', "..." and \ keep what they would end at. In
// "...", \ stands before " and \ only. A line that ends within quotes is an error.
func splitWords(line string) ([]string, error) {
	words, _, err := scanWords(line)
	return words, err
}

// scanWords is splitWords that also tells where the last word begins, behind the line if that ends in a blank. What is
// wrong with the line does not keep it from returning the words so far: the last may be unfinished.
func scanWords(line string) (words []string, last int, err error) {
	var word strings.Builder
	in, quote := false, byte(0)
	begin := func(i int) {
		if !in {
			in, last = true, i
		}
	}
	for i := 0; i < len(line); i++ {
		b := line[i]
		switch {
		case quote == '\'' && b != '\'', quote == '"' && b != '"' && b != '\\':
			word.WriteByte(b)
		case quote != 0 && b == quote:
			quote = 0
		case b == '\\':
			begin(i)
			if i++; i == len(line) {
				err = errors.New(`nothing behind \`)
				break
			}
			if quote == '"' && line[i] != '"' && line[i] != '\\' {
				word.WriteByte('\\')
			}
			word.WriteByte(line[i])
		case b == '\'' || b == '"':
			begin(i)
			quote = b
		case b == ' ' || b == '\t':
			if in {
				words = append(words, word.String())
				word.Reset()
				in = false
			}
		default:
			begin(i)
			word.WriteByte(b)
		}
	}
	if quote != 0 {
		err = errors.New("a quote is not closed")
	}
	if in {
		return append(words, word.String()), last, err
	}
	return words, len(line), err
}

// quoteWord writes a word so that splitWords reads it as one.
func quoteWord(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t'\"\\#") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
