package operator

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// Output formats.
const (
	table   = "table"
	jsonOut = "json"
)

// earned is what an operator is shown of its money.
type earned struct {
	Operator string `json:"operator"`
	// Accrued is earned and not paid out yet, Claimed was paid out so far.
	Accrued uint64 `json:"accrued_uhip"`
	Claimed uint64 `json:"claimed_uhip"`
	// Served is what the tenants of its VMs paid.
	Served uint64 `json:"served_ucredit"`
	// Account is what the account can spend, Bond what is at stake.
	Account uint64 `json:"account_uhip"`
	Bond    uint64 `json:"bond_uhip"`
}

func earningsCommand(open Open, path *string) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "earnings",
		Short: "Show what the miner has earned",
		Long: `Show what the miner has earned: what has accrued since the last payout, what was
paid out, and what the tenants of its VMs paid for them. A VM is paid
for the seconds that the agent inside it has proven.`,
		Args:    cobra.NoArgs,
		Example: "  sudo hippius-miner earnings\n  sudo hippius-miner earnings -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != table && format != jsonOut {
				return fmt.Errorf("--output %q: accepted are %s and %s", format, table, jsonOut)
			}
			return with(open, *path, func(c Chain) error {
				e, err := earnings(cmd, c)
				if err != nil {
					return err
				}
				return e.show(cmd.OutOrStdout(), format)
			})
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", table, "`FORMAT`: table or json")
	return cmd
}

func earnings(cmd *cobra.Command, c Chain) (earned, error) {
	m, err := look(cmd.Context(), c)
	if err != nil {
		return earned{}, err
	}
	e, err := c.Earnings(cmd.Context(), c.Address())
	if err != nil {
		return earned{}, err
	}
	has, err := c.Uhip(cmd.Context(), c.Address())
	return earned{
		Operator: c.Address(), Accrued: e.AccruedUhip, Claimed: e.ClaimedUhip, Served: e.ServedUcredit,
		Account: has, Bond: m.BondUhip,
	}, err
}

func (e earned) show(w io.Writer, format string) error {
	if format == jsonOut {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(e)
	}
	_, err := fmt.Fprintf(w, "Operator   %s\nAccrued    %d uhip, paid out by 'hippius-miner claim'\nPaid out   %d uhip\nServed     for %d ucredit\nAccount    %d uhip\nBond       %d uhip\n",
		e.Operator, e.Accrued, e.Claimed, e.Served, e.Account, e.Bond)
	return err
}

func claimCommand(open Open, path *string) *cobra.Command {
	return &cobra.Command{
		Use:   "claim",
		Short: "Have what the miner has earned paid out to the operator's account",
		Long: `Have what the miner has earned paid out to the operator's account: all that has
accrued since the last time. It may be done at any time, also by a miner that
has left.`,
		Args:    cobra.NoArgs,
		Example: "  sudo hippius-miner claim",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(open, *path, func(c Chain) error {
				e, err := c.Earnings(cmd.Context(), c.Address())
				if err != nil {
					return err
				}
				if e.AccruedUhip == 0 { // no fee for nothing
					_, _ = fmt.Fprintln(cmd.OutOrStdout(), "nothing has accrued since the last payout")
					return nil
				}
				uhip, err := c.ClaimEarnings(cmd.Context())
				if err != nil {
					return err
				}
				_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%d uhip were paid to %s\n", uhip, c.Address())
				return nil
			})
		},
	}
}
