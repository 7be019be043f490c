package operator

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/core/node"
)

var (
	errNotSure  = errors.New("nothing was done")
	errNotEmpty = errors.New("the bond is locked while VMs are on this miner")
)

func unbondCommand(open Open, path *string) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "unbond",
		Short: "Leave: have the bond of an empty miner given back",
		Long: `Leave: have the bond of an empty miner given back to the operator's account. It
comes after the network's unbonding time, 7 days unless governance says
otherwise. Until then the miner takes no VMs, and nothing undoes it.

The miner must have no VMs: 'hippius-miner drain --wait' first. Stop it for
good afterwards: a miner that is started after its bond was returned registers and
bonds again.`,
		Args: cobra.NoArgs,
		Example: `  sudo hippius-miner drain --wait
  sudo hippius-miner unbond --yes && sudo systemctl disable --now hippius-miner`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(open, *path, func(c Chain) error { return unbond(cmd, c, yes) })
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do it; without, the command only says what it would do")
	return cmd
}

func unbond(cmd *cobra.Command, c Chain, yes bool) error {
	m, err := look(cmd.Context(), c)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	switch {
	case m.Status == gone:
		_, _ = fmt.Fprintf(out, "%s has left, and its bond is back\n", m.Name)
		return nil
	case m.Status == unbonding:
		_, _ = fmt.Fprintln(out, returns(m)+", as before")
		return nil
	case m.Usage.VMs > 0:
		return fmt.Errorf("%s: %w: %s; 'hippius-miner drain --wait' takes no new ones and waits until there is none", m.Name, errNotEmpty, left(m))
	case !yes:
		return fmt.Errorf("%w: %s would take no VMs from now on, and %d uhip would come back to %s after the network's unbonding time; add --yes to do it",
			errNotSure, m.Name, m.BondUhip, c.Address())
	}
	if err := c.UnbondMiner(cmd.Context()); err != nil {
		return err
	}
	if m, err = look(cmd.Context(), c); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(out, "%s\nstop the miner for good: systemctl disable --now hippius-miner\n", returns(m))
	return nil
}

func returns(m node.Miner) string {
	return fmt.Sprintf("%s takes no VMs, and its %d uhip come back after %s", m.Name, m.BondUhip,
		time.Unix(m.UnbondingUntil, 0).UTC().Format(time.RFC1123))
}
