package keeper

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strconv"
	"strings"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/entry"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/chain/x/mesh/types"
	"github.com/hippius/compute/core/mesh"
)

// maxReleases bounds the blocks released in one block of the chain; the rest follows in the next.
const maxReleases = 50

// RegisterTenant allocates an account's block. For an account that has one, it
// changes nothing, or with another CA key replaces the authority: certificate
// and revocations of the old one go, for nobody trusts it any more.
func (k *Keeper) RegisterTenant(ctx context.Context, m *types.MsgRegisterTenant) ([]string, error) {
	if err := m.ValidateBasic(); err != nil {
		return nil, err
	}
	t, err := k.load(ctx, m.Owner)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return nil, err
	}
	if t.Allocated() {
		if bytes.Equal(t.CaPublicKey, m.CaPublicKey) {
			return t.Networks, nil
		}
		t.CaPublicKey, t.CaCertificate, t.Revoked = m.CaPublicKey, nil, nil
		return t.Networks, k.announce(ctx, t)
	}
	if err := k.gate.RequireCreate(ctx, m.Owner); err != nil {
		return nil, err
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	index, err := k.allocate(ctx, m.Owner)
	if err != nil {
		return nil, err
	}
	t = types.Tenant{
		Owner: m.Owner, Index: index, Networks: types.NetworksOf(mesh.Block(index)), CaPublicKey: m.CaPublicKey,
		RegisteredAt: now(ctx), ChangedHeight: t.ChangedHeight,
	}
	if err := k.setRelease(ctx, &t, now(ctx)+int64(p.ReleaseSeconds)); err != nil {
		return nil, err
	}
	return t.Networks, k.announce(ctx, t)
}

func (k *Keeper) announce(ctx context.Context, t types.Tenant) error {
	emit(ctx, types.EventTenantRegistered,
		sdk.NewAttribute(types.AttributeOwner, t.Owner),
		sdk.NewAttribute(types.AttributeNetworks, strings.Join(t.Networks, ",")))
	return k.put(ctx, t)
}

// allocate gives the lowest free block.
func (k *Keeper) allocate(ctx context.Context, owner string) (uint32, error) {
	it, err := k.freeIndices.Iterate(ctx, nil)
	if err != nil {
		return 0, err
	}
	free := it.Valid()
	var index uint32
	if free {
		index, err = it.Key()
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return 0, err
	}
	if free {
		if err := k.freeIndices.Remove(ctx, index); err != nil {
			return 0, err
		}
		return index, k.tenantsByIndex.Set(ctx, index, owner)
	}
	index, err = k.nextIndex.Get(ctx)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return 0, err
	}
	if index == math.MaxUint32 {
		return 0, types.ErrBlocksFull.Wrap("every address block is allocated; try again when one was released")
	}
	if err := k.nextIndex.Set(ctx, index+1); err != nil {
		return 0, err
	}
	return index, k.tenantsByIndex.Set(ctx, index, owner)
}

// SetCA keeps a tenant's CA certificate, which lighthouses check against the block.
func (k *Keeper) SetCA(ctx context.Context, m *types.MsgSetTenantCA) error {
	if err := m.ValidateBasic(); err != nil {
		return err
	}
	t, err := k.Tenant(ctx, m.Owner)
	if err != nil {
		return err
	}
	t.CaCertificate = m.Certificate
	emit(ctx, types.EventTenantCA, sdk.NewAttribute(types.AttributeOwner, m.Owner))
	return k.put(ctx, t)
}

// VMAdded counts a tenant's VM; its block stays until the last is gone.
func (k *Keeper) VMAdded(ctx context.Context, owner string) error {
	t, err := k.Tenant(ctx, owner)
	if err != nil {
		return err
	}
	t.Vms++
	if err := k.setRelease(ctx, &t, 0); err != nil {
		return err
	}
	return k.store(ctx, t)
}

// VMRemoved is the inverse of VMAdded; with the last VM the time to the block's release begins.
func (k *Keeper) VMRemoved(ctx context.Context, owner string) error {
	t, err := k.Tenant(ctx, owner)
	if err != nil {
		return err
	}
	if t.Vms == 0 {
		return types.ErrInvalid.Wrapf("tenant %s has no VM to remove", owner)
	}
	t.Vms--
	if t.Vms == 0 {
		p, err := k.params.Get(ctx)
		if err != nil {
			return err
		}
		if err := k.setRelease(ctx, &t, now(ctx)+int64(p.ReleaseSeconds)); err != nil {
			return err
		}
	}
	return k.store(ctx, t)
}

func (k *Keeper) releaseBlocks(ctx context.Context) error {
	due, err := records.Due(ctx, k.releases, now(ctx), maxReleases)
	if err != nil {
		return err
	}
	for _, key := range due {
		release := func(ctx context.Context) error { return k.release(ctx, key) }
		if entry.Attempt(ctx, types.ModuleName, "release_block", key.K2(), release) {
			continue
		}
		if err := k.releases.Remove(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// release takes a tenant's block. Its record stays without networks, so that followers learn of it.
func (k *Keeper) release(ctx context.Context, due collections.Pair[int64, string]) error {
	owner := due.K2()
	t, err := k.Tenant(ctx, owner)
	if err != nil {
		return err
	}
	if t.ReleaseAt != due.K1() {
		return types.ErrInvalid.Wrapf("tenant %s has %d VMs and is released at %d; its block is not due", owner, t.Vms, t.ReleaseAt)
	}
	if err := k.setRelease(ctx, &t, 0); err != nil {
		return err
	}
	if err := k.tenantsByIndex.Remove(ctx, t.Index); err != nil {
		return err
	}
	if err := k.freeIndices.Set(ctx, t.Index); err != nil {
		return err
	}
	emit(ctx, types.EventBlockReleased,
		sdk.NewAttribute(types.AttributeOwner, owner),
		sdk.NewAttribute(types.AttributeNetworks, strings.Join(t.Networks, ",")))
	return k.put(ctx, types.Tenant{Owner: owner, ChangedHeight: t.ChangedHeight, RegisteredAt: t.RegisteredAt})
}

// Revoke blocks certificates on a tenant's request.
func (k *Keeper) Revoke(ctx context.Context, m *types.MsgRevoke) error {
	if err := m.ValidateBasic(); err != nil {
		return err
	}
	t, err := k.Tenant(ctx, m.Owner)
	if err != nil {
		return err
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	sdk.UnwrapSDKContext(ctx).GasMeter().ConsumeGas(revocationGas*uint64(len(m.Fingerprints)), "revocations")
	t.Revoked = appendNew(t.Revoked, m.Fingerprints)
	if n := len(t.Revoked); n > int(p.MaxRevocations) {
		return types.ErrRevocationsFull.Wrapf("%d certificates would be revoked; at most %d are kept: register a new CA key instead, which ends all certificates of the old", n, p.MaxRevocations)
	}
	return k.revoked(ctx, t, len(m.Fingerprints))
}

// RevokeInstances blocks the certificates of a VM's instances that came to an
// end. It never fails for want of room: the oldest revocations give way. A
// tenant without a block has nothing to revoke.
func (k *Keeper) RevokeInstances(ctx context.Context, owner string, fingerprints [][]byte) error {
	t, err := k.Tenant(ctx, owner)
	if errors.Is(err, types.ErrNoTenant) || err == nil && len(fingerprints) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	known := len(t.Revoked)
	t.Revoked = appendNew(t.Revoked, fingerprints)
	if len(t.Revoked) == known {
		return nil
	}
	if over := len(t.Revoked) - int(p.MaxRevocations); over > 0 {
		t.Revoked = t.Revoked[over:]
	}
	return k.revoked(ctx, t, len(fingerprints))
}

func (k *Keeper) revoked(ctx context.Context, t types.Tenant, n int) error {
	emit(ctx, types.EventRevoked,
		sdk.NewAttribute(types.AttributeOwner, t.Owner),
		sdk.NewAttribute(types.AttributeCount, strconv.Itoa(n)))
	return k.put(ctx, t)
}

func appendNew(list, more [][]byte) [][]byte {
	known := make(map[string]bool, len(list)+len(more))
	for _, f := range list {
		known[string(f)] = true
	}
	for _, f := range more {
		if !known[string(f)] {
			known[string(f)] = true
			list = append(list, f)
		}
	}
	return list
}
