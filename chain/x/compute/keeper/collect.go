package keeper

import (
	"context"
	"math"

	"cosmossdk.io/collections"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/internal/records"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	"github.com/hippius/compute/core/credit"
)

// What is attested of a VM is kept with it until its account's meter is settled. So a report changes only its own VM's
// record, and costs the same whatever else its tenant has and however long ago the last settlement was.

// attestation of a VM; zero before the first.
func (k *Keeper) attestation(ctx context.Context, id string) (types.Attestation, error) {
	return records.OrZero(k.attestations.Get(ctx, id))
}

// Owed implements x/marketplace's Hooks.
func (k *Keeper) Owed(ctx context.Context, account string) (uint64, error) {
	var sum uint64
	err := k.walkLive(ctx, account, func(id string) error {
		a, err := k.attestation(ctx, id)
		if err != nil {
			return err
		}
		sum = min(sum+a.Core().Usage.Owed(), credit.MaxUnits)
		return nil
	})
	return sum, err
}

// Collect implements x/marketplace's Hooks.
func (k *Keeper) Collect(ctx context.Context, account string, before int64, payable uint64) (markettypes.Collected, error) {
	var out markettypes.Collected
	err := k.walkLive(ctx, account, func(id string) error {
		out.VMs++
		stored, err := k.attestation(ctx, id)
		if err != nil {
			return err
		}
		a := stored.Core()
		taken, dropped, left := a.Usage.Settle(before, payable)
		payable -= taken + left
		out.Dropped = min(out.Dropped+dropped, credit.MaxUnits)
		out.Left = min(out.Left+left, credit.MaxUnits)
		if taken == 0 && dropped == 0 {
			return nil
		}
		v, err := k.vms.Get(ctx, id)
		if err != nil {
			return err
		}
		out.Parts = append(out.Parts, credit.Part{Miner: v.Status.Miner, Units: taken})
		a.ChargedUnits += min(taken, math.MaxUint64-a.ChargedUnits)
		return k.attestations.Set(ctx, id, types.AttestationOf(a))
	})
	return out, err
}

// walkLive visits the ids of an account's VMs that are not terminated, in order; as many as a block has addresses.
func (k *Keeper) walkLive(ctx context.Context, account string, visit func(id string) error) error {
	it, err := k.live.Iterate(ctx, collections.NewPrefixedPairRange[string, string](account))
	if err != nil {
		return err
	}
	keys, err := it.Keys() // closes it
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := visit(key.K2()); err != nil {
			return err
		}
	}
	return nil
}

// chargeAll settles at once what is attested of a VM that a miner gives up.
func (k *Keeper) chargeAll(ctx context.Context, v *types.VM, miner string) error {
	a := v.Status.Attestation.Core()
	units, _, _ := a.Usage.Settle(math.MaxInt64, math.MaxUint64)
	paid, err := k.meters.Charge(ctx, v.Owner, miner, units)
	if err != nil {
		return err
	}
	a.ChargedUnits += min(paid, math.MaxUint64-a.ChargedUnits)
	v.Status.Attestation = types.AttestationOf(a)
	return nil
}
