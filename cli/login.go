package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/internal/wallet"
)

type loginFlags struct {
	network   string
	importing string
	backup    string
}

func (c *command) login() *cobra.Command {
	var f loginFlags
	cmd := &cobra.Command{
		Use:     "login",
		GroupID: groupAccount,
		Short:   "Choose a network; create or import a wallet",
		Long: `Choose a network by its profile and create a wallet, or import one from its seed
phrase. The wallet file is encrypted with a passphrase. Anyone with the seed
phrase controls the account, so store it offline.`,
		Example: `  hippius login --network devnet.json
  hippius login --network devnet.json --import phrase.txt
  hippius login --backup phrase.txt        # save the seed phrase to a file`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.runLogin(cmd.Context(), f) },
	}
	cmd.Flags().StringVar(&f.network, "network", "", "the network's profile `FILE`, or the name of a profile in the networks folder")
	cmd.Flags().StringVar(&f.importing, "import", "", "import the wallet from the seed phrase in `FILE`; - prompts for it")
	cmd.Flags().StringVar(&f.backup, "backup", "", "write the seed phrase to a new `FILE` of mode 0600")
	must(cmd.MarkFlagFilename("network", "json"))
	must(cmd.MarkFlagFilename("import"))
	must(cmd.MarkFlagFilename("backup"))
	return cmd
}

func (c *command) runLogin(ctx context.Context, f loginFlags) error {
	if err := c.ensureHome(); err != nil {
		return err
	}
	if f.network != "" {
		if err := c.useNetwork(ctx, f.network); err != nil {
			return err
		}
	} else if _, err := os.Stat(c.path(profileFile)); errors.Is(err, fs.ErrNotExist) {
		return withHint(usagef("no network is chosen"), "give its profile: 'hippius login --network FILE'")
	}
	if err := c.useWallet(ctx, f); err != nil {
		return err
	}
	ucredit, err := c.printWhoami(ctx)
	if err != nil {
		return err
	}
	if c.env.Interactive && c.format == formatTable && ucredit == 0 {
		_, _ = fmt.Fprint(c.env.Err, "\nNext: buy credits with 'hippius billing buy 20', and add an SSH key with 'hippius key add'.\n")
	}
	return nil
}

// useNetwork copies a profile into the home folder after asking its nodes which chain they are of.
func (c *command) useNetwork(ctx context.Context, name string) error {
	n, err := c.findNetwork(name)
	if err != nil {
		return err
	}
	cl, err := client.New(client.Config{Network: n})
	if err != nil {
		return err
	}
	defer func() { _ = cl.Close() }()
	if err := cl.Check(ctx); err != nil {
		return withHint(fmt.Errorf("network %s: %w", n.Name, err), "check that the network is up and the profile is current")
	}
	c.warnOfFew(cl)
	data, err := n.Encode()
	if err != nil {
		return err
	}
	return c.writeFile(profileFile, data)
}

// warnOfFew says so if too few nodes answer for the network that one which lies is noticed.
func (c *command) warnOfFew(cl *client.Client) {
	nodes := "one chain node that is not yours: it"
	switch cl.Voters() {
	case 1:
	case 2:
		nodes = "two chain nodes: they"
	default:
		return
	}
	_, _ = fmt.Fprintf(c.env.Err, "Note: the profile has only %s could tell you anything about VMs, prices and keepers.\n"+
		"With three nodes of different operators a majority decides; a node of your own is marked \"trusted\": true.\n", nodes)
}

func (c *command) findNetwork(name string) (client.Network, error) {
	n, err := client.LoadNetwork(name)
	if err == nil || !errors.Is(err, fs.ErrNotExist) || strings.ContainsRune(name, filepath.Separator) {
		return n, err
	}
	dir := c.path("networks")
	n, err = client.LoadNetwork(filepath.Join(dir, filepath.Base(name)+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return n, withHint(fmt.Errorf("no network profile %q here or in %s", name, dir),
			"give the path of the network's profile file")
	}
	return n, err
}

func (c *command) useWallet(ctx context.Context, f loginFlags) error {
	file := c.walletFile()
	_, err := file.Address()
	have := err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if have && f.importing != "" {
		return withHint(fmt.Errorf("a wallet already exists in %s", file.Path),
			"save its seed phrase with 'hippius login --backup FILE', move the file away, then import")
	}
	if have {
		if f.backup == "" {
			return nil
		}
		w, err := c.openWallet(ctx)
		if err != nil {
			return err
		}
		return c.backup(w, f.backup)
	}
	w, err := c.makeWallet(ctx, f.importing)
	if err != nil {
		return err
	}
	pass, err := c.newPassphrase(ctx)
	if err != nil {
		return err
	}
	if err := file.Create(w, pass); err != nil {
		return fmt.Errorf("keep wallet: %w", err)
	}
	switch {
	case f.backup != "":
		return c.backup(w, f.backup)
	case f.importing == "" && c.env.Interactive:
		_, _ = fmt.Fprintf(c.env.Err, "\nYour seed phrase. Write it down now; without it the account cannot be recovered:\n\n%s\n", phraseLines(w.Phrase()))
	case f.importing == "":
		_, _ = fmt.Fprintln(c.env.Err, "A new wallet was made. Keep its seed phrase: 'hippius login --backup FILE'")
	}
	return nil
}

// phraseLines is a seed phrase as it fits a terminal and a sheet of paper.
func phraseLines(phrase string) string {
	var b strings.Builder
	for line := range slices.Chunk(strings.Fields(phrase), 6) {
		b.WriteString("  " + strings.Join(line, " ") + "\n")
	}
	return b.String()
}

func (c *command) makeWallet(ctx context.Context, importing string) (*wallet.Wallet, error) {
	switch importing {
	case "":
		phrase, err := wallet.NewPhrase(rand.Reader)
		if err != nil {
			return nil, err
		}
		return wallet.FromPhrase(phrase)
	case "-":
		phrase, err := c.readSecret(ctx, "Seed phrase: ")
		if err != nil {
			return nil, err
		}
		return wallet.FromPhrase(phrase)
	default:
		phrase, err := readPhrase(importing)
		if err != nil {
			return nil, err
		}
		return wallet.FromPhrase(phrase)
	}
}

// backup writes the seed phrase to a file that was not there.
func (c *command) backup(w *wallet.Wallet, path string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write seed phrase: %w", err)
	}
	_, err = fmt.Fprintln(file, w.Phrase())
	err = errors.Join(err, file.Sync(), file.Close())
	if err != nil {
		return fmt.Errorf("write seed phrase to %s: %w", path, err)
	}
	_, _ = fmt.Fprintf(c.env.Err, "Seed phrase written to %s. Anyone who reads it controls the account.\n", path)
	return nil
}

func (c *command) whoami() *cobra.Command {
	return &cobra.Command{
		Use:     "whoami",
		GroupID: groupAccount,
		Short:   "Show the account and the network",
		Example: "  hippius whoami\n  hippius whoami -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := c.printWhoami(cmd.Context())
			return err
		},
	}
}

type whoamiView struct {
	Address string `json:"address"`
	Network string `json:"network"`
	ChainID string `json:"chain_id"`
	Ucredit uint64 `json:"balance_ucredit"`
}

// printWhoami also gives the balance.
func (c *command) printWhoami(ctx context.Context) (ucredit uint64, err error) {
	s, err := c.open()
	if err != nil {
		return 0, err
	}
	defer s.close()
	balance, err := s.chain.Balance(ctx, s.address)
	if err != nil {
		return 0, err
	}
	v := whoamiView{
		Address: s.address, Network: s.chain.Network().Name, ChainID: s.chain.ChainID(), Ucredit: balance.Ucredit,
	}
	return v.Ucredit, c.print(v, func(w *tableWriter) {
		w.field("Account", v.Address)
		w.field("Network", v.Network+" ("+v.ChainID+")")
		w.field("Balance", credit.Format(v.Ucredit)+" credits")
	})
}
