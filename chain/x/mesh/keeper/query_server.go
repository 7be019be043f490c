package keeper

import (
	"context"
	"errors"
	"math"

	"cosmossdk.io/collections"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/chain/x/mesh/types"
)

// maxPage bounds a listing of tenants, and is its default.
const maxPage = 500

// MaxPageBytes is how large a listing of tenants grows before the next page begins: with the largest tenant beyond it, it
// is within what a client accepts as one answer.
const MaxPageBytes = 4 << 20

type queryServer struct{ k *Keeper }

// NewQueryServer serves the module's queries.
func NewQueryServer(k *Keeper) types.QueryServer { return queryServer{k} }

func (s queryServer) Params(ctx context.Context, _ *types.QueryParamsRequest) (*types.QueryParamsResponse, error) {
	p, err := s.k.params.Get(ctx)
	return &types.QueryParamsResponse{Params: p}, err
}

func (s queryServer) Tenant(ctx context.Context, r *types.QueryTenantRequest) (*types.QueryTenantResponse, error) {
	if _, err := account.Parse("owner", r.Owner); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	t, err := s.k.Tenant(ctx, r.Owner)
	if errors.Is(err, types.ErrNoTenant) {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	return &types.QueryTenantResponse{Tenant: t}, err
}

func (s queryServer) Tenants(ctx context.Context, r *types.QueryTenantsRequest) (*types.QueryTenantsResponse, error) {
	if r.AfterHeight < 0 || r.AfterHeight == math.MaxInt64 {
		return nil, status.Errorf(codes.InvalidArgument, "after_height %d is no height", r.AfterHeight)
	}
	limit := maxPage
	if r.Limit > 0 && r.Limit < maxPage {
		limit = int(r.Limit)
	}
	rng := new(collections.Range[collections.Pair[int64, string]])
	if r.AfterOwner == "" {
		rng.StartInclusive(collections.PairPrefix[int64, string](r.AfterHeight + 1))
	} else {
		if _, err := account.Parse("after_owner", r.AfterOwner); err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		rng.StartExclusive(collections.Join(r.AfterHeight, r.AfterOwner))
	}
	out := &types.QueryTenantsResponse{Height: sdk.UnwrapSDKContext(ctx).BlockHeight()}
	size := 0
	err := s.k.changed.Walk(ctx, rng, func(key collections.Pair[int64, string]) (bool, error) {
		if len(out.Tenants) == limit || size >= MaxPageBytes {
			out.More = true
			return true, nil
		}
		t, err := s.k.tenants.Get(ctx, key.K2())
		out.Tenants = append(out.Tenants, t)
		size += t.Size()
		return false, err
	})
	return out, err
}

func (s queryServer) Lighthouses(ctx context.Context, _ *types.QueryLighthousesRequest) (*types.QueryLighthousesResponse, error) {
	all, err := s.k.listed(ctx)
	return &types.QueryLighthousesResponse{Lighthouses: all, Height: sdk.UnwrapSDKContext(ctx).BlockHeight()}, err
}
