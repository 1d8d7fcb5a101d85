package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/template"

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
	cmd.Flags().StringVar(&o.format, "format", "", "print each through a Go `TEMPLATE`, as '{{.Host}}:{{.Port}}'")
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
		return json.NewEncoder(w).Encode(v)
	case o.tmpl != nil:
		if err := o.tmpl.Execute(w, v); err != nil {
			return fmt.Errorf("--format: %w", err)
		}
		_, err := fmt.Fprintln(w)
		return err
	}
	return text(w)
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
