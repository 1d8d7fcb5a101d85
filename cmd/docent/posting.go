package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// errPairs is what a posting in words must look like.
var errPairs = errors.New("want KEY=TEXT or KEY:=JSON")

// parseValue reads what a posting, or a member, says about itself: words KEY=TEXT and KEY:=JSON, which make an object, or
// a single word that is JSON itself, @FILE or - for stdin. TEXT that is a plain whole number becomes a number, as ports
// are in Go programs that read it; KEY:="8080" keeps the text.
func parseValue(words []string, stdin io.Reader) (json.RawMessage, error) {
	if len(words) == 1 && !strings.Contains(words[0], "=") || len(words) == 1 && strings.ContainsAny(words[0][:1], "{[\"@") {
		return parseWhole(words[0], stdin)
	}
	return parsePairs(words)
}

func parseWhole(word string, stdin io.Reader) (json.RawMessage, error) {
	text, err := contents(word, stdin)
	if err != nil {
		return nil, err
	}
	if !json.Valid(text) {
		return nil, fmt.Errorf("%q: want KEY=TEXT, KEY:=JSON, or one JSON value", word)
	}
	return compactJSON(text), nil
}

func compactJSON(text []byte) json.RawMessage {
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return text // not reached: it is valid
	}
	return b.Bytes()
}

// contents returns what a word stands for: @FILE and - for what is there, all else for itself.
func contents(word string, stdin io.Reader) ([]byte, error) {
	switch {
	case word == "-":
		return io.ReadAll(stdin)
	case strings.HasPrefix(word, "@"):
		return os.ReadFile(word[1:])
	}
	return []byte(word), nil
}

// parsePairs makes an object of words KEY=TEXT and KEY:=JSON.
func parsePairs(words []string) (json.RawMessage, error) {
	fields := make(map[string]json.RawMessage, len(words))
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		key, isJSON := strings.CutSuffix(key, ":")
		switch _, twice := fields[key]; {
		case !ok || key == "":
			return nil, fmt.Errorf("%q: %w", word, errPairs)
		case twice:
			return nil, fmt.Errorf("%q is there twice", key)
		case isJSON && !json.Valid([]byte(value)):
			return nil, fmt.Errorf("%q: what is behind := is no JSON", word)
		case isJSON, isWhole(value):
			fields[key] = compactJSON([]byte(value))
		default:
			text, err := json.Marshal(value)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", word, err)
			}
			fields[key] = text
		}
	}
	return json.Marshal(fields)
}

// isWhole holds for whole numbers as every reader would write them, so that nobody gets another text back.
func isWhole(s string) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	const exact = 1 << 53 // beyond, readers that know only floating point would round
	return err == nil && -exact <= n && n <= exact && strconv.FormatInt(n, 10) == s
}

// field is a name and what it is set to.
type field struct{ key, text string }

// fieldsOf are the fields of a JSON object, in order: text as it is, all else as JSON. What is no object has one field.
func fieldsOf(value json.RawMessage) []field {
	var object map[string]json.RawMessage
	if json.Unmarshal(value, &object) != nil || object == nil {
		return []field{{"value", scalar(value)}}
	}
	fields := make([]field, 0, len(object))
	for _, key := range sortedKeys(object) {
		fields = append(fields, field{key, scalar(object[key])})
	}
	return fields
}

func scalar(value json.RawMessage) string {
	var text *string
	if err := json.Unmarshal(value, &text); err != nil {
		return string(value)
	}
	if text == nil {
		return "" // null
	}
	return *text
}

// words are the fields on one line, for people.
func words(fields []field) string {
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s=%s", legible(f.key), legible(f.text))
	}
	return b.String()
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// exporter is the flag --export: it prints fields as assignments for the eval of sh. The fields are other people's, so
// the names that would not do are refused, and every text is quoted.
type exporter struct{ prefix string }

func addExport(cmd *cobra.Command) *exporter {
	x := &exporter{}
	cmd.Flags().StringVar(&x.prefix, "export", "", "print assignments to variables that begin with `PREFIX`")
	return x
}

// checkWith refuses a prefix that is no name, and none: whoever posts could then set PATH.
func (x *exporter) checkWith(cmd *cobra.Command, out *output) error {
	switch {
	case !cmd.Flags().Changed("export"):
		return nil
	case !identifier.MatchString(x.prefix):
		return usagef("--export %q: want the beginning of a variable's name, as MASTER_", x.prefix)
	case out.json || out.format != "":
		return usagef("--export excludes --json and --format")
	}
	return nil
}

// print prints all fields, or none of them if one is refused.
func (x *exporter) print(w io.Writer, fields []field) error {
	var b strings.Builder
	seen := make(map[string]string)
	for _, f := range fields {
		name := x.prefix + strings.ToUpper(f.key)
		switch other, twice := seen[name]; {
		case !identifier.MatchString(f.key):
			return fmt.Errorf("--export: %q cannot be part of a variable's name", f.key)
		case twice:
			return fmt.Errorf("--export: %q and %q are one variable", other, f.key)
		case strings.ContainsRune(f.text, 0):
			return fmt.Errorf("--export: %q holds a zero byte, which no variable can", f.key)
		}
		seen[name] = f.key
		fmt.Fprintf(&b, "%s=%s\n", name, shellQuote(f.text))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// failed makes the eval of what was printed fail with the verb's exit code: else a script would go on without its
// variables, for the exit code of a command within eval "$(…)" is lost.
func (x *exporter) failed(w io.Writer, err error) error {
	if x.prefix != "" && err != nil {
		fmt.Fprintf(w, "(exit %d)\n", exitCode(err))
	}
	return err
}

// shellQuote returns s as one word of sh, whatever is in it.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
