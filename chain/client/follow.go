package client

import (
	"context"
	"fmt"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	meshv1 "github.com/hippius/compute/api/chain/mesh/v1"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/vm"
)

// MinerChanges is what changed for one miner after a height.
type MinerChanges struct {
	// VMs it holds or must still let go of, as they are now.
	VMs []vm.VM
	// Released are ids it held and holds no more.
	Released []vm.ID
	// Full says that VMs is everything there is: whatever else the miner has is released.
	Full bool
	// Height is the next cursor.
	Height int64
	Head   vm.Head
}

// MinerVMs gives what changed for a miner after the cursor, the height of an earlier answer; 0 for everything. A
// cursor older than the chain remembers is answered in full. An entry may be given twice; none is left out.
func (c *Client) MinerVMs(ctx context.Context, miner string, after int64) (MinerChanges, error) {
	out, oldest, err := c.minerVMs(ctx, miner, after, after <= 0)
	if err == nil && !out.Full && after < oldest {
		out, _, err = c.minerVMs(ctx, miner, 0, true)
	}
	if err != nil {
		return MinerChanges{}, err
	}
	return out, nil
}

func (c *Client) minerVMs(ctx context.Context, miner string, after int64, everything bool) (out MinerChanges, oldest int64, err error) {
	out.Full = everything
	what := "VMs of miner " + miner
	req := &computev1.QueryMinerVMsRequest{Miner: miner, AfterHeight: max(after, 0), All: everything, Limit: pageSize}
	for i := range maxPages {
		r, err := c.compute.MinerVMs(ctx, req)
		page, err := one(what, err, r, decodeMinerChanges)
		if err != nil {
			return out, 0, err
		}
		if i == 0 {
			// What changes while pages are fetched is after the first page's height, and so comes again.
			out.Height, out.Head = page.Height, page.Head
		}
		// Any page may say that more was let go of than it lists.
		oldest = max(oldest, r.GetOldestHeight())
		out.VMs = append(out.VMs, page.VMs...)
		out.Released = append(out.Released, page.Released...)
		if !r.GetMore() {
			return out, oldest, nil
		}
		if len(page.VMs) == 0 {
			return out, 0, fmt.Errorf("%s: an empty page says there is more", what)
		}
		last := page.VMs[len(page.VMs)-1]
		req.AfterId = string(last.ID)
		if !everything {
			req.AfterHeight = last.ChangedHeight
		}
	}
	return out, 0, fmt.Errorf("%s: the list does not end", what)
}

func decodeMinerChanges(d *decoder, r *computev1.QueryMinerVMsResponse) MinerChanges {
	d.height("oldest height", r.GetOldestHeight())
	return MinerChanges{
		VMs: all(d, r.GetVms(), decodeVM), Released: all(d, r.GetReleased(), (*decoder).id),
		Height: d.height("height", r.GetHeight()), Head: decodeHead(d, r.GetHead()),
	}
}

// TenantChanges are the tenants changed after a height.
type TenantChanges struct {
	// Tenants as they are now; one without networks has lost its block.
	Tenants []mesh.Tenant
	// Height is the next cursor.
	Height int64
}

// Tenants gives the tenants changed after the cursor, the height of an earlier answer; 0 for all.
func (c *Client) Tenants(ctx context.Context, after int64) (TenantChanges, error) {
	var out TenantChanges
	req := &meshv1.QueryTenantsRequest{AfterHeight: max(after, 0), Limit: tenantsPage}
	for i := range maxPages {
		r, err := c.mesh.Tenants(ctx, req)
		page, err := one("tenants", err, r, func(d *decoder, r *meshv1.QueryTenantsResponse) TenantChanges {
			return TenantChanges{Tenants: all(d, r.GetTenants(), decodeTenant), Height: d.height("height", r.GetHeight())}
		})
		if err != nil {
			return TenantChanges{}, err
		}
		if i == 0 {
			out.Height = page.Height
		}
		out.Tenants = append(out.Tenants, page.Tenants...)
		if !r.GetMore() {
			return out, nil
		}
		if len(page.Tenants) == 0 {
			return TenantChanges{}, fmt.Errorf("tenants: an empty page says there is more")
		}
		last := page.Tenants[len(page.Tenants)-1]
		req.AfterHeight, req.AfterOwner = last.ChangedHeight, last.Owner
	}
	return TenantChanges{}, fmt.Errorf("tenants: the list does not end")
}
