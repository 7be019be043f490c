package keeper

import (
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hippius/compute/chain/x/credits/types"
	"github.com/hippius/compute/chain/x/internal/account"
)

type queryServer struct{ k *Keeper }

// NewQueryServer serves the module's queries.
func NewQueryServer(k *Keeper) types.QueryServer { return queryServer{k} }

func (s queryServer) Params(ctx context.Context, _ *types.QueryParamsRequest) (*types.QueryParamsResponse, error) {
	p, err := s.k.params.Get(ctx)
	return &types.QueryParamsResponse{Params: p}, err
}

func (s queryServer) Balance(ctx context.Context, r *types.QueryBalanceRequest) (*types.QueryBalanceResponse, error) {
	if _, err := account.Parse("address", r.Address); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	b, err := s.k.Balance(ctx, r.Address)
	return &types.QueryBalanceResponse{Balance: b}, err
}

func (s queryServer) Totals(ctx context.Context, _ *types.QueryTotalsRequest) (*types.QueryTotalsResponse, error) {
	t, err := s.k.totals.Get(ctx)
	if err != nil {
		return nil, err
	}
	p, err := s.k.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	coverage, err := t.Books().Coverage(p.UhipPerCredit)
	return &types.QueryTotalsResponse{Totals: t, Coverage: coverage}, err
}

func (s queryServer) Prices(ctx context.Context, _ *types.QueryPricesRequest) (*types.QueryPricesResponse, error) {
	p, err := s.k.Prices(ctx)
	if err != nil {
		return nil, err
	}
	lowest, highest := p.Range(sdk.UnwrapSDKContext(ctx).BlockTime().Unix())
	return &types.QueryPricesResponse{
		UhipPerCredit: p.Current(), LowestUhipPerCredit: lowest, HighestUhipPerCredit: highest, Prices: types.PricesOf(p),
	}, nil
}
