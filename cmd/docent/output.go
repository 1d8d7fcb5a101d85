package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/template"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// output is how a verb prints what it found: as text for people, as JSON, or through a template.
type output struct {
	json   bool
	format string
	tmpl   *template.Template
}

// addOutput gives a verb --json and --format. The fields are those of its JSON.
func addOutput(cmd *cobra.Command) *output {
	o := &output{}
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	cmd.Flags().StringVar(&o.format, "format", "", "print each through a Go `TEMPLATE`, as '{{.Path}}'")
	return o
}

// check reads the template. A verb calls it before it connects.
func (o *output) check() (err error) {
	if o.format == "" {
		return nil
	}
	if o.json {
		return usagef("--json and --format exclude each other")
	}
	o.tmpl, err = template.New("--format").Option("missingkey=error").Parse(o.format)
	if err != nil {
		return usagef("--format: %w", err)
	}
	return nil
}

// one prints one thing: with text unless a flag asks for something else. Those of a stream are printed one by one.
func (o *output) one(w io.Writer, v any, text func(io.Writer) error) error {
	switch {
	case o.json:
		return writeJSON(w, v)
	case o.tmpl != nil:
		return o.template(w, v)
	}
	return text(w)
}

// template prints one thing through the template: as it is for programs, and made printable for a terminal.
func (o *output) template(w io.Writer, v any) error {
	var b bytes.Buffer
	if err := o.tmpl.Execute(&b, v); err != nil {
		return fmt.Errorf("--format: %w", err)
	}
	line := b.String()
	if _, ok := terminal(w); ok {
		line = printableText(line)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}

// writeJSON prints v as one line of JSON. JSON escapes most control characters itself, but lets through DEL and those of
// 0x80 to 0x9f, which some terminals obey; they can be nowhere else than in strings.
func writeJSON(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	line := make([]byte, 0, len(text)+1)
	for _, r := range string(text) {
		if 0x7f <= r && r <= 0x9f {
			line = fmt.Appendf(line, `\u%04x`, r)
		} else {
			line = utf8.AppendRune(line, r)
		}
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// printable returns s as it may be shown to people: names and data of nodes are other people's, and must not command the
// terminal, break the line or turn the text around. What cannot be printed is shown as \x1b or \u202e.
func printable(s string) string { return escape(s, "") }

// printableText is printable for text of several lines, with tabs.
func printableText(s string) string { return escape(s, "\n\t") }

func escape(s, keep string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case unicode.IsPrint(r) && (r != utf8.RuneError || n > 1), n == 1 && strings.IndexByte(keep, s[i]) >= 0:
			b.WriteString(s[i : i+n])
		case n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += n
	}
	return b.String()
}

// all prints a list: as one JSON array, each through the template, or all with text.
func all[T any](o *output, w io.Writer, list []T, text func(io.Writer) error) error {
	if o.json && list == nil {
		list = []T{}
	}
	if o.tmpl == nil {
		return o.one(w, list, text)
	}
	for _, v := range list {
		if err := o.one(w, v, nil); err != nil {
			return err
		}
	}
	return nil
}
