package main

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// emptyAssignment is a name that is set to nothing within a script: tok=$DOCENT_TOKEN, in double quotes, comes to that.
var emptyAssignment = regexp.MustCompile(`(^|[\s;&|("'])(-{0,2}[A-Za-z_][A-Za-z0-9_-]*)=(["']{2})?([\s;&|)]|$)`)

// emptyExpansion tells what in a command line looks as if the shell before us had expanded a variable that is set for the
// child only, and was empty there; or as if nobody were to expand it.
func emptyExpansion(argv []string, getenv func(string) string) string {
	const hint = "DOCENT_TOKEN and its like are set for the command only: put them in single quotes, for a shell of its own (sh -c '...')"
	shell := isShell(argv)
	for i, arg := range argv[1:] {
		for _, name := range onlyChild {
			if !shell && (strings.Contains(arg, "$"+name) || strings.Contains(arg, "${"+name)) {
				return fmt.Sprintf("%q: there is no shell to expand it; %s", arg, hint)
			}
		}
		if strings.Contains(arg, "DOCENT_") {
			return "" // who writes one in quotes knows
		}
		switch {
		case arg == "":
			return fmt.Sprintf("argument %d of the command is empty; %s", i+1, hint)
		case shell || strings.HasSuffix(arg, "="):
			if m := emptyAssignment.FindStringSubmatch(arg); m != nil && m[2] != "IFS" {
				return fmt.Sprintf("%q is set to nothing; %s", m[2], hint)
			}
		}
	}
	return ""
}

// isShell tells whether a command comes to a script that is given to a shell: sh -c, if need be behind env, srun and others.
func isShell(argv []string) bool {
	shells := []string{"sh", "bash", "dash", "ash", "ksh", "zsh", "ssh", "eval"}
	return slices.ContainsFunc(argv, func(arg string) bool { return slices.Contains(shells, path.Base(arg)) })
}
