package keeper

import (
	"context"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/mesh/types"
)

// A tenant's record has all certificates that it revoked. Adding a device or a VM, and a VM's end, which its miner reports in a batch
// with others, read and write it too, and cost the same whatever the number of revocations: their gas is that of the record without
// them. Who revokes pays revocationGas for each.
const revocationGas = 10_000

// unmetered is ctx for work whose gas is charged otherwise.
func unmetered(ctx context.Context) context.Context {
	return sdk.UnwrapSDKContext(ctx).WithGasMeter(storetypes.NewInfiniteGasMeter())
}

// load reads a tenant's record.
func (k *Keeper) load(ctx context.Context, owner string) (types.Tenant, error) {
	t, err := k.tenants.Get(unmetered(ctx), owner)
	c := storetypes.KVGasConfig()
	sdk.UnwrapSDKContext(ctx).GasMeter().ConsumeGas(c.ReadCostFlat+c.ReadCostPerByte*sizeWithout(t), "tenant read")
	return t, err
}

// store writes it.
func (k *Keeper) store(ctx context.Context, t types.Tenant) error {
	c := storetypes.KVGasConfig()
	sdk.UnwrapSDKContext(ctx).GasMeter().ConsumeGas(c.WriteCostFlat+c.WriteCostPerByte*sizeWithout(t), "tenant write")
	return k.tenants.Set(unmetered(ctx), t.Owner, t)
}

// sizeWithout the revocations, in bytes.
func sizeWithout(t types.Tenant) uint64 {
	t.Revoked = nil
	return uint64(t.Size())
}
