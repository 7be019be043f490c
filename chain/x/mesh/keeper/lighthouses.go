package keeper

import (
	"context"
	"errors"
	"strconv"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/entry"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/chain/x/mesh/types"
	"github.com/hippius/compute/core/mesh"
)

// maxExpired bounds the lighthouses whose rent ended, and the addresses that become free, in one block; the rest follows.
const maxExpired = 50

// RegisterLighthouse gives an account that could create a VM one lighthouse address for a rent; again it replaces
// certificate, endpoints and name, and adds to the rent, with no gate. An operator whose address is still held is given
// the same.
func (k *Keeper) RegisterLighthouse(ctx context.Context, m *types.MsgRegisterLighthouse) (types.Lighthouse, error) {
	if err := m.ValidateBasic(); err != nil {
		return types.Lighthouse{}, err
	}
	old, err := k.lighthouses.Get(ctx, m.Operator)
	if errors.Is(err, collections.ErrNotFound) {
		if m.Days == 0 {
			return types.Lighthouse{}, types.ErrRent.Wrapf("account %s runs no lighthouse now; name 1 to %d days of rent to pay", m.Operator, types.MaxRentDays)
		}
		if err := k.gate.RequireCreate(ctx, m.Operator); err != nil {
			return types.Lighthouse{}, err
		}
		old.Address, err = k.takeAddress(ctx, m.Operator)
	}
	if err != nil {
		return types.Lighthouse{}, err
	}
	l := types.Lighthouse{
		Operator: m.Operator, Name: m.Name, Address: old.Address, CaCertificate: m.CaCertificate, Endpoints: m.Endpoints,
		Relay: m.Relay, ChangedHeight: sdk.UnwrapSDKContext(ctx).BlockHeight(),
	}
	if l.ExpiresAt, err = k.payRent(ctx, old, m.Operator, m.Days); err != nil {
		return types.Lighthouse{}, err
	}
	emit(ctx, types.EventLighthouseRegistered,
		sdk.NewAttribute(types.AttributeOperator, m.Operator),
		sdk.NewAttribute(types.AttributeAddress, l.Address),
		sdk.NewAttribute(types.AttributeUntil, strconv.FormatInt(l.ExpiresAt, 10)))
	return l, k.lighthouses.Set(ctx, m.Operator, l)
}

// payRent takes the rent for further days and gives until when it is paid.
func (k *Keeper) payRent(ctx context.Context, old types.Lighthouse, operator string, days uint32) (int64, error) {
	until := max(old.ExpiresAt, now(ctx)) + int64(days)*types.DaySeconds
	if days == 0 {
		return old.ExpiresAt, nil
	}
	if until > now(ctx)+types.MaxRentDays*types.DaySeconds {
		return 0, types.ErrRent.Wrapf("the rent would be paid until %d; at most %d days in advance are accepted", until, types.MaxRentDays)
	}
	p, err := k.params.Get(ctx)
	if err != nil {
		return 0, err
	}
	// Both are bounded far below overflow.
	if err := k.credits.Consume(ctx, operator, p.LighthouseRentUcredit*uint64(days), ""); err != nil {
		return 0, err
	}
	if old.ExpiresAt != 0 {
		if err := k.expiries.Remove(ctx, collections.Join(old.ExpiresAt, operator)); err != nil {
			return 0, err
		}
	}
	return until, k.expiries.Set(ctx, collections.Join(until, operator))
}

// takeAddress gives the address that is held for the operator, or the lowest that is free.
func (k *Keeper) takeAddress(ctx context.Context, operator string) (string, error) {
	count, err := k.count(ctx)
	if err != nil {
		return "", err
	}
	if count >= types.MaxLighthouses {
		return "", types.ErrLighthousesFull.Wrapf("the network has %d lighthouses, as many as it accepts", count)
	}
	if err := k.lighthouseCount.Set(ctx, count+1); err != nil {
		return "", err
	}
	held, err := k.heldAddresses.Get(ctx, operator)
	if err == nil {
		return held.Address, k.letGo(ctx, held)
	}
	if !errors.Is(err, collections.ErrNotFound) {
		return "", err
	}
	number, err := k.freeNumber(ctx)
	if err != nil {
		return "", err
	}
	addr, err := mesh.LighthouseAddr(number)
	if err != nil {
		return "", types.ErrLighthousesFull.Wrap("every address is a lighthouse's or held for one that left; try again when one is free")
	}
	return addr.String(), k.lighthousesByNumber.Set(ctx, number, operator)
}

// freeNumber is the lowest that is free.
func (k *Keeper) freeNumber(ctx context.Context) (uint32, error) {
	it, err := k.freeNumbers.Iterate(ctx, nil)
	if err != nil {
		return 0, err
	}
	free := it.Valid()
	var number uint32
	if free {
		number, err = it.Key()
	}
	if err := errors.Join(err, it.Close()); err != nil {
		return 0, err
	}
	if free {
		return number, k.freeNumbers.Remove(ctx, number)
	}
	number, err = k.nextNumber.Get(ctx)
	if errors.Is(err, collections.ErrNotFound) {
		number, err = 1, nil
	}
	if err != nil {
		return 0, err
	}
	return number, k.nextNumber.Set(ctx, number+1) // past the last there is no address, and the transaction fails
}

func (k *Keeper) count(ctx context.Context) (uint32, error) {
	return records.OrZero(k.lighthouseCount.Get(ctx))
}

// RemoveLighthouse takes an operator's lighthouse out of the set. What rent is left is not paid back.
func (k *Keeper) RemoveLighthouse(ctx context.Context, m *types.MsgRemoveLighthouse) error {
	if err := m.ValidateBasic(); err != nil {
		return err
	}
	l, err := k.lighthouses.Get(ctx, m.Operator)
	if errors.Is(err, collections.ErrNotFound) {
		return types.ErrNoLighthouse.Wrapf("account %s runs no lighthouse", m.Operator)
	}
	if err != nil {
		return err
	}
	if err := k.leave(ctx, l); err != nil {
		return err
	}
	emit(ctx, types.EventLighthouseRemoved,
		sdk.NewAttribute(types.AttributeOperator, m.Operator),
		sdk.NewAttribute(types.AttributeAddress, l.Address))
	return nil
}

// leave takes a lighthouse out of the set; its address is held for a while, because members still look for it there.
func (k *Keeper) leave(ctx context.Context, l types.Lighthouse) error {
	p, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	count, err := k.count(ctx)
	if err != nil {
		return err
	}
	if err := k.lighthouseCount.Set(ctx, count-min(count, 1)); err != nil {
		return err
	}
	if err := k.expiries.Remove(ctx, collections.Join(l.ExpiresAt, l.Operator)); err != nil {
		return err
	}
	if err := k.lighthouses.Remove(ctx, l.Operator); err != nil {
		return err
	}
	return k.hold(ctx, types.HeldAddress{Operator: l.Operator, Address: l.Address, FreeAt: now(ctx) + int64(p.LighthouseGraceSeconds)})
}

func (k *Keeper) hold(ctx context.Context, h types.HeldAddress) error {
	if err := k.frees.Set(ctx, collections.Join(h.FreeAt, h.Operator)); err != nil {
		return err
	}
	return k.heldAddresses.Set(ctx, h.Operator, h)
}

// letGo is the inverse of hold; whose the number is, is the caller's to say.
func (k *Keeper) letGo(ctx context.Context, h types.HeldAddress) error {
	if err := k.frees.Remove(ctx, collections.Join(h.FreeAt, h.Operator)); err != nil {
		return err
	}
	return k.heldAddresses.Remove(ctx, h.Operator)
}

// expireLighthouses takes those whose rent ended out of the set, and frees the addresses of those that left long ago.
func (k *Keeper) expireLighthouses(ctx context.Context) error {
	for _, queue := range []struct {
		keys collections.KeySet[collections.Pair[int64, string]]
		work string
		do   func(context.Context, collections.Pair[int64, string]) error
	}{{k.expiries, "expire_lighthouse", k.expire}, {k.frees, "free_address", k.free}} {
		due, err := records.Due(ctx, queue.keys, now(ctx), maxExpired)
		if err != nil {
			return err
		}
		for _, key := range due {
			do := func(ctx context.Context) error { return queue.do(ctx, key) }
			if entry.Attempt(ctx, types.ModuleName, queue.work, key.K2(), do) {
				continue
			}
			if err := queue.keys.Remove(ctx, key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k *Keeper) expire(ctx context.Context, due collections.Pair[int64, string]) error {
	l, err := k.lighthouses.Get(ctx, due.K2())
	if err != nil {
		return err
	}
	if l.ExpiresAt != due.K1() {
		return types.ErrInvalid.Wrapf("the rent of lighthouse %s is paid until %d", l.Operator, l.ExpiresAt)
	}
	if err := k.leave(ctx, l); err != nil {
		return err
	}
	emit(ctx, types.EventLighthouseExpired,
		sdk.NewAttribute(types.AttributeOperator, l.Operator),
		sdk.NewAttribute(types.AttributeAddress, l.Address))
	return nil
}

func (k *Keeper) free(ctx context.Context, due collections.Pair[int64, string]) error {
	h, err := k.heldAddresses.Get(ctx, due.K2())
	if err != nil {
		return err
	}
	if h.FreeAt != due.K1() {
		return types.ErrInvalid.Wrapf("the address of %s is held until %d", h.Operator, h.FreeAt)
	}
	number, err := types.LighthouseNumber(h.Operator, h.Address)
	if err != nil {
		return err
	}
	if err := k.letGo(ctx, h); err != nil {
		return err
	}
	if err := k.lighthousesByNumber.Remove(ctx, number); err != nil {
		return err
	}
	return k.freeNumbers.Set(ctx, number)
}

// listed are the lighthouses whose rent is paid; there are at most types.MaxLighthouses.
func (k *Keeper) listed(ctx context.Context) ([]types.Lighthouse, error) {
	var paid []types.Lighthouse
	err := k.lighthouses.Walk(ctx, nil, func(_ string, l types.Lighthouse) (bool, error) {
		if l.ExpiresAt > now(ctx) {
			paid = append(paid, l)
		}
		return false, nil
	})
	return paid, err
}
