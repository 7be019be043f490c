package keeper

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	grantv1 "github.com/hippius/compute/api/node/grant/v1"
	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/secretshare"
)

// Release gives the shares of one instance to the miner that the chain says holds the VM, once it reported that it
// provisions, for instances up to the current one.
func (k *Keeper) Release(ctx context.Context, r *keeperv1.ReleaseRequest) (*keeperv1.ReleaseResponse, error) {
	from, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	id, err := target(r.GetVmId(), r.GetSeq())
	if err != nil {
		return nil, err
	}
	v, found, err := k.set.Chain.VM(ctx, id)
	if err != nil {
		return nil, k.chainDown("vm", err)
	}
	if !found {
		return nil, status.Error(codes.NotFound, "the chain knows no such VM")
	}
	named, err := k.mayHave(ctx, v, r.GetSeq(), from)
	if err != nil {
		return nil, err
	}
	return k.give(v.Owner, id, r.GetSeq(), released{Seq: r.GetSeq(), To: from, Role: roleMiner}, &named)
}

// mayHave decides for a miner. Who it is comes first, so that a stranger learns nothing of the VM. It gives the chain's
// record of the instance.
func (k *Keeper) mayHave(ctx context.Context, v vm.VM, seq uint32, from ed25519.PublicKey) (vm.Instance, error) {
	var none vm.Instance
	denied := status.Error(codes.PermissionDenied, "the VM is not held by this miner")
	operator := v.Status.Miner
	if operator == "" {
		return none, denied
	}
	miner, err := k.set.Chain.Miner(ctx, operator)
	if err != nil {
		return none, k.chainDown("miner", err)
	}
	if miner.Operator != operator || len(miner.Identity) != ed25519.PublicKeySize || !bytes.Equal(miner.Identity, from) {
		return none, denied
	}
	if !running(v.Status.Phase) {
		return none, status.Errorf(codes.FailedPrecondition, "the VM is in phase %s; secrets are given from provisioning on", v.Status.Phase)
	}
	if seq > v.Status.InstanceSeq {
		return none, status.Errorf(codes.PermissionDenied, "instance %d is not yet; the VM is at %d", seq, v.Status.InstanceSeq)
	}
	named, ok := v.Instance(seq)
	if !ok {
		return none, status.Errorf(codes.NotFound, "the chain knows no instance %d of this VM", seq)
	}
	return named, nil
}

// running says that the miner reported for the VM and may still be at work on it.
func running(p vm.Phase) bool {
	switch p {
	case vm.Provisioning, vm.Running, vm.Rebooting, vm.Stopping, vm.Stopped:
		return true
	case vm.Pending, vm.Assigned, vm.Failed, vm.Lost, vm.Archived, vm.Terminating, vm.Terminated:
		return false
	default:
		return false
	}
}

// OwnerRelease gives the owner the shares, on a grant of the wallet.
func (k *Keeper) OwnerRelease(ctx context.Context, r *keeperv1.OwnerReleaseRequest) (*keeperv1.ReleaseResponse, error) {
	id, h, err := k.owned(ctx, r.GetVmId(), r.GetGrant())
	if err != nil {
		return nil, err
	}
	return k.give(h.Owner, id, r.GetSeq(), released{Seq: r.GetSeq(), To: r.GetGrant().GetClientKey(), Role: roleOwner}, nil)
}

// Log lists the releases of one VM, for its owner, who shows it with a grant to get its shares.
func (k *Keeper) Log(ctx context.Context, r *keeperv1.LogRequest) (*keeperv1.LogResponse, error) {
	_, h, err := k.owned(ctx, r.GetVmId(), r.GetGrant())
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
func (k *Keeper) owned(ctx context.Context, rawID string, g *grantv1.Grant) (vm.ID, holding, error) {
	from, err := caller(ctx)
	if err != nil {
		return "", holding{}, err
	}
	id, err := target(rawID, 1)
	if err != nil {
		return "", holding{}, err
	}
	h, ok, err := k.vault.holding(id)
	if err != nil {
		return "", holding{}, k.broken("read", id, err)
	}
	if !ok {
		return "", holding{}, status.Error(codes.NotFound, "this keeper holds nothing of that VM")
	}
	return id, h, k.granted(g, grant.OwnerRelease, id, from, h.Owner)
}

// give notes the release, opens the shares and hands them over with what lies beside them. want is the chain's record of
// the instance, or nil when the owner asks.
func (k *Keeper) give(owner string, id vm.ID, seq uint32, entry released, want *vm.Instance) (*keeperv1.ReleaseResponse, error) {
	entry.At = k.set.Now().Unix()
	p, bundle, userData, err := k.vault.release(id, seq, entry, func(p part) bool {
		return want == nil || names(*want, p.CommitmentHash, p.BundleHash)
	})
	switch {
	case errors.Is(err, errNotHeld):
		return nil, status.Errorf(codes.NotFound, "this keeper holds nothing of instance %d", seq)
	case errors.Is(err, errOtherDeal):
		return nil, status.Errorf(codes.FailedPrecondition, "this keeper holds another deal of instance %d than the chain names", seq)
	case err != nil:
		return nil, k.broken("release", id, err)
	}
	shares, _, err := k.openShares(id, owner, seq, p.Epoch, p.SealedShares, p.Commitment)
	if err != nil {
		return nil, k.broken("open", id, err)
	}
	raw, err := secretshare.MarshalShares(shares)
	if err != nil {
		return nil, k.broken("open", id, err)
	}
	k.set.Log.Info("shares released", "vm_id", id, "instance_seq", seq, "role", entry.Role)
	return &keeperv1.ReleaseResponse{Shares: raw, Commitment: p.Commitment, SealedBundle: bundle, SealedUserData: userData}, nil
}

// target checks what a caller names.
func target(rawID string, seq uint32) (vm.ID, error) {
	id, err := vm.ParseID(rawID)
	if err != nil {
		return "", status.Error(codes.InvalidArgument, err.Error())
	}
	if seq == 0 {
		return "", status.Error(codes.InvalidArgument, "seq: instances begin with 1")
	}
	return id, nil
}
