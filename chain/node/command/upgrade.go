package command

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/internal/wallet"
)

// voter holds what the upgrade commands need of the network.
type voter struct{ network, wallet string }

func (v *voter) flags(cmd *cobra.Command, signs bool) {
	cmd.Flags().StringVar(&v.network, "network", "/etc/hippius/network.json", "the network's profile `FILE`")
	if signs {
		cmd.Flags().StringVar(&v.wallet, "wallet", "", "the operator's key `FILE`, mode 0600")
		cobra.CheckErr(cmd.MarkFlagRequired("wallet"))
	}
}

// with calls f with a client of the network and, if there is a wallet, its sender.
func (v *voter) with(f func(*client.Client, *client.Sender) error) (err error) {
	profile, err := client.LoadNetwork(v.network)
	if err != nil {
		return err
	}
	c, err := client.New(client.Config{Network: profile})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if v.wallet == "" {
		return f(c, nil)
	}
	w, err := wallet.LoadPlain(v.wallet)
	if err != nil {
		return fmt.Errorf("operator's wallet: %w", err)
	}
	return f(c, c.NewSender(w))
}

func upgradeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Propose, vote on and look at upgrades of the chain",
		Example: `  hippiusd upgrade propose v2 --height 1200000 --info https://example.org/v2 --wallet operator-wallet
  hippiusd upgrade vote 1 yes --wallet operator-wallet
  hippiusd upgrade status`,
	}
	cmd.AddCommand(proposeCommand(), voteCommand(), statusCommand())
	return cmd
}

func proposeCommand() *cobra.Command {
	var v voter
	var u client.Upgrade
	var summary string
	cmd := &cobra.Command{
		Use:     "propose NAME --height H",
		Short:   "Put an upgrade to the vote; its deposit is taken from the wallet",
		Args:    cobra.ExactArgs(1),
		Example: "  hippiusd upgrade propose v2 --height 1200000 --info https://example.org/v2 --wallet operator-wallet",
		RunE: func(cmd *cobra.Command, args []string) error {
			u.Name = args[0]
			if u.Height < 1 {
				return errors.New("--height: give the height at which the upgrade is made")
			}
			return v.with(func(_ *client.Client, s *client.Sender) error {
				id, err := s.ProposeUpgrade(cmd.Context(), u, summary)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "proposal %d: upgrade %s at height %d\n", id, u.Name, u.Height)
				return err
			})
		},
	}
	v.flags(cmd, true)
	cmd.Flags().Int64Var(&u.Height, "height", 0, "the `HEIGHT` at which the version before stops")
	cmd.Flags().StringVar(&u.Info, "info", "", "`TEXT` for operators, such as where the version is found")
	cmd.Flags().StringVar(&summary, "summary", "Upgrade of the chain", "what it changes, for those who vote")
	return cmd
}

func voteCommand() *cobra.Command {
	var v voter
	cmd := &cobra.Command{
		Use:     "vote PROPOSAL yes|no",
		Short:   "Vote on a proposal with the stake of the wallet",
		Args:    cobra.ExactArgs(2),
		Example: "  hippiusd upgrade vote 1 yes --wallet operator-wallet",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return fmt.Errorf("proposal %q: give its number, as `hippiusd upgrade status` shows it", args[0])
			}
			if args[1] != "yes" && args[1] != "no" {
				return fmt.Errorf("vote %q: accepted are yes and no", args[1])
			}
			return v.with(func(_ *client.Client, s *client.Sender) error {
				return s.Vote(cmd.Context(), id, args[1] == "yes")
			})
		},
	}
	v.flags(cmd, true)
	return cmd
}

func statusCommand() *cobra.Command {
	var v voter
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show the height, the upgrade that is decided and proposals that are voted on",
		Args:    cobra.NoArgs,
		Example: "  hippiusd upgrade status --network /etc/hippius/network.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return v.with(func(c *client.Client, _ *client.Sender) error {
				head, err := c.Head(cmd.Context())
				if err != nil {
					return err
				}
				plan, err := c.PlannedUpgrade(cmd.Context())
				if err != nil {
					return err
				}
				proposals, err := c.Proposals(cmd.Context())
				if err != nil {
					return err
				}
				out := map[string]any{"program": app.Name, "chain": c.ChainID(), "height": head.Height, "upgrade": nil}
				if plan != nil {
					out["upgrade"] = map[string]any{"name": plan.Name, "height": plan.Height, "info": plan.Info}
				}
				list := []any{}
				for _, p := range proposals {
					list = append(list, map[string]any{"id": p.ID, "title": p.Title, "status": p.Status})
				}
				out["proposals"] = list
				return writeJSON(cmd.OutOrStdout(), out)
			})
		},
	}
	v.flags(cmd, false)
	return cmd
}
