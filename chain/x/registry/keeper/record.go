package keeper

import (
	"context"
	"strconv"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/node"
)

// Proved notes that a VM proved itself on a miner for as long as x/compute asks.
func (k *Keeper) Proved(ctx context.Context, operator string) error {
	more, err := k.record(ctx, operator, node.Record.Prove)
	if err != nil || !more {
		return err
	}
	return k.capacityGrew(ctx)
}

// Tries notes that a VM is on trial on a miner, or is not any more.
func (k *Keeper) Tries(ctx context.Context, operator string, begins bool) error {
	change := node.Record.Tried
	if begins {
		change = node.Record.Try
	}
	more, err := k.record(ctx, operator, change)
	if err != nil || !more {
		return err
	}
	return k.capacityGrew(ctx)
}

// Booted notes that the guest of a VM came to prove itself on a miner.
func (k *Keeper) Booted(ctx context.Context, operator string) error {
	_, err := k.record(ctx, operator, node.Record.Boot)
	return err
}

// Failed notes that a VM did not come to run on a miner.
func (k *Keeper) Failed(ctx context.Context, operator string) error {
	if _, err := k.record(ctx, operator, node.Record.Fail); err != nil {
		return err
	}
	m, err := k.Miner(ctx, operator)
	if err != nil {
		return err
	}
	emit(ctx, types.EventMinerFailed,
		sdk.NewAttribute(types.AttributeOperator, operator),
		sdk.NewAttribute(types.AttributeQuality, strconv.FormatUint(m.Record.Core().Quality(now(ctx)), 10)))
	return nil
}

// record changes a miner's record, and reports whether the miner may be given more VMs for it.
func (k *Keeper) record(ctx context.Context, operator string, change func(r node.Record, now int64) node.Record) (more bool, err error) {
	m, err := k.Miner(ctx, operator)
	if err != nil {
		return false, err
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return false, err
	}
	old := m
	m.Record = types.RecordOf(change(m.Record.Core(), now(ctx)))
	return m.Slots(p) > old.Slots(p), k.put(ctx, &old, m, p)
}
