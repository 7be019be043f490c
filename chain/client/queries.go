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
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/params"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
)

// Queries fail with ErrNotFound, ErrRefused or ErrUnavailable. Lists are whole: pages are fetched until the last.

const (
	// pageSize of listings; VMs carry up to 16 instances with their receipts.
	pageSize = 64
	// tenantsPage of listings of tenants, which are smaller.
	tenantsPage = 4 * pageSize
	// maxPages bounds a listing, so that a node gone wrong cannot keep us forever.
	maxPages = 10_000
	denom    = "uhip"
)

// Params asks the modules for the parameters that a client reckons with.
func (c *Client) Params(ctx context.Context) (params.Params, error) {
	credits, err := c.credits.Params(ctx, &creditsv1.QueryParamsRequest{})
	if err != nil {
		return params.Params{}, queryError("credits parameters", err)
	}
	marketplace, err := c.marketplace.Params(ctx, &marketplacev1.QueryParamsRequest{})
	if err != nil {
		return params.Params{}, queryError("marketplace parameters", err)
	}
	registry, err := c.registry.Params(ctx, &registryv1.QueryParamsRequest{})
	if err != nil {
		return params.Params{}, queryError("registry parameters", err)
	}
	compute, err := c.compute.Params(ctx, &computev1.QueryParamsRequest{})
	if err != nil {
		return params.Params{}, queryError("compute parameters", err)
	}
	d := &decoder{}
	return done(d, "parameters", decodeParams(d, credits.GetParams(), marketplace.GetParams(), registry.GetParams(), compute.GetParams()))
}

// Balance of an account in credits; zero for an account the chain does not know.
func (c *Client) Balance(ctx context.Context, address string) (credit.Balance, error) {
	r, err := c.credits.Balance(ctx, &creditsv1.QueryBalanceRequest{Address: address})
	return one("balance of "+address, err, r.GetBalance(), decodeBalance)
}

// Books of x/credits.
func (c *Client) Books(ctx context.Context) (credit.Books, error) {
	r, err := c.credits.Totals(ctx, &creditsv1.QueryTotalsRequest{})
	return one("totals", err, r.GetTotals(), decodeBooks)
}

// Prices of a credit, now and in the last 7 days.
func (c *Client) Prices(ctx context.Context) (credit.PriceRange, error) {
	r, err := c.credits.Prices(ctx, &creditsv1.QueryPricesRequest{})
	return one("prices of a credit", err, r, decodePrices)
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
func (c *Client) Plans(ctx context.Context) ([]plan.Priced, error) {
	r, err := c.marketplace.Plans(ctx, &marketplacev1.QueryPlansRequest{})
	return whole("plans", err, r.GetPlans(), decodePrice)
}

// Images of the catalogue.
func (c *Client) Images(ctx context.Context) ([]plan.Image, error) {
	r, err := c.marketplace.Images(ctx, &marketplacev1.QueryImagesRequest{})
	return whole("images", err, r.GetImages(), decodeImage)
}

// Apps of the catalogue.
func (c *Client) Apps(ctx context.Context) ([]plan.App, error) {
	r, err := c.marketplace.Apps(ctx, &marketplacev1.QueryAppsRequest{})
	return whole("applications", err, r.GetApps(), decodeApp)
}

// Quote says what a VM of a plan would cost the account.
func (c *Client) Quote(ctx context.Context, account, name string) (plan.Quote, error) {
	r, err := c.marketplace.Quote(ctx, &marketplacev1.QueryQuoteRequest{Account: account, Plan: name})
	return one("quote for "+name, err, r, decodeQuote)
}

// Statement of what an account is charged.
func (c *Client) Statement(ctx context.Context, account string) (credit.Statement, error) {
	r, err := c.marketplace.Meter(ctx, &marketplacev1.QueryMeterRequest{Account: account})
	return one("meter of "+account, err, r, decodeStatement)
}

// Miner by its operator's address.
func (c *Client) Miner(ctx context.Context, operator string) (node.Miner, error) {
	r, err := c.registry.Miner(ctx, &registryv1.QueryMinerRequest{Operator: operator})
	return one("miner "+operator, err, r.GetMiner(), decodeMiner)
}

// Miners there are.
func (c *Client) Miners(ctx context.Context) ([]node.Miner, error) {
	return collect("miners", decodeMiner, func(page *queryv1beta1.PageRequest) ([]*registryv1.Miner, *queryv1beta1.PageResponse, error) {
		r, err := c.registry.Miners(ctx, &registryv1.QueryMinersRequest{Pagination: page})
		return r.GetMiners(), r.GetPagination(), err
	})
}

// Keeper of an operator as it is registered; ErrNotFound if it has none.
func (c *Client) Keeper(ctx context.Context, operator string) (node.Keeper, error) {
	r, err := c.registry.Keeper(ctx, &registryv1.QueryKeeperRequest{Operator: operator})
	return one("keeper of "+operator, err, r.GetKeeper(), decodeKeeper)
}

// Committee of keepers to deal to.
func (c *Client) Committee(ctx context.Context) (node.Committee, error) {
	r, err := c.registry.Committee(ctx, &registryv1.QueryCommitteeRequest{})
	return one("keeper committee", err, r.GetCommittee(), decodeCommittee)
}

// CommitteeOf an epoch, with the endpoints its keepers have now; ErrNotFound if the chain knows none of it, or no VM needs it any more.
func (c *Client) CommitteeOf(ctx context.Context, epoch uint64) (node.Committee, error) {
	what := fmt.Sprintf("keeper committee %d", epoch)
	if epoch == 0 {
		return node.Committee{}, fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	r, err := c.registry.Committee(ctx, &registryv1.QueryCommitteeRequest{Epoch: epoch})
	return one(what, err, r.GetCommittee(), func(d *decoder, m *registryv1.Committee) node.Committee {
		out := decodeCommittee(d, m)
		if out.Epoch != epoch {
			d.fail("the answer is of epoch %d", out.Epoch)
		}
		return out
	})
}

// SSHKeys of an account.
func (c *Client) SSHKeys(ctx context.Context, owner string) ([]vm.SSHKey, error) {
	r, err := c.compute.SSHKeys(ctx, &computev1.QuerySSHKeysRequest{Owner: owner})
	return whole("SSH keys of "+owner, err, r.GetKeys(), decodeSSHKey)
}

// VM by its id.
func (c *Client) VM(ctx context.Context, id vm.ID) (vm.VM, error) {
	r, err := c.compute.VM(ctx, &computev1.QueryVMRequest{Id: string(id)})
	return one("VM "+string(id), err, r.GetVm(), func(d *decoder, v *computev1.VM) vm.VM {
		out := decodeVM(d, v)
		if d.err == nil && out.ID != id {
			d.fail("it is of VM %s", out.ID)
		}
		return out
	})
}

// VMByName is the account's VM of that name which is not terminated.
func (c *Client) VMByName(ctx context.Context, owner, name string) (vm.VM, error) {
	r, err := c.compute.VM(ctx, &computev1.QueryVMRequest{Owner: owner, Name: name})
	return one("VM "+name, err, r.GetVm(), func(d *decoder, v *computev1.VM) vm.VM {
		out := decodeVM(d, v)
		if d.err == nil && (out.Owner != owner || out.Spec.Name != name) {
			d.fail("it is of VM %s of %s", out.Spec.Name, out.Owner)
		}
		return out
	})
}

// VMs of an account; terminated ones only on request.
func (c *Client) VMs(ctx context.Context, owner string, terminated bool) ([]vm.VM, error) {
	return collect("VMs of "+owner, decodeVM, func(page *queryv1beta1.PageRequest) ([]*computev1.VM, *queryv1beta1.PageResponse, error) {
		r, err := c.compute.VMs(ctx, &computev1.QueryVMsRequest{Owner: owner, Terminated: terminated, Pagination: page})
		return r.GetVms(), r.GetPagination(), err
	})
}

// Head is the newest block that a guest may sign.
func (c *Client) Head(ctx context.Context) (vm.Head, error) {
	r, err := c.compute.Head(ctx, &computev1.QueryHeadRequest{})
	return one("newest block", err, r.GetHead(), decodeHead)
}

// Tenant is an account's place in the mesh.
func (c *Client) Tenant(ctx context.Context, owner string) (mesh.Tenant, error) {
	r, err := c.mesh.Tenant(ctx, &meshv1.QueryTenantRequest{Owner: owner})
	return one("tenant "+owner, err, r.GetTenant(), decodeTenant)
}

// Lighthouses there are.
func (c *Client) Lighthouses(ctx context.Context) ([]mesh.Lighthouse, error) {
	r, err := c.mesh.Lighthouses(ctx, &meshv1.QueryLighthousesRequest{})
	return whole("lighthouses", err, r.GetLighthouses(), decodeLighthouse)
}

// Earnings of a miner.
func (c *Client) Earnings(ctx context.Context, operator string) (credit.Earnings, error) {
	r, err := c.ranking.Earnings(ctx, &rankingv1.QueryEarningsRequest{Operator: operator})
	return one("earnings of "+operator, err, r.GetEarnings(), decodeEarnings)
}

// one gives what an answer says, or why there is none.
func one[F, T any](what string, err error, answer F, decode func(*decoder, F) T) (T, error) {
	var none T
	if err != nil {
		return none, queryError(what, err)
	}
	d := &decoder{}
	return done(d, what, decode(d, answer))
}

// whole is one for a list that comes in one piece.
func whole[F, T any](what string, err error, answer []F, decode func(*decoder, F) T) ([]T, error) {
	return one(what, err, answer, func(d *decoder, list []F) []T {
		d.atMost(what, len(list), maxListed)
		return all(d, list, decode)
	})
}

func collect[F, T any](what string, decode func(*decoder, F) T, fetch func(*queryv1beta1.PageRequest) ([]F, *queryv1beta1.PageResponse, error)) ([]T, error) {
	var found []T
	var key []byte
	for range maxPages {
		items, page, err := fetch(&queryv1beta1.PageRequest{Key: key, Limit: pageSize})
		list, err := one(what, err, items, func(d *decoder, list []F) []T { return all(d, list, decode) })
		if err != nil {
			return nil, err
		}
		found = append(found, list...)
		if key = page.GetNextKey(); len(key) == 0 {
			return found, nil
		}
	}
	return nil, fmt.Errorf("%s: the list does not end", what)
}
