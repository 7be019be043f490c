package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/core/text"
	"github.com/hippius/compute/core/vm"
)

// maxVMPage bounds a page of an owner's VMs.
const maxVMPage = 100

// MaxPageBytes is how large a listing of VMs grows before the next page begins: with the largest VM beyond it, it is
// within what a client accepts as one answer, and with what is read for it and not shown within what a query may cost.
const MaxPageBytes = 4 << 20

type queryServer struct{ k *Keeper }

// NewQueryServer serves the module's queries.
func NewQueryServer(k *Keeper) types.QueryServer { return queryServer{k} }

func (s queryServer) Params(ctx context.Context, _ *types.QueryParamsRequest) (*types.QueryParamsResponse, error) {
	p, err := s.k.params.Get(ctx)
	return &types.QueryParamsResponse{Params: p}, err
}

func (s queryServer) SSHKeys(ctx context.Context, r *types.QuerySSHKeysRequest) (*types.QuerySSHKeysResponse, error) {
	if err := checkAddress("owner", r.Owner); err != nil {
		return nil, err
	}
	it, err := s.k.keys.Iterate(ctx, collections.NewPrefixedPairRange[string, string](r.Owner))
	if err != nil {
		return nil, err
	}
	keys, err := it.Values() // bounded by max_keys_per_account; closes it
	return &types.QuerySSHKeysResponse{Keys: keys}, err
}

func (s queryServer) VM(ctx context.Context, r *types.QueryVMRequest) (*types.QueryVMResponse, error) {
	id, err := s.id(ctx, r)
	if err != nil {
		return nil, err
	}
	v, err := s.k.VM(ctx, id)
	if errors.Is(err, types.ErrUnknownVM) {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	if err != nil {
		return nil, err
	}
	v, err = s.shown(ctx, v)
	return &types.QueryVMResponse{Vm: v, Height: sdk.UnwrapSDKContext(ctx).BlockHeight()}, err
}

// id of the VM that is asked for, by id or by owner and name.
func (s queryServer) id(ctx context.Context, r *types.QueryVMRequest) (string, error) {
	if r.Id != "" {
		if _, err := vm.ParseID(r.Id); err != nil {
			return "", status.Error(codes.InvalidArgument, err.Error())
		}
		return r.Id, nil
	}
	if err := checkAddress("owner", r.Owner); err != nil {
		return "", err
	}
	if err := text.ValidName("VM name", r.Name); err != nil {
		return "", status.Error(codes.InvalidArgument, err.Error())
	}
	id, err := s.k.names.Get(ctx, collections.Join(r.Owner, r.Name))
	if errors.Is(err, collections.ErrNotFound) {
		return "", status.Errorf(codes.NotFound, "account %s has no VM named %q", r.Owner, r.Name)
	}
	return id, err
}

// shown is a VM as queries give it.
func (s queryServer) shown(ctx context.Context, v types.VM) (types.VM, error) {
	v, err := s.k.full(ctx, v)
	if err != nil || v.Status.Phase.Core() != vm.Pending {
		return v, err
	}
	if v.Status.QueuePlace, err = s.k.queuePlace(ctx, v.Id); err != nil {
		return v, err
	}
	v.Status.MinersSearched, v.Status.MinersTotal, err = s.k.searched(ctx, &v)
	return v, err
}

func (s queryServer) VMs(ctx context.Context, r *types.QueryVMsRequest) (*types.QueryVMsResponse, error) {
	if err := checkAddress("owner", r.Owner); err != nil {
		return nil, err
	}
	if r.Pagination != nil && r.Pagination.Limit > maxVMPage {
		return nil, status.Errorf(codes.InvalidArgument, "a page of %d VMs; at most %d", r.Pagination.Limit, maxVMPage)
	}
	index := s.k.live
	if r.Terminated {
		index = s.k.owners
	}
	ids, page, err := idsOf(ctx, index, r.Owner, r.Pagination)
	if err != nil {
		return nil, err
	}
	out := &types.QueryVMsResponse{Pagination: page}
	for size := 0; len(out.Vms) < len(ids) && size < MaxPageBytes; {
		v, err := s.k.VM(ctx, ids[len(out.Vms)])
		if err != nil {
			return nil, err
		}
		if v, err = s.shown(ctx, v); err != nil {
			return nil, err
		}
		out.Vms = append(out.Vms, v)
		size += v.Size()
	}
	if n := len(out.Vms); n < len(ids) { // the page ends before
		var shorter query.PageRequest
		if r.Pagination != nil {
			shorter = *r.Pagination
		}
		shorter.Limit = uint64(n)
		_, out.Pagination, err = idsOf(ctx, index, r.Owner, &shorter)
	}
	return out, err
}

// idsOf an owner's VMs on one page of an index.
func idsOf(ctx context.Context, index collections.KeySet[ownerKey], owner string, page *query.PageRequest) ([]string, *query.PageResponse, error) {
	ids, next, err := query.CollectionPaginate(ctx, index, page,
		func(key ownerKey, _ collections.NoValue) (string, error) { return key.K2(), nil },
		query.WithCollectionPaginationPairPrefix[string, string](owner))
	if err != nil {
		return nil, nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return ids, next, nil
}

func (s queryServer) Head(ctx context.Context, _ *types.QueryHeadRequest) (*types.QueryHeadResponse, error) {
	head, err := s.k.head(ctx)
	return &types.QueryHeadResponse{Head: head}, err
}

func checkAddress(what, s string) error {
	if _, err := account.Parse(what, s); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return nil
}
