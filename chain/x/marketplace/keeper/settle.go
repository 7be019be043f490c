package keeper

import (
	"context"
	"fmt"
	"strconv"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/chain/x/marketplace/types"
)

// settle charges what is attested and older than the lag. The caller saves.
func (k *Keeper) settle(ctx context.Context, a *account) error {
	s := a.meter.Settle(a.now, a.lag(), a.balance)
	for _, c := range s.Charges {
		if err := k.credits.Consume(ctx, a.name, c.Ucredit, c.Miner); err != nil {
			return fmt.Errorf("charge %s for %s: %w", a.name, c.Miner, err)
		}
	}
	a.balance -= s.Total // a settlement takes at most the balance
	if s.Total > 0 {
		emit(ctx, types.EventSettled, a.name, types.AttributeUcredit, strconv.FormatUint(s.Total, 10))
	}
	if s.Dropped > 0 {
		emit(ctx, types.EventDropped, a.name, types.AttributeUcredit, strconv.FormatUint(s.Dropped, 10))
	}
	return nil
}

// EndBlock looks at the meters that are due, the longest due first, at most a
// parameter's worth; the rest carries over. What goes wrong with one account
// is undone and told, and touches no other.
func (k *Keeper) EndBlock(ctx sdk.Context) error {
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	now := ctx.BlockTime().Unix()
	due, err := records.Due(ctx, k.due, now, int(params.MaxSettlementsPerBlock))
	if err != nil {
		return err
	}
	for _, key := range due {
		name := key.K2()
		branch, write := ctx.CacheContext()
		if err := k.look(branch, name); err != nil {
			if err := k.postpone(ctx, name, err); err != nil {
				return err
			}
			continue
		}
		write()
	}
	return nil
}

// look settles a meter that is due and acts on what it finds.
func (k *Keeper) look(ctx sdk.Context, name string) error {
	a, err := k.load(ctx, name)
	if err != nil {
		return err
	}
	if err := k.settle(ctx, a); err != nil {
		return err
	}
	stop := a.meter.Rate() > 0 && a.out()
	k.judge(ctx, a, stop)
	a.schedule()
	if err := k.save(ctx, a); err != nil {
		return err
	}
	if !stop || k.hooks == nil {
		return nil
	}
	branch, write := ctx.CacheContext()
	if err := k.hooks.AfterRunOut(branch, name); err != nil {
		return k.postpone(ctx, name, fmt.Errorf("stop what runs: %w", err))
	}
	write()
	return nil
}

// judge notes and tells when an account runs out, recovers, or will run out within a day.
func (k *Keeper) judge(ctx context.Context, a *account, stop bool) {
	balance, holdback := strconv.FormatUint(a.balance, 10), strconv.FormatUint(a.holdback(), 10)
	switch {
	case stop && a.meter.RanOutAt == 0:
		a.meter.RanOutAt = a.now
		emit(ctx, types.EventRunOut, a.name, types.AttributeBalance, balance, types.AttributeHoldback, holdback)
	case a.meter.RanOutAt != 0 && !a.out():
		a.meter.RanOutAt, a.meter.WarnedAt = 0, 0
		emit(ctx, types.EventRecovered, a.name, types.AttributeBalance, balance, types.AttributeHoldback, holdback)
	}
	if a.meter.ShouldWarn(a.balance, a.holdback()) {
		a.meter.WarnedAt = a.now
		runway, _ := a.meter.Runway(a.balance, a.holdback())
		emit(ctx, types.EventLow, a.name, types.AttributeBalance, balance, types.AttributeHoldback, holdback,
			types.AttributeRunway, strconv.FormatUint(runway, 10))
	}
}

// retrySeconds is when a meter that failed is looked at again.
const retrySeconds = 60

// postpone puts a meter that failed back into the queue.
func (k *Keeper) postpone(ctx sdk.Context, name string, cause error) error {
	ctx.Logger().Error("meter failed", "account", name, "error", cause)
	emit(ctx, types.EventFailed, name, types.AttributeError, cause.Error())
	m, err := k.meters.Get(ctx, name)
	if err != nil {
		return fmt.Errorf("meter of %s: %w", name, err)
	}
	a := &account{name: name, meter: m.Core(), queuedAt: m.NextDue}
	a.meter.NextDue = ctx.BlockTime().Unix() + retrySeconds
	return k.save(ctx, a)
}

// AfterBuy is the hook of x/credits: an account above its hold-back is in good standing again.
func (k *Keeper) AfterBuy(ctx context.Context, name string) error {
	if has, err := k.meters.Has(ctx, name); err != nil || !has {
		return err
	}
	a, err := k.load(ctx, name)
	if err != nil {
		return err
	}
	a.meter.WarnedAt = 0
	k.judge(ctx, a, false)
	a.schedule()
	return k.save(ctx, a)
}
