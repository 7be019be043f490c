package operator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/forget"
)

const (
	// answerEvery is how often an order's answer is looked for, answerWait for how long.
	answerEvery = 200 * time.Millisecond
	answerWait  = time.Minute
)

var errHolds = errors.New("a chain node says that this miner holds the VM")

// Host is what the chain says of a VM on this host, and how its miner is told to forget one.
type Host interface {
	// VMAnywhere gives what every chain node says of a VM that knows it; it fails if one does not answer.
	VMAnywhere(ctx context.Context, id vm.ID) ([]vm.VM, error)
	Orders() *forget.Orders
}

func forgetCommand(open Open, path *string) *cobra.Command {
	return &cobra.Command{
		Use:   "forget VM-ID",
		Short: "Remove a VM from this host of which the chain knows nothing any more",
		Long: `Remove a VM from this host of which the chain knows nothing any more. A miner
removes by itself what the chain says has ended or moved. It keeps a VM that the
chain does not know: one that ended long ago, while this miner was away, or one of
a network that began anew. The miner's log names such VMs.

Every chain node of the profile must answer, and none may say that this miner holds
the VM. The VM is shut off, and its disk stays in the trash for 24 hours.`,
		Args:    cobra.ExactArgs(1),
		Example: "  sudo hippius-miner forget cc5e59988887338b010c8de8c8439d4e",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := vm.ParseID(args[0])
			if err != nil {
				return err
			}
			return with(open, *path, func(c Chain) error { return forgetVM(cmd, c, id) })
		},
	}
}

func forgetVM(cmd *cobra.Command, c Chain, id vm.ID) error {
	ctx := cmd.Context()
	known, err := c.VMAnywhere(ctx, id)
	if err != nil {
		return fmt.Errorf("%w; every chain node of the profile must answer", err)
	}
	for _, v := range known {
		if v.Status.Miner == c.Address() && v.Status.Phase != vm.Terminated {
			return fmt.Errorf("%w: VM %s is %s", errHolds, id, v.Status.Phase)
		}
	}
	orders := c.Orders()
	if err := orders.Give(id); err != nil {
		return err
	}
	answered, err := awaitAnswer(ctx, orders, id)
	switch {
	case err != nil:
		return err
	case !answered:
		return fmt.Errorf("the miner has not answered yet; is it running? ('systemctl status hippius-miner') The order stays, and is carried out when it can be")
	}
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), "nothing of VM %s is on this host any more, but its disk in the trash, for 24 hours\n", id)
	return nil
}

// awaitAnswer waits for the miner to answer an order; false if it does not in answerWait, or ctx ends.
func awaitAnswer(ctx context.Context, orders *forget.Orders, id vm.ID) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	for {
		if answered, err := orders.Answer(id); answered || err != nil {
			return answered, err
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-time.After(answerEvery):
		}
	}
}
