package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// help prints what there is to know about a verb, on one screen: docs/command.md is made of the same text.
func help(cmd *cobra.Command, _ []string) { fmt.Fprint(cmd.OutOrStdout(), helpText(cmd)) }

// helpVerb is docent help.
func helpVerb() *cobra.Command {
	return &cobra.Command{
		Use:     "help [VERB...]",
		Short:   "tell about a verb, or list all",
		Long:    "Tells about a verb as VERB --help does, or about a topic; without VERB it lists\nall.",
		Example: "  docent help lock ls\n  docent help exit-codes",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			switch {
			case err != nil:
				return usageError(err)
			case len(rest) > 0 && about.HasParent():
				return usagef("%s has no verb %q", about.CommandPath(), rest[0])
			case len(rest) > 0:
				return needVerb(about, rest)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), helpText(about))
			return err
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) (names []string, _ cobra.ShellCompDirective) {
			if about, rest, err := cmd.Root().Find(args); err == nil && len(rest) == 0 {
				for _, v := range about.Commands() {
					if !v.Hidden {
						names = append(names, v.Name())
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
}

func helpText(cmd *cobra.Command) string {
	var b strings.Builder
	both := strings.Contains(cmd.Use, " ") && cmd.HasAvailableSubCommands() // a verb with another one below it, as lock ls
	if both || cmd.Runnable() && !cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "usage: %s\n\n", useLine(cmd))
	} else if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "usage: %s VERB [FLAGS]\n\n", cmd.CommandPath())
	}
	text := cmd.Long
	if text == "" {
		text = strings.ToUpper(cmd.Short[:1]) + cmd.Short[1:] + "."
	}
	fmt.Fprintln(&b, text)
	if cmd.HasAvailableSubCommands() && !both {
		helpVerbs(&b, cmd)
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExample:\n%s\n", strings.TrimRight(cmd.Example, "\n"))
	}
	helpFlags(&b, cmd)
	if both {
		for _, v := range cmd.Commands() {
			fmt.Fprintf(&b, "Beside it: %s --help, to %s\n", v.CommandPath(), v.Short)
		}
	} else if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n%s VERB --help tells about one.\n", cmd.CommandPath())
	}
	return b.String()
}

// useLine is the verb with its arguments: FLAGS stands where flags do.
func useLine(cmd *cobra.Command) string {
	line := cmd.CommandPath() + strings.TrimPrefix(cmd.Use, cmd.Name())
	if !strings.Contains(line, "[FLAGS]") && cmd.HasAvailableLocalFlags() {
		line = strings.Replace(line, cmd.CommandPath(), cmd.CommandPath()+" [FLAGS]", 1)
	}
	return line
}

func helpVerbs(w io.Writer, cmd *cobra.Command) {
	list := func(id string) {
		for _, v := range cmd.Commands() {
			if v.GroupID == id && (v.IsAvailableCommand() || v.IsAdditionalHelpTopicCommand()) {
				fmt.Fprintf(w, "  %-11s %s\n", v.Name(), v.Short)
			}
		}
	}
	if len(cmd.Groups()) == 0 {
		fmt.Fprintln(w)
		list("")
	}
	for _, g := range cmd.Groups() {
		if slices.ContainsFunc(cmd.Commands(), func(v *cobra.Command) bool { return v.GroupID == g.ID }) {
			fmt.Fprintf(w, "\n%s\n", g.Title)
			list(g.ID)
		}
	}
}

// helpFlags lists a verb's own flags, and names those that every verb of its kind has.
func helpFlags(w io.Writer, cmd *cobra.Command) {
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	own.SortFlags = false
	shared := false
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Hidden || f.Name == "help" || f.Name == "version" && !cmd.HasParent():
		case f.Annotations[sharedFlag] != nil:
			shared = true
		default:
			own.AddFlag(f)
		}
	})
	if own.HasFlags() {
		fmt.Fprint(w, "\nFlags:\n")
		own.VisitAll(func(f *pflag.Flag) { helpFlag(w, f) })
	}
	if shared {
		fmt.Fprintln(w, "\nHow it finds the ensemble (--dsn URL, ...): docent help connecting")
	}
}

// helpFlag prints a flag, what it is followed by, what it means, and its default unless that is no value.
func helpFlag(w io.Writer, f *pflag.Flag) {
	const column, width = 26, 80
	arg, usage := pflag.UnquoteUsage(f)
	name := "  --" + f.Name
	if arg != "" {
		name += " " + strings.ToUpper(arg)
	}
	if !slices.Contains([]string{"", "0", "0s", "false", "[]"}, f.DefValue) {
		usage += " (default " + f.DefValue + ")"
	}
	if len(name) > column-2 {
		fmt.Fprintln(w, name)
		name = ""
	}
	line := fmt.Sprintf("%-*s", column, name)
	for word := range strings.FieldsSeq(usage) {
		if len(line)+len(word) > width {
			fmt.Fprintln(w, strings.TrimRight(line, " "))
			line = strings.Repeat(" ", column)
		}
		line += word + " "
	}
	fmt.Fprintln(w, strings.TrimRight(line, " "))
}
