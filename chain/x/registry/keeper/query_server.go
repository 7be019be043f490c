package keeper

import (
	"context"
	"errors"

	"cosmossdk.io/collections"
	"github.com/cosmos/cosmos-sdk/types/query"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/chain/x/registry/types"
)

// maxPage bounds a page of miners.
const maxPage = 500

type queryServer struct{ k *Keeper }

// NewQueryServer serves the module's queries.
func NewQueryServer(k *Keeper) types.QueryServer { return queryServer{k} }

func (s queryServer) Params(ctx context.Context, _ *types.QueryParamsRequest) (*types.QueryParamsResponse, error) {
	p, err := s.k.params.Get(ctx)
	return &types.QueryParamsResponse{Params: p}, err
}

func (s queryServer) Miner(ctx context.Context, r *types.QueryMinerRequest) (*types.QueryMinerResponse, error) {
	if _, err := account.Parse("operator", r.Operator); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	m, err := s.k.Miner(ctx, r.Operator)
	if errors.Is(err, types.ErrUnknownMiner) {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	return &types.QueryMinerResponse{Miner: m}, err
}

func (s queryServer) Miners(ctx context.Context, r *types.QueryMinersRequest) (*types.QueryMinersResponse, error) {
	page := r.Pagination
	if page != nil && page.Limit > maxPage {
		return nil, status.Errorf(codes.InvalidArgument, "a page of %d miners; at most %d", page.Limit, maxPage)
	}
	miners, next, err := query.CollectionPaginate(ctx, s.k.miners, page,
		func(_ string, m types.Miner) (types.Miner, error) { return m, nil })
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &types.QueryMinersResponse{Miners: miners, Pagination: next}, nil
}

func (s queryServer) Keeper(ctx context.Context, r *types.QueryKeeperRequest) (*types.QueryKeeperResponse, error) {
	if _, err := account.Parse("operator", r.Operator); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	custodian, err := s.k.custodians.Get(ctx, r.Operator)
	if errors.Is(err, collections.ErrNotFound) {
		return nil, status.Errorf(codes.NotFound, "account %s has not registered a keeper", r.Operator)
	}
	return &types.QueryKeeperResponse{Keeper: custodian}, err
}

func (s queryServer) Committee(ctx context.Context, r *types.QueryCommitteeRequest) (*types.QueryCommitteeResponse, error) {
	var c types.Committee
	var err error
	if r.Epoch == 0 {
		c, err = s.k.Committee(ctx)
	} else {
		c, err = s.k.CommitteeOf(ctx, r.Epoch)
	}
	if errors.Is(err, types.ErrUnknownCommittee) {
		return nil, status.Error(codes.NotFound, err.Error())
	}
	if err != nil {
		return nil, err
	}
	c, err = s.k.reachable(ctx, c)
	return &types.QueryCommitteeResponse{Committee: c}, err
}
