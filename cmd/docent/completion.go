package main

import (
	"io"

	"github.com/spf13/cobra"
)

func completionVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "print what makes a shell complete verbs, flags and paths",
		Long: `Prints the script with which bash, zsh, fish or powershell complete docent's
verbs and flags, and the paths of the znodes at DOCENT_DSN. A shell reads it
once, where it is set up.`,
		Example: `  source <(docent completion bash)                  in ~/.bashrc
  source <(docent completion zsh)                   in ~/.zshrc, after compinit
  docent completion fish | source                   in config.fish
  docent completion powershell | Out-String | Invoke-Expression`,
		Args:      exactArgs("SHELL"),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, w := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				if _, err := io.WriteString(w, bashWords); err != nil {
					return err
				}
				return root.GenBashCompletionV2(w, true)
			case "zsh":
				return root.GenZshCompletion(w)
			case "fish":
				return root.GenFishCompletion(w, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(w)
			}
			return usagef("%q: want bash, zsh, fish or powershell", args[0])
		},
	}
}

// bashWords stands in for what the script needs of the package bash-completion, which compute nodes often lack: the words
// of the line so far. Bash splits words at colons and equals signs, too; there a path or a flag begins anew.
const bashWords = `if ! declare -F _init_completion _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref()
    {
        cur=${COMP_WORDS[COMP_CWORD]}
        prev=${COMP_WORDS[COMP_CWORD-1]}
        words=("${COMP_WORDS[@]}")
        cword=$COMP_CWORD
    }
fi
if ! declare -F __ltrim_colon_completions >/dev/null; then
    __ltrim_colon_completions() { :; }
fi
`
