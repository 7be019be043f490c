package keeper

import (
	"context"

	"github.com/cosmos/cosmos-sdk/types/query"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/chain/x/ranking/types"
)

type msgServer struct{ k *Keeper }

// NewMsgServer serves the module's messages.
func NewMsgServer(k *Keeper) types.MsgServer { return msgServer{k} }

func (s msgServer) ClaimEarnings(ctx context.Context, m *types.MsgClaimEarnings) (*types.MsgClaimEarningsResponse, error) {
	uhip, err := s.k.Claim(ctx, m.Operator)
	if err != nil {
		return nil, err
	}
	return &types.MsgClaimEarningsResponse{Uhip: uhip}, nil
}

// maxPage bounds one page of a listing.
const maxPage = 500

type queryServer struct{ k *Keeper }

// NewQueryServer serves the module's queries.
func NewQueryServer(k *Keeper) types.QueryServer { return queryServer{k} }

func (s queryServer) Earnings(ctx context.Context, r *types.QueryEarningsRequest) (*types.QueryEarningsResponse, error) {
	if _, err := account.Parse("operator", r.Operator); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	e, err := s.k.Earnings(ctx, r.Operator)
	return &types.QueryEarningsResponse{Earnings: e}, err
}

func (s queryServer) AllEarnings(ctx context.Context, r *types.QueryAllEarningsRequest) (*types.QueryAllEarningsResponse, error) {
	if r.Pagination != nil && r.Pagination.Limit > maxPage {
		return nil, status.Errorf(codes.InvalidArgument, "a page has at most %d entries", maxPage)
	}
	all, page, err := query.CollectionPaginate(ctx, s.k.earnings, r.Pagination,
		func(_ string, e types.Earnings) (types.Earnings, error) { return e, nil })
	return &types.QueryAllEarningsResponse{Earnings: all, Pagination: page}, err
}
