package cli

import (
	"fmt"

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
		Short: "Rent virtual machines from independent strangers",
		Long: `Rent real virtual machines from independent strangers: created on chain, paid by
the second in credits, reached by SSH over an encrypted mesh.`,
		Example: `  hippius login --network devnet.json
  hippius billing buy 20
  hippius key add laptop ~/.ssh/id_ed25519.pub
  hippius vm create web-1 --plan spark --image debian-12 --wait
  hippius ssh web-1`,
		Version:       env.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(_ *cobra.Command, _ []string) error {
			f, err := parseFormat(output)
			c.format = f
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
		&cobra.Group{ID: groupMachines, Title: "Machines:"},
		&cobra.Group{ID: groupCatalogue, Title: "Catalogue:"},
		&cobra.Group{ID: groupAccount, Title: "Account:"},
	)
	root.AddCommand(
		c.vm(), c.ssh(), c.sshProxy(), c.meshServe(),
		c.plan(), c.image(), c.app(), c.miner(),
		c.login(), c.whoami(), c.key(), c.billing(),
	)
	return root
}

// Groups of commands in the help.
const (
	groupMachines  = "machines"
	groupCatalogue = "catalogue"
	groupAccount   = "account"
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
