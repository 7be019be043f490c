package keeper

import (
	"context"
	"fmt"
	"strconv"

	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/entry"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/chain/x/marketplace/types"
	"github.com/hippius/compute/core/credit"
)

// settle charges what is attested and older than the lag, and returns how many
// VMs it looked at. The caller saves.
func (k *Keeper) settle(ctx context.Context, a *account) (vms int, err error) {
	if k.hooks == nil {
		return 0, nil
	}
	c, err := k.hooks.Collect(ctx, a.name, a.now-a.lag(), a.meter.Payable(a.balance))
	if err != nil {
		return c.VMs, err
	}
	if err := k.consume(ctx, a, c.Parts, c.Dropped); err != nil {
		return c.VMs, err
	}
	a.meter.Observe(a.now, c.Left)
	a.meter.SettledAt = a.now
	return c.VMs, nil
}

// consume charges parts that the balance pays, and tells of what was dropped.
func (k *Keeper) consume(ctx context.Context, a *account, parts []credit.Part, dropped uint64) error {
	charges, total := a.meter.Settle(parts)
	for _, c := range charges {
		if err := k.credits.Consume(ctx, a.name, c.Ucredit, c.Miner); err != nil {
			return fmt.Errorf("charge %s for %s: %w", a.name, c.Miner, err)
		}
	}
	a.balance -= total // the parts were payable
	if total > 0 {
		emit(ctx, types.EventSettled, a.name, types.AttributeUcredit, strconv.FormatUint(total, 10))
	}
	if dropped > 0 {
		emit(ctx, types.EventDropped, a.name, types.AttributeUnits, strconv.FormatUint(dropped, 10))
	}
	return nil
}

// runOutWeight is how many settlements stopping or terminating a VM counts as in a block's budget, by what it costs.
const runOutWeight = 4

// EndBlock looks at the meters that are due, the longest due first, until a
// parameter's worth of VMs is settled; the rest carries over. What goes wrong
// with one account is undone and told, and touches no other.
func (k *Keeper) EndBlock(ctx sdk.Context) error {
	params, err := k.params.Get(ctx)
	if err != nil {
		return err
	}
	budget := int(params.MaxSettlementsPerBlock)
	due, err := records.Due(ctx, k.due, ctx.BlockTime().Unix(), budget)
	if err != nil {
		return err
	}
	for _, key := range due {
		if budget <= 0 {
			break
		}
		if err := k.due.Remove(ctx, key); err != nil {
			return err
		}
		vms := 0
		looked := entry.Attempt(ctx, types.ModuleName, "settle_meter", key.K2(), func(ctx context.Context) (err error) {
			vms, err = k.look(ctx, key)
			return err
		})
		budget -= max(vms, 1)
		if looked {
			continue
		}
		if err := k.postpone(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// look settles a meter that was due, and is out of the queue, and acts on what it finds. It returns how many VMs it looked at.
func (k *Keeper) look(ctx context.Context, due dueKey) (vms int, err error) {
	name := due.K2()
	a, err := k.load(ctx, name)
	if err != nil {
		return 0, err
	}
	if a.queuedAt != due.K1() {
		return 0, types.ErrMeter.Wrapf("the meter of %s is due at %d; the queue had it at %d", name, a.queuedAt, due.K1())
	}
	a.queuedAt = 0
	if vms, err = k.settle(ctx, a); err != nil {
		return vms, err
	}
	stop := a.meter.Rate > 0 && a.out()
	k.judge(ctx, a, stop)
	spent := a.meter.Spent(a.now, a.balance)
	a.schedule()
	if err := k.save(ctx, a); err != nil {
		return vms, err
	}
	if !stop || k.hooks == nil {
		return vms, nil
	}
	if entry.Attempt(ctx, types.ModuleName, "run_out", name, func(ctx context.Context) error { return k.runOut(ctx, name, spent) }) {
		return runOutWeight * vms, nil
	}
	return runOutWeight * vms, k.putOff(ctx, a) // what is settled stays
}

// runOut stops what runs, or once nothing is left for its disks terminates it, and drops what it was attested for beyond the balance.
func (k *Keeper) runOut(ctx context.Context, name string, spent bool) error {
	act := k.hooks.AfterRunOut
	if spent {
		act = k.hooks.AfterSpent
	}
	if err := act(ctx, name); err != nil {
		return err
	}
	a, err := k.load(ctx, name)
	if err != nil {
		return err
	}
	if _, err := k.settle(ctx, a); err != nil {
		return err
	}
	a.schedule()
	return k.save(ctx, a)
}

// judge notes and tells when an account runs out, recovers, or will run out within a day, and when its disks will be terminated.
func (k *Keeper) judge(ctx context.Context, a *account, stop bool) {
	balance, holdback := strconv.FormatUint(a.balance, 10), strconv.FormatUint(a.holdback(), 10)
	switch {
	case stop && a.meter.RanOutAt == 0:
		a.meter.RanOutAt = a.now
		emit(ctx, types.EventRunOut, a.name, types.AttributeBalance, balance, types.AttributeHoldback, holdback)
	case a.meter.RanOutAt != 0 && !a.out():
		a.meter.RanOutAt, a.meter.WarnedAt, a.meter.Notices, a.meter.NoticedAt = 0, 0, 0, 0
		emit(ctx, types.EventRecovered, a.name, types.AttributeBalance, balance, types.AttributeHoldback, holdback)
	}
	if a.meter.Notify(a.now, a.balance) {
		left, _ := a.meter.DisksRunway(a.balance)
		emit(ctx, types.EventEnding, a.name, types.AttributeBalance, balance, types.AttributeNotice, strconv.FormatUint(uint64(a.meter.Notices), 10),
			types.AttributeRunway, strconv.FormatUint(left, 10))
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

// postpone puts a meter that failed, and is out of the queue, back into it for later. What was in the queue without a meter
// that can be read, or beside the time that the meter is due, is not put back.
func (k *Keeper) postpone(ctx context.Context, due dueKey) error {
	m, err := k.meters.Get(ctx, due.K2())
	if err != nil || m.NextDue != due.K1() {
		return nil //nolint:nilerr // the failure was noted
	}
	return k.putOff(ctx, &account{name: due.K2(), meter: m.Core()})
}

// putOff has a meter looked at again later.
func (k *Keeper) putOff(ctx context.Context, a *account) error {
	a.meter.NextDue = sdk.UnwrapSDKContext(ctx).BlockTime().Unix() + retrySeconds
	return k.save(ctx, a)
}

// BeforeBuy is the hook of x/credits: what the balance cannot pay is dropped before it rises.
func (k *Keeper) BeforeBuy(ctx context.Context, name string) error {
	if has, err := k.meters.Has(ctx, name); err != nil || !has {
		return err
	}
	a, err := k.load(ctx, name)
	if err != nil {
		return err
	}
	if _, err := k.settle(ctx, a); err != nil {
		return err
	}
	return k.save(ctx, a)
}

// AfterBuy is the hook of x/credits: an account above its hold-back is in good standing again.
func (k *Keeper) AfterBuy(ctx context.Context, name string) error {
	if has, err := k.meters.Has(ctx, name); err != nil || !has {
		return err
	}
	a, err := k.exact(ctx, name)
	if err != nil {
		return err
	}
	a.meter.WarnedAt = 0
	k.judge(ctx, a, false)
	a.schedule()
	return k.save(ctx, a)
}
