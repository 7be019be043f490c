package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/mesh/ca"
)

// ensureTenant gives the account's mesh CA, registering the account with the
// mesh and publishing the CA where that was not done yet. Each step is a
// transaction; after a crash in between the next call goes on where it ended.
func (s *signing) ensureTenant(ctx context.Context, now time.Time) (mesh.Tenant, *ca.Authority, error) {
	seed, err := s.wallet.MeshCASeed()
	if err != nil {
		return mesh.Tenant{}, nil, withHint(err, "import the wallet from its seed phrase: machines' identities are derived from it")
	}
	tenant, err := s.chain.Tenant(ctx, s.address)
	if errors.Is(err, client.ErrNotFound) || err == nil && len(tenant.Networks) == 0 {
		public, err := ca.PublicKey(seed)
		if err != nil {
			return mesh.Tenant{}, nil, err
		}
		if err := s.sender.RegisterTenant(ctx, public); err != nil {
			return mesh.Tenant{}, nil, fmt.Errorf("register with the mesh: %w", err)
		}
		if tenant, err = s.chain.Tenant(ctx, s.address); err != nil {
			return mesh.Tenant{}, nil, err
		}
	} else if err != nil {
		return mesh.Tenant{}, nil, err
	}
	if len(tenant.CACertificate) != 0 {
		authority, err := ca.Open(seed, tenant.CACertificate)
		if err != nil {
			return mesh.Tenant{}, nil, fmt.Errorf("mesh CA on chain: %w", err)
		}
		return tenant, authority, nil
	}
	authority, err := ca.NewTenant(seed, tenant.Networks, s.address, now.Add(-ca.Backdate), now.Add(ca.DefaultLifetime))
	if err != nil {
		return mesh.Tenant{}, nil, fmt.Errorf("make mesh CA: %w", err)
	}
	if err := s.sender.SetTenantCA(ctx, authority.Certificate().Raw()); err != nil {
		return mesh.Tenant{}, nil, fmt.Errorf("publish mesh CA: %w", err)
	}
	return tenant, authority, nil
}

// freeAddress is the VM address of the tenant's block that no machine has and
// that has been free the longest, the lowest of equals. vms are the terminated
// ones too: whoever spoke to a machine keeps its tunnel for a while, and would
// not find another at its address until it has given that one up.
func freeAddress(tenant mesh.Tenant, vms []vm.VM) (netip.Addr, error) {
	const taken = math.MaxInt64
	since := map[string]int64{}
	for _, v := range vms {
		at := int64(taken)
		if v.Status.Phase == vm.Terminated {
			at = v.TerminatedAt
		}
		addr := v.Spec.MeshAddress
		since[addr] = max(since[addr], at)
	}
	best, bestSince := netip.Addr{}, int64(taken)
	for host := uint32(mesh.FirstVM); host <= mesh.LastVM; host++ {
		addr, err := tenant.Block.Addr(host)
		if err != nil {
			return netip.Addr{}, err
		}
		if at := since[addr.String()]; at < bestSince {
			best, bestSince = addr, at
		}
	}
	if !best.IsValid() {
		return best, withHint(fmt.Errorf("all %d addresses of your mesh block are taken", mesh.LastVM-mesh.FirstVM+1),
			"terminate a machine you no longer need")
	}
	return best, nil
}
