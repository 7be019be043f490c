package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// helpWidth is how wide help may be, in characters.
const helpWidth = 100

// printHelp is what --help shows: what it does, how to write it, examples, what there is below, flags.
func printHelp(w io.Writer, cmd *cobra.Command) {
	var b strings.Builder
	text := cmd.Long
	if text == "" {
		text = cmd.Short + "."
	}
	fmt.Fprintf(&b, "%s\n\nUsage:\n", strings.TrimSpace(text))
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "  %s COMMAND\n", cmd.CommandPath())
	}
	if cmd.Annotations[onlyGroup] == "" {
		fmt.Fprintf(&b, "  %s\n", cmd.UseLine())
	}
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(&b, "\nAliases: %s\n", strings.Join(cmd.Aliases, ", "))
	}
	if cmd.Example != "" {
		fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	}
	helpCommands(&b, cmd)
	helpFlags(&b, "Flags", cmd.LocalFlags())
	helpFlags(&b, "Flags of every command", cmd.InheritedFlags())
	_, _ = io.WriteString(w, b.String()) // an error cannot be reported
}

func helpCommands(b *strings.Builder, cmd *cobra.Command) {
	subs := slices.DeleteFunc(slices.Clone(cmd.Commands()), func(sub *cobra.Command) bool { return !sub.IsAvailableCommand() })
	width := 0
	for _, sub := range subs {
		width = max(width, len(sub.Name()))
	}
	group := func(title, id string) {
		first := true
		for _, sub := range subs {
			if sub.GroupID != id {
				continue
			}
			if first {
				fmt.Fprintf(b, "\n%s\n", title)
				first = false
			}
			fmt.Fprintf(b, "  %-*s  %s\n", width, sub.Name(), sub.Short)
		}
	}
	for _, g := range cmd.Groups() {
		group(g.Title, g.ID)
	}
	group("Commands:", "")
}

func helpFlags(b *strings.Builder, title string, flags interface {
	HasAvailableFlags() bool
	FlagUsagesWrapped(cols int) string
},
) {
	if flags.HasAvailableFlags() {
		fmt.Fprintf(b, "\n%s:\n%s\n", title, strings.TrimRight(flags.FlagUsagesWrapped(helpWidth), "\n "))
	}
}

// completion prints the completion script for a shell.
func (c *command) completion() *cobra.Command {
	return &cobra.Command{
		Use: "completion SHELL", GroupID: groupTool, Short: "Print a shell completion script",
		Long: "Print a completion script for commands, flags, VMs, plans, images and keys.\nSHELL is bash, zsh, fish or powershell.",
		Example: `  source <(hippius completion bash)                     # for this session
  hippius completion bash > ~/.local/share/bash-completion/completions/hippius
  hippius completion zsh > "${fpath[1]}/_hippius"
  hippius completion fish > ~/.config/fish/completions/hippius.fish`,
		Args: cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs), ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			return map[string]func() error{
				"bash":       func() error { return root.GenBashCompletionV2(c.env.Out, true) },
				"zsh":        func() error { return root.GenZshCompletion(c.env.Out) },
				"fish":       func() error { return root.GenFishCompletion(c.env.Out, true) },
				"powershell": func() error { return root.GenPowerShellCompletionWithDesc(c.env.Out) },
			}[args[0]]()
		},
	}
}
