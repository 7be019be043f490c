// Package command is hippiusd's command line: it makes a node's home, builds a
// network's genesis, and runs the node.
package command

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/node"
	"github.com/hippius/compute/internal/observe"
)

// Root is the command of a program of some version.
func Root(version string) *cobra.Command {
	root := &cobra.Command{
		Use:           app.Name,
		Short:         "A node of the Hippius Compute chain",
		SilenceUsage:  true,
		SilenceErrors: true,
		Example: `  hippiusd init --home ~/.hippiusd
  hippiusd genesis build network.json --out genesis.json
  hippiusd genesis install genesis.json --home ~/.hippiusd
  hippiusd start --home ~/.hippiusd`,
	}
	root.PersistentFlags().String("home", defaultHome(), "folder with the node's keys, settings and data")
	root.AddCommand(initCommand(), startCommand(version), showCommand(), genesisCommand(), upgradeCommand(), trustCommand(), exportCommand(), versionCommand(version))
	return root
}

func defaultHome() string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ".hippiusd"
	}
	return filepath.Join(home, ".hippiusd")
}

func home(cmd *cobra.Command) string {
	h, err := cmd.Flags().GetString("home")
	if err != nil { // the flag is the root's own
		return defaultHome()
	}
	return h
}

func initCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "init",
		Short:   "Make the home folder with new keys and settings; keys that are there stay",
		Args:    cobra.NoArgs,
		Example: "  hippiusd init --home /var/lib/hippiusd",
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, err := node.Init(home(cmd))
			if err != nil {
				return err
			}
			return show(cmd.OutOrStdout(), info)
		},
	}
}

func showCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show-validator",
		Short:   "Show what others must know of the node: consensus key, peer id and identity",
		Args:    cobra.NoArgs,
		Example: "  hippiusd show-validator --home /var/lib/hippiusd",
		RunE: func(cmd *cobra.Command, _ []string) error {
			info, err := node.ReadInfo(home(cmd))
			if err != nil {
				return err
			}
			return show(cmd.OutOrStdout(), info)
		},
	}
}

// show writes the keys as the genesis description and a client's profile want them.
func show(w io.Writer, info node.Info) error {
	return writeJSON(w, map[string]string{
		"consensus_key": base64.StdEncoding.EncodeToString(info.ConsensusKey),
		"peer_id":       info.PeerID,
		"identity":      hex.EncodeToString(info.Identity),
	})
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func startCommand(version string) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Run the node until it is interrupted",
		Long: fmt.Sprintf(`Run the node until it is interrupted (SIGINT or SIGTERM).

When the network has decided on an upgrade, the node stops at its height, says which version it needs, and exits with
status %d. Install that version and start it again: it goes on from there.`, StatusUpgrade),
		Args:    cobra.NoArgs,
		Example: "  hippiusd start --home /var/lib/hippiusd",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := node.LoadConfig(home(cmd))
			if err != nil {
				return err
			}
			c.Version = version
			log, err := observe.Logger(cmd.ErrOrStderr(), c.LogLevel, format)
			if err != nil {
				return err
			}
			n, err := node.Start(cmd.Context(), c, log)
			if err != nil {
				return err
			}
			return n.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&format, "log-format", observe.Text, "log in `FORMAT`: text or json")
	return cmd
}

// StatusUpgrade is hippiusd's exit status when it waits for another version of itself; its unit does not restart it then.
const StatusUpgrade = 3

// Status is the exit status that goes with what the command returned.
func Status(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(*app.UpgradeNeededError)):
		return StatusUpgrade
	}
	return 1
}

func exportCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "export",
		Short:   "Write the state as a genesis document; the node must not be running",
		Args:    cobra.NoArgs,
		Example: "  hippiusd export --home /var/lib/hippiusd > state.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			doc, err := node.ExportState(home(cmd))
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(append(doc, '\n'))
			return err
		},
	}
}

func versionCommand(version string) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say which version this is",
		Args:    cobra.NoArgs,
		Example: "  hippiusd version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), app.Name, version)
			return err
		},
	}
}
