package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/node"
)

// maxDocument bounds a genesis document or description, in bytes.
const maxDocument = 1 << 30

func genesisCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "genesis",
		Short: "Build, check and install the document a network starts from",
	}
	cmd.AddCommand(genesisBuildCommand(), genesisCheckCommand(), genesisInstallCommand())
	return cmd
}

func genesisBuildCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "build DESCRIPTION",
		Short: "Build a genesis document from a description of the network in JSON",
		Long: `Build a genesis document from a description of the network in JSON: chain_id,
time, validators, accounts, images, keepers and, if they are not to be the
defaults, plans, apps and overrides of the modules' parameters. All validators
must start from the same document.`,
		Args:    cobra.ExactArgs(1),
		Example: "  hippiusd genesis build network.json --out genesis.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			bz, err := read(args[0])
			if err != nil {
				return err
			}
			var g app.Genesis
			dec := json.NewDecoder(bytes.NewReader(bz))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&g); err != nil {
				return fmt.Errorf("description %s: %w", args[0], err)
			}
			doc, err := g.Build()
			if err != nil {
				return err
			}
			doc = append(doc, '\n')
			if out == "" {
				_, err = cmd.OutOrStdout().Write(doc)
				return err
			}
			return os.WriteFile(out, doc, 0o600)
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "file to write; standard output if empty")
	return cmd
}

func genesisCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "check DOCUMENT",
		Short:   "Check that a network can start from a genesis document",
		Args:    cobra.ExactArgs(1),
		Example: "  hippiusd genesis check genesis.json",
		RunE: func(cmd *cobra.Command, args []string) error {
			bz, err := read(args[0])
			if err != nil {
				return err
			}
			hash, err := app.CheckGenesis(bz)
			if err != nil {
				return err
			}
			return writeJSON(cmd.OutOrStdout(), map[string]string{"sha256": hash})
		},
	}
}

func genesisInstallCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "install DOCUMENT",
		Short:   "Check a genesis document and put it into the node's home",
		Args:    cobra.ExactArgs(1),
		Example: "  hippiusd genesis install genesis.json --home /var/lib/hippiusd",
		RunE: func(cmd *cobra.Command, args []string) error {
			bz, err := read(args[0])
			if err != nil {
				return err
			}
			if _, err := app.CheckGenesis(bz); err != nil {
				return err
			}
			return node.WriteGenesis(home(cmd), bz)
		},
	}
}

func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxDocument {
		return nil, fmt.Errorf("%s has %d bytes; at most %d", path, info.Size(), maxDocument)
	}
	return os.ReadFile(path)
}
