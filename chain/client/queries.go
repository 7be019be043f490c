package client

import (
	"context"
	"fmt"
	"strconv"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	creditsv1 "github.com/hippius/compute/api/chain/credits/v1"
	marketplacev1 "github.com/hippius/compute/api/chain/marketplace/v1"
	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	rankingv1 "github.com/hippius/compute/api/chain/ranking/v1"
	registryv1 "github.com/hippius/compute/api/chain/registry/v1"
	bankv1beta1 "github.com/hippius/compute/api/cosmos/bank/v1beta1"
	queryv1beta1 "github.com/hippius/compute/api/cosmos/base/query/v1beta1"
)

// Queries fail with ErrNotFound, ErrRefused or ErrUnavailable. Lists are whole: pages are fetched until the last.

const (
	// pageSize of listings; VMs carry up to 16 instances with their receipts.
	pageSize = 64
	// maxPages bounds a listing, so that a node gone wrong cannot keep us forever.
	maxPages = 10_000
	denom    = "uhip"
)

// Params of the modules that a client reckons with.
type Params struct {
	Credits     *creditsv1.Params
	Marketplace *marketplacev1.Params
	Registry    *registryv1.Params
	Compute     *computev1.Params
	Mesh        *meshv1.Params
}

// Params asks every module for its parameters.
func (c *Client) Params(ctx context.Context) (Params, error) {
	credits, err := c.credits.Params(ctx, &creditsv1.QueryParamsRequest{})
	if err != nil {
		return Params{}, queryError("credits parameters", err)
	}
	marketplace, err := c.marketplace.Params(ctx, &marketplacev1.QueryParamsRequest{})
	if err != nil {
		return Params{}, queryError("marketplace parameters", err)
	}
	registry, err := c.registry.Params(ctx, &registryv1.QueryParamsRequest{})
	if err != nil {
		return Params{}, queryError("registry parameters", err)
	}
	compute, err := c.compute.Params(ctx, &computev1.QueryParamsRequest{})
	if err != nil {
		return Params{}, queryError("compute parameters", err)
	}
	mesh, err := c.mesh.Params(ctx, &meshv1.QueryParamsRequest{})
	if err != nil {
		return Params{}, queryError("mesh parameters", err)
	}
	return Params{
		Credits: credits.GetParams(), Marketplace: marketplace.GetParams(), Registry: registry.GetParams(),
		Compute: compute.GetParams(), Mesh: mesh.GetParams(),
	}, nil
}

// Balance of an account in credits; zero for an account the chain does not know.
func (c *Client) Balance(ctx context.Context, address string) (*creditsv1.Balance, error) {
	r, err := c.credits.Balance(ctx, &creditsv1.QueryBalanceRequest{Address: address})
	if err != nil {
		return nil, queryError("balance of "+address, err)
	}
	return r.GetBalance(), nil
}

// Totals are the books of x/credits.
func (c *Client) Totals(ctx context.Context) (*creditsv1.QueryTotalsResponse, error) {
	r, err := c.credits.Totals(ctx, &creditsv1.QueryTotalsRequest{})
	if err != nil {
		return nil, queryError("totals", err)
	}
	return r, nil
}

// Uhip is an account's staking coins.
func (c *Client) Uhip(ctx context.Context, address string) (uint64, error) {
	r, err := c.bank.Balance(ctx, &bankv1beta1.QueryBalanceRequest{Address: address, Denom: denom})
	if err != nil {
		return 0, queryError("coins of "+address, err)
	}
	n, err := strconv.ParseUint(r.GetBalance().GetAmount(), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("coins of %s: %w", address, err)
	}
	return n, nil
}

// Plans with their prices, smallest first.
func (c *Client) Plans(ctx context.Context) ([]*marketplacev1.PlanPrice, error) {
	r, err := c.marketplace.Plans(ctx, &marketplacev1.QueryPlansRequest{})
	if err != nil {
		return nil, queryError("plans", err)
	}
	return r.GetPlans(), nil
}

// Images of the catalogue.
func (c *Client) Images(ctx context.Context) ([]*marketplacev1.Image, error) {
	r, err := c.marketplace.Images(ctx, &marketplacev1.QueryImagesRequest{})
	if err != nil {
		return nil, queryError("images", err)
	}
	return r.GetImages(), nil
}

// Apps of the catalogue.
func (c *Client) Apps(ctx context.Context) ([]*marketplacev1.App, error) {
	r, err := c.marketplace.Apps(ctx, &marketplacev1.QueryAppsRequest{})
	if err != nil {
		return nil, queryError("applications", err)
	}
	return r.GetApps(), nil
}

// Quote says what a VM of a plan would cost the account.
func (c *Client) Quote(ctx context.Context, account, plan string) (*marketplacev1.QueryQuoteResponse, error) {
	r, err := c.marketplace.Quote(ctx, &marketplacev1.QueryQuoteRequest{Account: account, Plan: plan})
	if err != nil {
		return nil, queryError("quote for "+plan, err)
	}
	return r, nil
}

// Meter of an account: rate, accrued, runway.
func (c *Client) Meter(ctx context.Context, account string) (*marketplacev1.QueryMeterResponse, error) {
	r, err := c.marketplace.Meter(ctx, &marketplacev1.QueryMeterRequest{Account: account})
	if err != nil {
		return nil, queryError("meter of "+account, err)
	}
	return r, nil
}

// Miner by its operator's address.
func (c *Client) Miner(ctx context.Context, operator string) (*registryv1.Miner, error) {
	r, err := c.registry.Miner(ctx, &registryv1.QueryMinerRequest{Operator: operator})
	if err != nil {
		return nil, queryError("miner "+operator, err)
	}
	return r.GetMiner(), nil
}

// Miners there are.
func (c *Client) Miners(ctx context.Context) ([]*registryv1.Miner, error) {
	return collect("miners", func(page *queryv1beta1.PageRequest) ([]*registryv1.Miner, *queryv1beta1.PageResponse, error) {
		r, err := c.registry.Miners(ctx, &registryv1.QueryMinersRequest{Pagination: page})
		return r.GetMiners(), r.GetPagination(), err
	})
}

// Committee of keepers to deal to.
func (c *Client) Committee(ctx context.Context) (*registryv1.Committee, error) {
	r, err := c.registry.Committee(ctx, &registryv1.QueryCommitteeRequest{})
	if err != nil {
		return nil, queryError("keeper committee", err)
	}
	return r.GetCommittee(), nil
}

// SSHKeys of an account.
func (c *Client) SSHKeys(ctx context.Context, owner string) ([]*computev1.SSHKey, error) {
	r, err := c.compute.SSHKeys(ctx, &computev1.QuerySSHKeysRequest{Owner: owner})
	if err != nil {
		return nil, queryError("SSH keys of "+owner, err)
	}
	return r.GetKeys(), nil
}

// VM by its id.
func (c *Client) VM(ctx context.Context, id string) (*computev1.VM, error) {
	r, err := c.compute.VM(ctx, &computev1.QueryVMRequest{Id: id})
	if err != nil {
		return nil, queryError("VM "+id, err)
	}
	return r.GetVm(), nil
}

// VMByName is the account's VM of that name which is not terminated.
func (c *Client) VMByName(ctx context.Context, owner, name string) (*computev1.VM, error) {
	r, err := c.compute.VM(ctx, &computev1.QueryVMRequest{Owner: owner, Name: name})
	if err != nil {
		return nil, queryError("VM "+name, err)
	}
	return r.GetVm(), nil
}

// VMs of an account; terminated ones only on request.
func (c *Client) VMs(ctx context.Context, owner string, terminated bool) ([]*computev1.VM, error) {
	return collect("VMs of "+owner, func(page *queryv1beta1.PageRequest) ([]*computev1.VM, *queryv1beta1.PageResponse, error) {
		r, err := c.compute.VMs(ctx, &computev1.QueryVMsRequest{Owner: owner, Terminated: terminated, Pagination: page})
		return r.GetVms(), r.GetPagination(), err
	})
}

// Head is the newest block that a guest may sign.
func (c *Client) Head(ctx context.Context) (*computev1.Head, error) {
	r, err := c.compute.Head(ctx, &computev1.QueryHeadRequest{})
	if err != nil {
		return nil, queryError("newest block", err)
	}
	return r.GetHead(), nil
}

// Tenant is an account's place in the mesh.
func (c *Client) Tenant(ctx context.Context, owner string) (*meshv1.Tenant, error) {
	r, err := c.mesh.Tenant(ctx, &meshv1.QueryTenantRequest{Owner: owner})
	if err != nil {
		return nil, queryError("tenant "+owner, err)
	}
	return r.GetTenant(), nil
}

// Lighthouses there are.
func (c *Client) Lighthouses(ctx context.Context) ([]*meshv1.Lighthouse, error) {
	r, err := c.mesh.Lighthouses(ctx, &meshv1.QueryLighthousesRequest{})
	if err != nil {
		return nil, queryError("lighthouses", err)
	}
	return r.GetLighthouses(), nil
}

// Earnings of a miner.
func (c *Client) Earnings(ctx context.Context, operator string) (*rankingv1.Earnings, error) {
	r, err := c.ranking.Earnings(ctx, &rankingv1.QueryEarningsRequest{Operator: operator})
	if err != nil {
		return nil, queryError("earnings of "+operator, err)
	}
	return r.GetEarnings(), nil
}

func collect[T any](what string, fetch func(*queryv1beta1.PageRequest) ([]T, *queryv1beta1.PageResponse, error)) ([]T, error) {
	var all []T
	var key []byte
	for range maxPages {
		items, page, err := fetch(&queryv1beta1.PageRequest{Key: key, Limit: pageSize})
		if err != nil {
			return nil, queryError(what, err)
		}
		all = append(all, items...)
		if key = page.GetNextKey(); len(key) == 0 {
			return all, nil
		}
	}
	return nil, fmt.Errorf("%s: the list does not end", what)
}
