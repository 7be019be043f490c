package tenant

import (
	"context"
	"fmt"
	"math"
	"net/netip"

	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/vm"
)

// Join gives the account's place in the mesh and its authority, registering
// the account and publishing the authority where that was not done yet. Each
// step is a transaction; after a crash in between the next call goes on where it ended.
func (c *Client) Join(ctx context.Context) (mesh.Tenant, Authority, error) {
	seed, err := c.meshSeed()
	if err != nil {
		return mesh.Tenant{}, nil, err
	}
	t, found, err := c.chain.Tenant(ctx, c.account)
	if err != nil {
		return mesh.Tenant{}, nil, err
	}
	if !found || len(t.Networks) == 0 {
		if t, err = c.register(ctx, seed); err != nil {
			return mesh.Tenant{}, nil, err
		}
	}
	if len(t.CACertificate) != 0 {
		authority, err := c.set.Certificates.Open(seed, t.CACertificate)
		if err != nil {
			return mesh.Tenant{}, nil, fmt.Errorf("mesh CA on chain: %w", err)
		}
		return t, authority, nil
	}
	authority, err := c.set.Certificates.Make(seed, t.Networks, c.account, c.now())
	if err != nil {
		return mesh.Tenant{}, nil, fmt.Errorf("make mesh CA: %w", err)
	}
	if err := c.set.Sender.SetTenantCA(ctx, authority.Certificate()); err != nil {
		return mesh.Tenant{}, nil, fmt.Errorf("publish mesh CA: %w", err)
	}
	return t, authority, nil
}

// register has the chain allocate a block to the account.
func (c *Client) register(ctx context.Context, seed []byte) (mesh.Tenant, error) {
	public, err := c.set.Certificates.PublicKey(seed)
	if err != nil {
		return mesh.Tenant{}, err
	}
	if err := c.set.Sender.RegisterTenant(ctx, public); err != nil {
		return mesh.Tenant{}, fmt.Errorf("register with the mesh: %w", err)
	}
	t, found, err := c.chain.Tenant(ctx, c.account)
	if err == nil && !found {
		err = fmt.Errorf("register with the mesh: the chain does not show %s yet", c.account)
	}
	return t, err
}

// FreeAddress is the VM address of the block that no VM has and that has been
// free the longest, the lowest of equals. vms are the terminated ones too:
// whoever spoke to a VM keeps its tunnel for a while, and would not find another
// at its address until it has given that one up.
func FreeAddress(block mesh.Block, vms []vm.VM) (netip.Addr, error) {
	const taken = math.MaxInt64
	since := map[string]int64{}
	for _, v := range vms {
		at := int64(taken)
		if v.Status.Phase == vm.Terminated {
			at = v.TerminatedAt
		}
		since[v.Spec.MeshAddress] = max(since[v.Spec.MeshAddress], at)
	}
	best, bestSince := netip.Addr{}, int64(taken)
	for host := uint32(mesh.FirstVM); host <= mesh.LastVM; host++ {
		addr, err := block.Addr(host)
		if err != nil {
			return netip.Addr{}, err
		}
		if at := since[addr.String()]; at < bestSince {
			best, bestSince = addr, at
		}
	}
	if !best.IsValid() {
		return best, fault(NoAddress, "", "all %d addresses of your mesh block are taken", mesh.LastVM-mesh.FirstVM+1)
	}
	return best, nil
}

// Address of a VM in the mesh.
func Address(spec vm.Spec) (netip.Addr, error) {
	addr, err := netip.ParseAddr(spec.MeshAddress)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("mesh address on chain: %w", err)
	}
	// A zone is any text, and ssh hands the address to a shell.
	if addr.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("mesh address on chain: %.64q has a zone", spec.MeshAddress)
	}
	return addr, nil
}
