package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// callOf is a call of a verb that would do, but that no server is there: 69.
func callOf(cmd *cobra.Command) (args []string) {
	const noServer = "zk://127.0.0.1:1"
	args = strings.Fields(cmd.CommandPath())[1:]
	if cmd.Flags().Lookup("dsn") != nil {
		args = append(args, "--dsn", noServer, "--connect", "1ms")
	}
	for name, value := range map[string]string{"permits": "2", "count": "2", "key": "k", "load": "1x1", "restart": "true", "admin": "127.0.0.1:1"} {
		if cmd.Flags().Lookup(name) != nil {
			args = append(args, "--"+name+"="+value)
		}
	}
	if cmd.Name() == "once" {
		args = append(args, "--ttl", "1h")
	}
	for _, kind := range argumentsOf(cmd.Use) {
		switch strings.TrimSuffix(kind, "...") {
		case "ID":
			kind = "1"
		case "PEERHOST:PEERPORT":
			kind = "127.0.0.1:1"
		case "USER:PASSWORD":
			kind = "u:p"
		case "ENTRY":
			kind = "world:anyone:r"
		case "KEY=TEXT":
			kind = "a=b"
		case "SHELL":
			kind = "bash"
		case "VERB":
			continue
		default:
			kind = "x"
		}
		args = append(args, kind)
	}
	if strings.Contains(cmd.Use, "-- COMMAND") {
		args = append(args, "--", "true")
	}
	return args
}

// with puts flags where they still are docent's.
func with(args []string, more ...string) []string {
	if i := slices.Index(args, "--"); i >= 0 {
		return slices.Insert(slices.Clone(args), i, more...)
	}
	return append(slices.Clone(args), more...)
}

// everyVerb calls f for all that can be run.
func everyVerb(t *testing.T, f func(t *testing.T, cmd *cobra.Command)) {
	t.Helper()
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Runnable() && !cmd.Hidden && (!cmd.HasSubCommands() || strings.Contains(cmd.Use, "PATH")) && cmd.Name() != "serve" { // whose usage ends with 2
			t.Run(cmd.CommandPath(), func(t *testing.T) { f(t, cmd) })
		}
		for _, v := range cmd.Commands() {
			walk(v)
		}
	}
	walk(newRoot(env{getenv: func(string) string { return "" }}))
}

// badValues are values that no flag of a type takes; of some flags only the first ones are bad.
func badValues(f *pflag.Flag) []string {
	kind, _ := pflag.UnquoteUsage(f)
	switch f.Value.Type() {
	case "duration":
		return []string{"soon", "1", "9999999h", "-1s"}
	case "int", "int32":
		return []string{"x", "99999999999999999999", "-2"}
	case "uint64":
		return []string{"x", "99999999999999999999", "-1"}
	case "float64":
		return []string{"x", "-1", "NaN"}
	case "bool":
		return []string{"maybe"}
	}
	switch kind = strings.ToUpper(kind); {
	case kind == "PATH":
		return []string{"", "a//b", "//a", "a/../b", "a\x1bb", "a\xffb", "a\x00b"}
	case kind == "NAME":
		return []string{"", "a/b", "..", "a\x1bb"}
	case f.Name == "admin":
		return []string{"§", "h", "http://h:1", "h:0", "h:99999"}
	case f.Name == "format":
		return []string{"{{", "{{nosuch .}}"}
	case slices.Contains([]string{"on-lost", "scope", "on-conflict", "by", "signal", "acl", "dsn", "from", "auth", "meta", "export", "version", "load", "mix", "idle", "pid"}, f.Name):
		return []string{"§"}
	}
	return nil
}

// Every flag of every verb refuses what it cannot take: in one line that names the flag, with 64, and before anything is
// connected to.
func TestUsage_EveryFlag(t *testing.T) {
	everyVerb(t, func(t *testing.T, cmd *cobra.Command) {
		call := callOf(cmd)
		if name := cmd.Name(); name != "enter" && name != "restore" { // which begin with a process of their own, and with a file
			if r := docentAt(t, "", callOf(cmd)...); r.code == exitUsage {
				t.Fatalf("docent %q: %s", call, r.stderr)
			}
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			for _, value := range badValues(f) {
				if mayBe(cmd, f, value) {
					continue
				}
				r := docentAt(t, "", with(call, fmt.Sprintf("--%s=%s", f.Name, value))...)
				if r.code != exitUsage || !strings.Contains(r.stderr, "--"+f.Name) || strings.Count(r.stderr, "\n") != 1 {
					t.Errorf("--%s=%q: exit code %d, %q", f.Name, value, r.code, r.stderr)
				}
			}
		})
	})
}

// mayBe holds for what looks wrong and is not.
func mayBe(cmd *cobra.Command, f *pflag.Flag, value string) bool {
	switch value {
	case "9999999h": // servers bound what is told to them
		return f.Name != "ttl"
	case "-2": // what has been changed 2^31 times has such a version
		return strings.HasSuffix(f.Name, "version")
	}
	return false
}

// Every argument that is to name a node is judged alike.
func TestUsage_EveryName(t *testing.T) {
	everyVerb(t, func(t *testing.T, cmd *cobra.Command) {
		for i, kind := range argumentsOf(cmd.Use) {
			bad := []string{"", "a//b", "//a", "a/b//", "/a/..", "./../a", "a\x1bb", "a\xffb", "a\U0001f642b"}
			switch kind {
			case "PATH":
			case "SERVICE", "INSTANCE":
				bad = append(bad, "a/b", "/a", ".")
			default:
				continue
			}
			for _, name := range bad {
				call := callOf(cmd)
				call[slices.Index(call, "x")+i] = name
				r := docentAt(t, "", call...)
				if r.code != exitUsage || !strings.Contains(r.stderr, kind) || strings.Count(r.stderr, "\n") != 1 {
					t.Errorf("%s %q: exit code %d, %q", kind, name, r.code, r.stderr)
				}
			}
		}
	})
}
