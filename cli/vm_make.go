package cli

import (
	"context"
	"fmt"
	"net/netip"

	computev1 "github.com/hippius/compute/api/chain/compute/v1"
	"github.com/hippius/compute/cli/deal"
	"github.com/hippius/compute/cli/hostkey"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/vm"
)

// createVM gives the machine its address and identity, hands its secrets to the
// keepers and orders it on chain. Until the last step nothing is ordered and
// nothing costs: keepers drop what is not on chain in ten minutes.
func (c *command) createVM(ctx context.Context, s *signing, spec *computev1.VMSpec, userData []byte) (*computev1.VM, error) {
	now := c.env.Now()
	tenant, authority, err := s.ensureTenant(ctx, now)
	if err != nil {
		return nil, err
	}
	vms, err := s.chain.VMs(ctx, s.address, false)
	if err != nil {
		return nil, err
	}
	addr, err := freeAddress(tenant, vms)
	if err != nil {
		return nil, err
	}
	nonce := newNonce()
	id, err := vm.ID(s.address, nonce)
	if err != nil {
		return nil, err
	}
	seed, err := s.wallet.HostCASeed(id)
	if err != nil {
		return nil, err
	}
	host, err := hostkey.NewCA(seed)
	if err != nil {
		return nil, err
	}
	sealed, err := deal.SealUserData(s.chain.ChainID(), s.address, id, userData)
	if err != nil {
		return nil, err
	}
	spec.MeshAddress, spec.HostCa, spec.UserDataHash = addr.String(), host.Public(), sealed.Hash()
	m := maker{vmID: id, name: spec.GetName(), addr: addr, mesh: authority, host: host, userDataKey: sealed.Key, now: now}
	instances, err := c.deal(ctx, s, nonce, m, sealed)
	if err != nil {
		return nil, err
	}
	if _, err := s.sender.CreateVM(ctx, nonce, spec, instances); err != nil {
		return nil, err
	}
	return s.chain.VM(ctx, id)
}

// deal hands the secrets of the first instances to the committee.
func (c *command) deal(ctx context.Context, s *signing, nonce []byte, m maker, userData deal.UserData) ([]*computev1.Instance, error) {
	committee, err := s.chain.Committee(ctx)
	if err != nil {
		return nil, err
	}
	peers, err := deal.NewPeers()
	if err != nil {
		return nil, err
	}
	dealt, err := deal.New(s.chain.ChainID(), s.wallet, peers, c.env.Now).Deal(ctx, deal.Order{
		Nonce: nonce, First: 1, Count: deal.FirstDeal, Committee: committee, UserData: userData,
		Bundle: func(seq uint32) (instance.Bundle, deal.Public, error) { return m.bundle(seq) },
	})
	if err != nil {
		return nil, fmt.Errorf("hand the machine's secrets to the keepers: %w", err)
	}
	for _, missing := range dealt.Missing {
		_, _ = fmt.Fprintf(c.env.Err, "warning: %s; the machine can lose one keeper less\n", clean(missing.Error()))
	}
	return dealt.Instances, nil
}

// meshAddr is a machine's address in the mesh.
func meshAddr(v *computev1.VM) (netip.Addr, error) {
	addr, err := netip.ParseAddr(v.GetSpec().GetMeshAddress())
	if err != nil {
		return netip.Addr{}, fmt.Errorf("mesh address on chain: %w", err)
	}
	return addr, nil
}
