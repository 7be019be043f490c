package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// command is what every subcommand is made from: the environment and the global flags.
type command struct {
	env            Env
	format         format
	passphraseFile string
}

// New builds the command tree.
func New(env Env) *cobra.Command {
	c := &command{env: env, format: formatTable}
	var output string
	root := &cobra.Command{
		Use:   "hippius",
		Short: "Rent virtual machines from independent operators",
		Long: `Rent virtual machines from independent operators. VMs are created on chain, paid
by the second in credits, and reached by SSH over an encrypted mesh.`,
		Example: `  hippius login --network devnet.json
  hippius billing buy 20
  hippius key add laptop ~/.ssh/id_ed25519.pub
  hippius vm create web-1 --plan spark --image debian-12 --wait
  hippius ssh web-1`,
		Version:       env.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(_ *cobra.Command, _ []string) (err error) {
			// Programs started for us may work elsewhere.
			if c.env.Home, err = filepath.Abs(c.env.Home); err != nil {
				return fmt.Errorf("find the settings folder: %w", err)
			}
			c.format, err = parseFormat(output)
			return err
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return withHint(usageError{err}, "see '%s --help'", cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.StringVarP(&output, "output", "o", string(formatTable), "print `FORMAT`: table, json or yaml")
	flags.StringVar(&c.env.Home, "home", env.Home, "keep wallet and settings in `DIR`")
	flags.StringVar(&c.passphraseFile, "passphrase-file", env.Getenv("HIPPIUS_PASSPHRASE_FILE"),
		"read the wallet's passphrase from the first line of `FILE`")
	must(root.RegisterFlagCompletionFunc("output", fixed("table", "json", "yaml")))
	must(root.MarkPersistentFlagDirname("home"))
	must(root.MarkPersistentFlagFilename("passphrase-file"))

	root.AddGroup(
		&cobra.Group{ID: groupVMs, Title: "VMs:"},
		&cobra.Group{ID: groupCatalogue, Title: "Catalogue:"},
		&cobra.Group{ID: groupAccount, Title: "Account:"},
		&cobra.Group{ID: groupTool, Title: "This tool:"},
	)
	root.AddCommand(
		c.vm(), c.ssh(), c.sshConfig(), c.sshProxy(), c.meshServe(),
		c.plan(), c.image(), c.app(), c.miner(),
		c.login(), c.whoami(), c.key(), c.billing(),
		c.completion(),
	)
	root.CompletionOptions.DisableDefaultCmd = true
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.SetHelpCommandGroupID(groupTool)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { printHelp(cmd.OutOrStdout(), cmd) })
	root.SetUsageFunc(func(cmd *cobra.Command) error { printHelp(cmd.OutOrStderr(), cmd); return nil })
	strict(root)
	return root
}

// strict makes every wrong call a usage error with a hint, including an unknown
// subcommand, which would otherwise only show the help.
func strict(cmd *cobra.Command) {
	accepted := cmd.Args
	if cmd.RunE == nil && cmd.Run == nil {
		accepted = cobra.NoArgs
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		cmd.Annotations = map[string]string{onlyGroup: "yes"}
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if accepted == nil || accepted(cmd, args) == nil {
			return nil
		}
		if cmd.HasSubCommands() {
			return withHint(usagef("%s: there is no command %q", cmd.CommandPath(), args[0]), "%s", commandHint(cmd, args[0]))
		}
		return withHint(usagef("%s: %s", cmd.CommandPath(), wrongArgs(cmd, args)), "usage: %s", cmd.UseLine())
	}
	for _, sub := range cmd.Commands() {
		strict(sub)
	}
}

func commandHint(cmd *cobra.Command, word string) string {
	for distance := range 3 { // the nearest, not the first in the alphabet
		cmd.SuggestionsMinimumDistance = distance
		if near := cmd.SuggestionsFor(word); len(near) > 0 {
			return fmt.Sprintf("did you mean '%s %s'?", cmd.CommandPath(), near[0])
		}
	}
	return fmt.Sprintf("see '%s --help'", cmd.CommandPath())
}

// wrongArgs says why a command does not accept its arguments.
func wrongArgs(cmd *cobra.Command, args []string) string {
	count := 0 // of those that have to be there
	for _, word := range strings.Fields(cmd.Use)[1:] {
		if !strings.HasPrefix(word, "[") {
			count++
		}
	}
	switch {
	case len(args) == 0:
		return "arguments are missing"
	case len(args) == count:
		return fmt.Sprintf("unsupported %q; accepted are %s", args[0], strings.Join(cmd.ValidArgs, ", "))
	case count == 1:
		return fmt.Sprintf("accepts 1 argument, received %d", len(args))
	default:
		return fmt.Sprintf("accepts %d arguments, received %d", count, len(args))
	}
}

// Groups of commands in the help.
const (
	groupVMs       = "vms"
	groupCatalogue = "catalogue"
	groupAccount   = "account"
	groupTool      = "tool"
	// onlyGroup marks a command that does nothing itself.
	onlyGroup = "only_group"
)

// must stops a build of the command tree that is wrong in itself, such as a completion for a flag that is not there.
func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("command tree: %v", err))
	}
}

// fixed completes from a fixed list.
func fixed(words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}
