package operator

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/daemon/miner"
	"github.com/hippius/compute/internal/config"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/miner/forget"
)

// Open connects to the chain as the operator of the miner with the settings at path.
type Open func(path string) (Chain, error)

// Commands are `hippius-miner drain`, `undrain`, `unbond`, `earnings`, `claim` and `forget`.
func Commands(open Open) []*cobra.Command {
	var path string
	var waits bool
	drain := &cobra.Command{
		Use:   "drain",
		Short: "Take no new VMs, and keep running those that are on this host",
		Long: `Take no new VMs, and keep running those that are on this host: before maintenance,
or to leave. The chain notes it, so it outlasts restarts of the miner, until
'hippius-miner undrain'. What VMs earn and the bond stay as they are.

VMs leave when their tenants remove them; none is moved or stopped. With
--wait the command shows how many are left and ends when there is none. Ctrl-C
then ends the wait, not the draining.`,
		Args: cobra.NoArgs,
		Example: `  sudo hippius-miner drain
  sudo hippius-miner drain --wait && sudo systemctl stop hippius-miner`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(open, path, func(c Chain) error { return run(cmd, c, waits) })
		},
	}
	drain.Flags().BoolVarP(&waits, "wait", "w", false, "wait until no VM is left, showing how many are")
	undrain := &cobra.Command{
		Use: "undrain", Short: "Take new VMs again", Args: cobra.NoArgs, Example: "  sudo hippius-miner undrain",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return with(open, path, func(c Chain) error {
				m, changed, err := order(cmd.Context(), c, true)
				if err != nil {
					return err
				}
				say(cmd, changed, m.Name+" takes new VMs", " again", "; it did not drain")
				return nil
			})
		},
	}
	all := []*cobra.Command{drain, undrain, unbondCommand(open, &path), earningsCommand(open, &path), claimCommand(open, &path), forgetCommand(open, &path)}
	for _, cmd := range all {
		cmd.Flags().StringVarP(&path, "config", "c", "/etc/hippius/miner.yaml", "the miner's settings `FILE`")
	}
	return all
}

func run(cmd *cobra.Command, c Chain, waits bool) error {
	m, changed, err := order(cmd.Context(), c, false)
	if err != nil {
		return err
	}
	say(cmd, changed, m.Name+" takes no new VMs", "", ", as before")
	if !waits {
		_, _ = fmt.Fprintln(cmd.OutOrStdout(), left(m))
		return nil
	}
	out, isFile := cmd.ErrOrStderr().(*os.File)
	if err := wait(cmd.Context(), c, m, newProgress(cmd.ErrOrStderr(), isFile && term.IsTerminal(int(out.Fd())))); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%s is empty\n", m.Name)
	return nil
}

func say(cmd *cobra.Command, changed bool, text, ifChanged, ifNot string) {
	end := ifNot
	if changed {
		end = ifChanged
	}
	_, _ = fmt.Fprintln(cmd.OutOrStdout(), text+end)
}

func with(open Open, path string, do func(Chain) error) error {
	c, err := open(path)
	if err != nil {
		return err
	}
	return errors.Join(do(c), c.Close())
}

// Dial connects with the network and the wallet of the miner's settings.
func Dial(path string) (Chain, error) {
	set, err := config.Load(path, miner.Default())
	if err != nil {
		return nil, err
	}
	if err := set.Validate(); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	profile, err := client.LoadNetwork(set.Network)
	if err != nil {
		return nil, err
	}
	w, err := wallet.LoadPlain(set.Wallet)
	if err != nil {
		return nil, fmt.Errorf("operator's wallet: %w", err)
	}
	c, err := client.New(client.Config{Network: profile})
	if err != nil {
		return nil, err
	}
	return &operator{Client: c, Sender: c.NewSender(w), orders: forget.New(filepath.Join(set.Data, miner.ForgetDir))}, nil
}

// operator is the chain as an operator's account speaks to it.
type operator struct {
	*client.Client
	*client.Sender
	orders *forget.Orders
}

func (o *operator) Orders() *forget.Orders { return o.orders }

var _ Chain = (*operator)(nil)
