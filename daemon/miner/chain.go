package miner

import (
	"context"
	"errors"
	"fmt"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/agent"
	"github.com/hippius/compute/miner/record"
)

// Chain is the chain as the agent asks it, for one miner.
type Chain struct {
	*client.Client
	// Sender of the operator's account.
	Sender *client.Sender
}

// Changes implements agent.Chain.
func (c Chain) Changes(ctx context.Context, after int64) (agent.Changes, error) {
	m, err := c.MinerVMs(ctx, c.Sender.Address(), after)
	if err != nil {
		return agent.Changes{}, err
	}
	return agent.Changes{
		Changes: record.Changes{VMs: m.VMs, Released: m.Released, Full: m.Full, Height: m.Height}, Head: m.Head,
	}, nil
}

// Everywhere implements agent.Chain. A VM unknown to a node is no word to act upon.
func (c Chain) Everywhere(ctx context.Context, id vm.ID) ([]vm.VM, error) {
	all, err := c.VMEverywhere(ctx, id)
	if errors.Is(err, client.ErrNotFound) {
		err = fmt.Errorf("%w: %w", agent.ErrUnknown, err)
	}
	return all, err
}

// Report implements agent.Chain.
func (c Chain) Report(ctx context.Context, reports []vm.Report) ([]vm.ReportResult, error) {
	return c.Sender.ReportVM(ctx, reports)
}
