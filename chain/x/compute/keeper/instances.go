package keeper

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"strconv"

	"cosmossdk.io/collections"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/x/compute/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/vm"
)

const (
	// receiptGas pays for the check of one receipt's signature.
	receiptGas = 1000
	// maxAhead bounds how many instances may be dealt beyond the present one.
	maxAhead = 32
)

// checkReceipts wants for each instance good receipts of members with a threshold of the shares, of the present committee or of one
// that was replaced so lately that it still takes deals.
func (k *Keeper) checkReceipts(ctx context.Context, owner, id string, list []types.Instance) error {
	c, err := k.registry.Committee(ctx)
	if err != nil {
		return err
	}
	if len(c.Keepers) == 0 {
		return types.ErrNoCommittee.Wrap("the network has no keepers yet that could hold a VM's secrets")
	}
	for i := range list {
		in := &list[i]
		if in.CommitteeEpoch != c.Epoch {
			if c, err = k.committeeOf(ctx, in); err != nil {
				return err
			}
		}
		if err := checkInstance(ctx, c, owner, id, in); err != nil {
			return err
		}
	}
	return nil
}

// committeeOf an instance dealt to another committee than the present.
func (k *Keeper) committeeOf(ctx context.Context, in *types.Instance) (registrytypes.Committee, error) {
	c, err := k.registry.CommitteeOf(ctx, in.CommitteeEpoch)
	if err != nil && !errors.Is(err, registrytypes.ErrUnknownCommittee) {
		return c, err
	}
	if err != nil || !c.TakesDeals(now(ctx)) {
		return c, types.ErrOldCommittee.Wrapf("instance %d was dealt to the keepers of epoch %d, which take no deals any more: deal again to the present ones", in.Seq, in.CommitteeEpoch)
	}
	return c, nil
}

func checkInstance(ctx context.Context, c registrytypes.Committee, owner, id string, in *types.Instance) error {
	shares := 0
	sctx := sdk.UnwrapSDKContext(ctx)
	digest := instance.ReceiptDigest(sctx.ChainID(), owner, vm.ID(id), in.Seq, in.CommitteeEpoch, in.CommitmentHash, in.BundleHash)
	for i, r := range in.Receipts {
		member := slices.IndexFunc(c.Keepers, func(m registrytypes.Keeper) bool { return bytes.Equal(m.Identity, r.Keeper) })
		if member < 0 {
			return types.ErrReceipts.Wrapf("instance %d: key %x is no keeper of the committee of epoch %d", in.Seq, r.Keeper, c.Epoch)
		}
		if slices.ContainsFunc(in.Receipts[:i], func(o types.KeeperReceipt) bool { return bytes.Equal(o.Keeper, r.Keeper) }) {
			return types.ErrReceipts.Wrapf("instance %d: keeper %x is there twice", in.Seq, r.Keeper)
		}
		sctx.GasMeter().ConsumeGas(receiptGas, "keeper receipt")
		if !ed25519.Verify(r.Keeper, digest, r.Signature) {
			return types.ErrReceipts.Wrapf("instance %d: the receipt of keeper %x is not its signature", in.Seq, r.Keeper)
		}
		shares += int(c.Keepers[member].Shares)
	}
	if shares < int(c.Threshold) {
		return types.ErrReceipts.Wrapf("instance %d has receipts for %d of %d shares; %d are needed", in.Seq, shares, c.TotalShares(), c.Threshold)
	}
	return nil
}

// holdCommittees keeps the committees of a VM's new instances until releaseCommittees.
func (k *Keeper) holdCommittees(ctx context.Context, id string, list []types.Instance) error {
	for _, d := range byEpoch(list) {
		if err := k.registry.HoldCommittee(ctx, d.epoch, d.instances); err != nil {
			return err
		}
	}
	return k.countDealt(ctx, id, list)
}

// countDealt counts a VM's new instances by committee, so that its end reads none of them.
func (k *Keeper) countDealt(ctx context.Context, id string, list []types.Instance) error {
	for _, d := range byEpoch(list) {
		if err := shift(ctx, k.dealt, collections.Join(id, d.epoch), int64(d.instances)); err != nil {
			return err
		}
	}
	return nil
}

// releaseCommittees is for a VM that needs its secrets no more; its keepers erase them.
func (k *Keeper) releaseCommittees(ctx context.Context, id string) error {
	ctx = prepaid(ctx)
	var list []dealtTo
	of := collections.NewPrefixedPairRange[string, uint64](id)
	err := k.dealt.Walk(ctx, of, func(key dealtKey, n uint64) (bool, error) {
		list = append(list, dealtTo{epoch: key.K2(), instances: n})
		return false, nil
	})
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := k.registry.ReleaseCommittee(ctx, d.epoch, d.instances); err != nil {
			return err
		}
	}
	return k.dealt.Clear(ctx, of)
}

// prepaid is ctx for releasing a VM's committees when it ends: holding them cost more. So its end, which its miner reports in a
// batch with others, costs the same however many there are.
func prepaid(ctx context.Context) context.Context {
	return sdk.UnwrapSDKContext(ctx).WithGasMeter(storetypes.NewInfiniteGasMeter())
}

// dealtTo counts the instances dealt to one committee.
type dealtTo struct{ epoch, instances uint64 }

// byEpoch counts instances by the committee they were dealt to; in the order of the instances.
func byEpoch(list []types.Instance) []dealtTo {
	var out []dealtTo
	for _, in := range list {
		i := slices.IndexFunc(out, func(d dealtTo) bool { return d.epoch == in.CommitteeEpoch })
		if i < 0 {
			i = len(out)
			out = append(out, dealtTo{epoch: in.CommitteeEpoch})
		}
		out[i].instances++
	}
	return out
}

func (k *Keeper) putInstances(ctx context.Context, id string, list []types.Instance) error {
	for _, in := range list {
		if err := k.instances.Set(ctx, collections.Join(id, in.Seq), in); err != nil {
			return err
		}
	}
	return nil
}

// lastInstance dealt of a VM.
func (k *Keeper) lastInstance(ctx context.Context, id string) (uint32, error) {
	last := uint32(0)
	err := k.instances.Walk(ctx, collections.NewPrefixedPairRange[string, uint32](id).Descending(), func(key instanceKey, _ types.Instance) (bool, error) {
		last = key.K2()
		return true, nil
	})
	return last, err
}

// Deal adds the records of further instances; a VM that waited for them is placed.
func (k *Keeper) Deal(ctx context.Context, m *types.MsgDealInstances) error {
	if err := m.ValidateBasic(); err != nil {
		return err
	}
	v, err := k.owned(ctx, m.Owner, m.VmId)
	if err != nil {
		return err
	}
	if v.Ended() {
		return types.ErrWrongPhase.Wrapf("VM %s is %s; it needs no further instances", v.Id, v.Status.Phase.Core())
	}
	last, err := k.lastInstance(ctx, v.Id)
	if err != nil {
		return err
	}
	if m.Instances[0].Seq != last+1 {
		return types.ErrInstances.Wrapf("the first instance dealt is %d; the next is %d", m.Instances[0].Seq, last+1)
	}
	if end := last + uint32(len(m.Instances)); end > v.Status.InstanceSeq+maxAhead {
		return types.ErrInstances.Wrapf("instance %d is too far ahead of the present %d; at most %d", end, v.Status.InstanceSeq, maxAhead)
	}
	if err := k.checkReceipts(ctx, v.Owner, v.Id, m.Instances); err != nil {
		return err
	}
	if err := k.putInstances(ctx, v.Id, m.Instances); err != nil {
		return err
	}
	if err := k.holdCommittees(ctx, v.Id, m.Instances); err != nil {
		return err
	}
	emit(ctx, types.EventInstancesDealt,
		sdk.NewAttribute(types.AttributeVM, v.Id),
		sdk.NewAttribute(types.AttributeOwner, v.Owner),
		sdk.NewAttribute(types.AttributeCount, strconv.Itoa(len(m.Instances))))
	old := v
	v.ChangedHeight = 0
	if v.Status.Phase.Core() == vm.Pending && v.Status.Reason == vm.ReasonSecretsNeeded {
		v.Status.Reason, v.Status.Message = "", ""
		if err := k.enqueue(ctx, v.Id, ready); err != nil {
			return err
		}
	}
	return k.save(ctx, &old, v)
}
