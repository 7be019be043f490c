package keeper

import (
	"context"
	"errors"
	"math"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/chain/x/marketplace/types"
	"github.com/hippius/compute/core/credit"
)

// account is one account's meter under work, with what its rules look at.
type account struct {
	name    string
	meter   *credit.Meter
	params  types.Params
	now     int64
	balance uint64
	// fees paid since the last purchase.
	fees uint64
	// queuedAt is where the queue has it.
	queuedAt int64
}

// exact is load with what is owed as of now, read from the account's VMs.
func (k *Keeper) exact(ctx context.Context, name string) (*account, error) {
	a, err := k.load(ctx, name)
	if err != nil || k.hooks == nil {
		return a, err
	}
	owed, err := k.hooks.Owed(ctx, name)
	if err != nil {
		return nil, err
	}
	a.meter.Observe(a.now, owed)
	return a, nil
}

// load reads an account's meter; one that was never charged has an empty one.
func (k *Keeper) load(ctx context.Context, name string) (*account, error) {
	params, err := k.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	b, err := k.credits.Balance(ctx, name)
	if err != nil {
		return nil, err
	}
	m, err := k.meters.Get(ctx, name)
	if err != nil && !errors.Is(err, collections.ErrNotFound) {
		return nil, err
	}
	return &account{
		name: name, meter: m.Core(), params: params, queuedAt: m.NextDue,
		now: sdk.UnwrapSDKContext(ctx).BlockTime().Unix(), balance: b.Ucredit, fees: b.FeesSincePurchase,
	}, nil
}

// save stores the meter and moves it in the queue if its time changed.
func (k *Keeper) save(ctx context.Context, a *account) error {
	if err := k.meters.Set(ctx, a.name, types.MeterOf(a.name, a.meter)); err != nil {
		return err
	}
	if a.meter.NextDue == a.queuedAt {
		return nil
	}
	if a.queuedAt != 0 {
		if err := k.due.Remove(ctx, collections.Join(a.queuedAt, a.name)); err != nil {
			return err
		}
	}
	a.queuedAt = a.meter.NextDue
	if a.queuedAt == 0 {
		return nil
	}
	return k.due.Set(ctx, collections.Join(a.queuedAt, a.name))
}

// holdback of the account as it is.
func (a *account) holdback() uint64 { return a.params.Holdback(a.meter.DiskRate) }

// free is the balance less what is owed.
func (a *account) free() uint64 { return a.balance - min(a.balance, a.meter.OwedUcredit()) }

// out tells whether the account has come down to its hold-back.
func (a *account) out() bool { return a.meter.RanOut(a.balance, a.holdback()) }

func (a *account) lag() int64 { return int64(a.params.SettleLagSeconds) }

// schedule says when the meter is looked at next, by the notices that still stand.
func (a *account) schedule() {
	a.meter.WithdrawNotices(a.balance)
	a.meter.NextDue = a.meter.Due(a.now, a.params.Schedule(a.name), a.balance, a.holdback())
}

// RequireCreate refuses an account that may not create a VM: its balance, less
// what it owes, plus the fees since its last purchase must reach the minimum.
func (k *Keeper) RequireCreate(ctx context.Context, name string) error {
	a, err := k.exact(ctx, name)
	if err != nil {
		return err
	}
	if missing := a.missingToCreate(); missing > 0 {
		return types.ErrInsufficient.Wrapf("creating a VM takes %s credits and %s has %s; %s are missing: buy them with 'hippius billing buy'",
			credit.Format(a.params.MinCreateUcredit), name, credit.Format(a.free()), credit.Format(missing))
	}
	return nil
}

func (a *account) missingToCreate() uint64 {
	have := a.free()
	have += min(a.fees, math.MaxUint64-have)
	return a.params.MinCreateUcredit - min(a.params.MinCreateUcredit, have)
}

// RequireStart refuses an account that is out of credit: what it started would be stopped at once.
func (k *Keeper) RequireStart(ctx context.Context, name string) error {
	a, err := k.exact(ctx, name)
	if err != nil {
		return err
	}
	if missing := a.missingBeyond(a.holdback()); missing > 0 {
		return types.ErrInsufficient.Wrapf("%s has %s credits, of which %s are held back for its disks; at least %s are missing to run a VM: buy them with 'hippius billing buy'",
			name, credit.Format(a.free()), credit.Format(a.holdback()), credit.Format(missing))
	}
	return nil
}

// missingBeyond is what the account lacks to have more than a hold-back.
func (a *account) missingBeyond(holdback uint64) uint64 {
	if holdback == math.MaxUint64 {
		return holdback
	}
	return holdback + 1 - min(holdback+1, a.free())
}

// AddVM raises the hold-back by a new VM's disk; it is refused if the account could not keep the VM's disk.
func (k *Keeper) AddVM(ctx context.Context, name string, stoppedRate uint64) error {
	a, err := k.exact(ctx, name)
	if err != nil {
		return err
	}
	if err := shiftDisk(a, stoppedRate, 1); err != nil {
		return err
	}
	if missing := a.missingBeyond(a.holdback()); missing > 0 {
		return types.ErrInsufficient.Wrapf("with this VM %s credits are held back for the account's disks and %s has %s; at least %s are missing: buy them with 'hippius billing buy'",
			credit.Format(a.holdback()), name, credit.Format(a.free()), credit.Format(missing))
	}
	a.schedule()
	return k.save(ctx, a)
}

// RemoveVM lowers the hold-back by a VM's disk that is no more.
func (k *Keeper) RemoveVM(ctx context.Context, name string, stoppedRate uint64) error {
	a, err := k.load(ctx, name)
	if err != nil {
		return err
	}
	if err := shiftDisk(a, stoppedRate, -1); err != nil {
		return err
	}
	a.schedule()
	return k.save(ctx, a)
}

// ResizeVM moves the hold-back from one disk of a VM to another; it is refused
// if the account could not keep a dearer one.
func (k *Keeper) ResizeVM(ctx context.Context, name string, from, to uint64) error {
	if from == to {
		return nil
	}
	a, err := k.exact(ctx, name)
	if err != nil {
		return err
	}
	if err := shiftDisk(a, from, -1); err != nil {
		return err
	}
	if err := shiftDisk(a, to, 1); err != nil {
		return err
	}
	if missing := a.missingBeyond(a.holdback()); to > from && missing > 0 {
		return types.ErrInsufficient.Wrapf("with the larger disk %s credits are held back for the account's disks and %s has %s; at least %s are missing: buy them with 'hippius billing buy'",
			credit.Format(a.holdback()), name, credit.Format(a.free()), credit.Format(missing))
	}
	a.schedule()
	return k.save(ctx, a)
}

func shiftDisk(a *account, rate uint64, sign int64) error {
	if rate > credit.MaxRate {
		return types.ErrMeter.Wrapf("disk rate of %d ucredit an hour; at most %d", rate, uint64(credit.MaxRate))
	}
	if err := a.meter.ShiftDisk(sign * int64(rate)); err != nil {
		return types.ErrMeter.Wrap(err.Error())
	}
	return nil
}

// Rate is what the account pays for its VMs now, in ucredit per hour; 0 for one that never had any.
func (k *Keeper) Rate(ctx context.Context, name string) (uint64, error) {
	m, err := records.OrZero(k.meters.Get(ctx, name))
	return m.Rate, err
}

// SetRate raises or lowers by delta what the account pays for its VMs. A rate
// charges nothing by itself: it says how long the balance lasts.
func (k *Keeper) SetRate(ctx context.Context, name string, delta int64) error {
	a, err := k.load(ctx, name)
	if err != nil {
		return err
	}
	if err := a.meter.ShiftRate(a.now, delta); err != nil {
		return types.ErrMeter.Wrap(err.Error())
	}
	a.schedule()
	if delta > 0 && a.out() {
		a.meter.NextDue = a.now // whatever was started is stopped at the end of this block
	}
	return k.save(ctx, a)
}

// Charge settles, without waiting for the hour, what a miner was attested of
// one VM, in units. It returns the units that the balance paid; the rest is dropped.
func (k *Keeper) Charge(ctx context.Context, name, miner string, units uint64) (paid uint64, err error) {
	if units == 0 {
		return 0, nil
	}
	a, err := k.load(ctx, name)
	if err != nil {
		return 0, err
	}
	paid = min(units, a.meter.Payable(a.balance))
	if err := k.consume(ctx, a, []credit.Part{{Miner: miner, Units: paid}}, units-paid); err != nil {
		return 0, err
	}
	a.meter.Owed -= min(a.meter.Owed, units)
	a.schedule()
	return paid, k.save(ctx, a)
}

// emit gives an event about an account.
func emit(ctx context.Context, kind, name string, attrs ...string) {
	e := sdk.NewEvent(kind, sdk.NewAttribute(types.AttributeAccount, name))
	for i := 0; i+1 < len(attrs); i += 2 {
		e = e.AppendAttributes(sdk.NewAttribute(attrs[i], attrs[i+1]))
	}
	sdk.UnwrapSDKContext(ctx).EventManager().EmitEvent(e)
}
