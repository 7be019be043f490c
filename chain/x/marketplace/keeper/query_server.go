package keeper

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	addr "github.com/hippius/compute/chain/x/internal/account"
	"github.com/hippius/compute/chain/x/internal/records"
	"github.com/hippius/compute/chain/x/marketplace/types"
)

type queryServer struct{ k *Keeper }

// NewQueryServer serves the module's queries.
func NewQueryServer(k *Keeper) types.QueryServer { return queryServer{k} }

func (s queryServer) Params(ctx context.Context, _ *types.QueryParamsRequest) (*types.QueryParamsResponse, error) {
	p, err := s.k.params.Get(ctx)
	return &types.QueryParamsResponse{Params: p}, err
}

func (s queryServer) Plans(ctx context.Context, _ *types.QueryPlansRequest) (*types.QueryPlansResponse, error) {
	params, err := s.k.params.Get(ctx)
	if err != nil {
		return nil, err
	}
	plans, err := s.k.allPlans(ctx)
	if err != nil {
		return nil, err
	}
	out := &types.QueryPlansResponse{}
	for _, p := range plans {
		r, err := params.Prices().Quote(p.Size)
		if err != nil {
			return nil, err
		}
		out.Plans = append(out.Plans, types.PlanPrice{Plan: types.PlanOf(p), RunningUcreditPerHour: r.Running, StoppedUcreditPerHour: r.Stopped})
	}
	return out, nil
}

func (s queryServer) Images(ctx context.Context, _ *types.QueryImagesRequest) (*types.QueryImagesResponse, error) {
	images, err := records.All(ctx, s.k.images)
	return &types.QueryImagesResponse{Images: images}, err
}

func (s queryServer) Apps(ctx context.Context, _ *types.QueryAppsRequest) (*types.QueryAppsResponse, error) {
	apps, err := records.All(ctx, s.k.apps)
	return &types.QueryAppsResponse{Apps: apps}, err
}

func (s queryServer) Meter(ctx context.Context, r *types.QueryMeterRequest) (*types.QueryMeterResponse, error) {
	if _, err := addr.Parse("account", r.Account); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	a, err := s.k.exact(ctx, r.Account)
	if err != nil {
		return nil, err
	}
	runway, ok := a.meter.Runway(a.balance, a.holdback())
	return &types.QueryMeterResponse{
		Meter: types.MeterOf(r.Account, a.meter), UcreditPerHour: a.meter.Rate, AccruedUcredit: a.meter.OwedUcredit(),
		OwedUnits:       a.meter.OwedUnits(),
		HoldbackUcredit: a.holdback(), BalanceUcredit: a.balance, RunwaySeconds: runway, HasRunway: ok, BlockTime: a.now,
	}, nil
}

func (s queryServer) Quote(ctx context.Context, r *types.QueryQuoteRequest) (*types.QueryQuoteResponse, error) {
	running, stopped, err := s.k.Quote(ctx, r.Plan)
	if err != nil {
		return nil, err
	}
	// Without an account the quote is that of one that has nothing.
	if r.Account != "" {
		if _, err := addr.Parse("account", r.Account); err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
	}
	a, err := s.k.exact(ctx, r.Account)
	if err != nil {
		return nil, err
	}
	out := &types.QueryQuoteResponse{
		RunningUcreditPerHour: running, StoppedUcreditPerHour: stopped,
		HoldbackUcredit:  a.params.Holdback(a.meter.DiskRate + stopped), // both bounded far below 2^63
		MinCreateUcredit: a.params.MinCreateUcredit,
	}
	out.MissingUcredit = max(a.missingToCreate(), a.missingBeyond(out.HoldbackUcredit))
	if err := shiftDisk(a, stopped, 1); err != nil {
		return nil, err
	}
	if err := a.meter.ShiftRate(a.now, int64(running)); err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	out.RunwaySeconds, _ = a.meter.Runway(a.balance, a.holdback())
	return out, nil
}
