package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/docent-io/docent/internal/zpath"
)

// checkNames refuses what cannot name a node before anything is connected to, and alike for all verbs: it goes by what
// their usage calls an argument, and what follows a flag. A shell's paths are steps from where it stands, and not checked.
func checkNames(cmd *cobra.Command, args []string) (err error) {
	runs := strings.Contains(cmd.Use, "-- COMMAND") // ./ls is ls there
	check := func(kind, what, text string) {
		if runs {
			text = strings.TrimPrefix(text, "./")
		}
		if err == nil {
			err = checkName(strings.ToUpper(kind), what, text)
		}
	}
	for i, kind := range argumentsOf(cmd.Use) {
		if i < len(args) {
			check(kind, kind, args[i])
		}
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		kind, _ := pflag.UnquoteUsage(f)
		check(kind, "--"+f.Name, f.Value.String())
	})
	return err
}

// argumentsOf returns what a usage line calls the arguments: those of "sem --permits N PATH -- COMMAND" are PATH alone.
func argumentsOf(use string) (names []string) {
	words := strings.Fields(use)[1:]
	for i := 0; i < len(words); i++ {
		switch word := strings.Trim(words[i], "[]"); {
		case word == "--":
			return names
		case strings.HasPrefix(word, "--"):
			i++ // and its value
		default:
			names = append(names, word)
		}
	}
	return names
}

// checkName refuses what is no name of its kind: PATH is a node's; SERVICE, INSTANCE and NAME are single names in one.
func checkName(kind, what, text string) error {
	switch kind {
	case "PATH", "SERVICE", "INSTANCE", "NAME":
	default:
		return nil
	}
	path := "/" + strings.TrimPrefix(text, "/")
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	switch err := zpath.Validate(path); {
	case text == "":
		return usagef("%s is empty: is a variable in it not set?", what)
	case strings.Contains(path, "//"):
		return usagef("%s: path %q has an empty name: is a variable in it not set?", what, text)
	case kind != "PATH" && strings.Contains(text, "/"):
		return usagef("%s %q: want one name, without /", what, text)
	case err != nil:
		return usagef("%s: %w", what, err)
	}
	return nil
}
