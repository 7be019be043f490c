package keeper

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	grantv1 "github.com/hippius/compute/api/node/grant/v1"
	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/core/vm"
)

// Release gives the share of one instance to the miner that the chain says holds the VM, once it reported that it
// provisions, for instances up to the current one.
func (k *Keeper) Release(ctx context.Context, r *keeperv1.ReleaseRequest) (*keeperv1.ReleaseResponse, error) {
	from, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkTarget(r.GetVmId(), r.GetSeq()); err != nil {
		return nil, err
	}
	v, found, err := k.set.Chain.VM(ctx, r.GetVmId())
	if err != nil {
		return nil, k.chainDown("vm", err)
	}
	if !found {
		return nil, status.Error(codes.NotFound, "the chain knows no such VM")
	}
	if err := k.mayHave(ctx, v, r.GetSeq(), from); err != nil {
		return nil, err
	}
	return k.give(v.GetOwner(), r.GetVmId(), r.GetSeq(), released{Seq: r.GetSeq(), To: from, Role: roleMiner}, onChain(v, r.GetSeq()))
}

// mayHave decides for a miner. Who it is comes first, so that a stranger learns nothing of the VM.
func (k *Keeper) mayHave(ctx context.Context, v *computev1.VM, seq uint32, from ed25519.PublicKey) error {
	denied := status.Error(codes.PermissionDenied, "the VM is not held by this miner")
	operator := v.GetStatus().GetMiner()
	if operator == "" {
		return denied
	}
	miner, err := k.set.Chain.Miner(ctx, operator)
	if err != nil {
		return k.chainDown("miner", err)
	}
	if miner.GetOperator() != operator || len(miner.GetIdentity()) != ed25519.PublicKeySize || !bytes.Equal(miner.GetIdentity(), from) {
		return denied
	}
	if !running(v.GetStatus().GetPhase()) {
		return status.Errorf(codes.FailedPrecondition, "the VM is in phase %s; secrets are given from provisioning on", v.GetStatus().GetPhase())
	}
	if seq > v.GetStatus().GetInstanceSeq() {
		return status.Errorf(codes.PermissionDenied, "instance %d is not yet; the VM is at %d", seq, v.GetStatus().GetInstanceSeq())
	}
	if onChain(v, seq) == nil {
		return status.Errorf(codes.NotFound, "the chain knows no instance %d of this VM", seq)
	}
	return nil
}

// running says that the miner reported for the VM and may still be at work on it.
func running(p computev1.Phase) bool {
	switch p {
	case computev1.Phase_PHASE_PROVISIONING, computev1.Phase_PHASE_RUNNING, computev1.Phase_PHASE_REBOOTING,
		computev1.Phase_PHASE_STOPPING, computev1.Phase_PHASE_STOPPED:
		return true
	case computev1.Phase_PHASE_UNSPECIFIED, computev1.Phase_PHASE_PENDING, computev1.Phase_PHASE_ASSIGNED,
		computev1.Phase_PHASE_FAILED, computev1.Phase_PHASE_LOST, computev1.Phase_PHASE_ARCHIVED,
		computev1.Phase_PHASE_TERMINATING, computev1.Phase_PHASE_TERMINATED:
		return false
	default:
		return false
	}
}

// OwnerRelease gives the owner a share, on a grant of the wallet.
func (k *Keeper) OwnerRelease(ctx context.Context, r *keeperv1.OwnerReleaseRequest) (*keeperv1.ReleaseResponse, error) {
	h, err := k.owned(ctx, r.GetVmId(), r.GetGrant())
	if err != nil {
		return nil, err
	}
	return k.give(h.Owner, r.GetVmId(), r.GetSeq(), released{Seq: r.GetSeq(), To: r.GetGrant().GetClientKey(), Role: roleOwner}, nil)
}

// Log lists the releases of one VM, for its owner, who shows it with a grant to get its shares.
func (k *Keeper) Log(ctx context.Context, r *keeperv1.LogRequest) (*keeperv1.LogResponse, error) {
	h, err := k.owned(ctx, r.GetVmId(), r.GetGrant())
	if err != nil {
		return nil, err
	}
	out := &keeperv1.LogResponse{}
	for _, e := range h.Log {
		out.Entries = append(out.Entries, &keeperv1.LogEntry{At: e.At, Seq: e.Seq, To: e.To, Role: e.Role})
	}
	return out, nil
}

// owned gives what is held for a VM to the holder of its owner's grant. The owner is the one the deal was taken from,
// from whose address the VM's id was made.
func (k *Keeper) owned(ctx context.Context, vmID string, g *grantv1.Grant) (holding, error) {
	from, err := caller(ctx)
	if err != nil {
		return holding{}, err
	}
	if err := checkTarget(vmID, 1); err != nil {
		return holding{}, err
	}
	h, ok, err := k.vault.holding(vmID)
	if err != nil {
		return holding{}, k.broken("read", vmID, err)
	}
	if !ok {
		return holding{}, status.Error(codes.NotFound, "this keeper holds nothing of that VM")
	}
	return h, k.granted(g, grant.OwnerRelease, vmID, from, h.Owner)
}

// give notes the release, opens the share and hands it over with what lies beside it. want is the chain's record of
// the instance, or nil when the owner asks.
func (k *Keeper) give(owner, vmID string, seq uint32, entry released, want *computev1.Instance) (*keeperv1.ReleaseResponse, error) {
	entry.At = k.set.Now().Unix()
	p, bundle, userData, err := k.vault.release(vmID, seq, entry, func(p part) bool {
		return want == nil || names(want, p.CommitmentHash, p.BundleHash)
	})
	switch {
	case errors.Is(err, errNotHeld):
		return nil, status.Errorf(codes.NotFound, "this keeper holds nothing of instance %d", seq)
	case errors.Is(err, errOtherDeal):
		return nil, status.Errorf(codes.FailedPrecondition, "this keeper holds another deal of instance %d than the chain names", seq)
	case err != nil:
		return nil, k.broken("release", vmID, err)
	}
	share, _, err := k.openShare(vmID, owner, seq, p.Epoch, p.SealedShare, p.Commitment)
	if err != nil {
		return nil, k.broken("open", vmID, err)
	}
	raw, err := share.MarshalBinary()
	if err != nil {
		return nil, k.broken("open", vmID, err)
	}
	k.set.Log.Info("share released", "vm_id", vmID, "instance_seq", seq, "role", entry.Role)
	return &keeperv1.ReleaseResponse{Share: raw, Commitment: p.Commitment, SealedBundle: bundle, SealedUserData: userData}, nil
}

func checkTarget(vmID string, seq uint32) error {
	if _, err := vm.ParseID(vmID); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if seq == 0 {
		return status.Error(codes.InvalidArgument, "seq: instances begin with 1")
	}
	return nil
}
