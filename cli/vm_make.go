package cli

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/hippius/compute/cli/deal"
	"github.com/hippius/compute/cli/hostkey"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/mesh/ca"
)

// createVM gives the machine its address and identity, hands its secrets to the
// keepers and orders it on chain. Until the last step nothing is ordered and
// nothing costs: keepers drop what is not on chain in ten minutes.
func (c *command) createVM(ctx context.Context, s *signing, spec vm.Spec, userData []byte) (vm.VM, error) {
	nonce := newNonce()
	id, err := vm.NewID(s.address, nonce)
	if err != nil {
		return vm.VM{}, err
	}
	instances, err := c.prepareVM(ctx, s, id, nonce, spec, userData)
	if err != nil {
		return vm.VM{}, ifInterrupted(ctx, err, "nothing was ordered, and nothing costs")
	}
	if _, err := s.sender.CreateVM(ctx, nonce, spec, instances); err != nil {
		return vm.VM{}, ifInterrupted(ctx, err, "the order may have reached the chain: 'hippius vm ls' tells")
	}
	made, err := s.chain.VM(ctx, id)
	return made, ifInterrupted(ctx, err, spec.Name+" is ordered: 'hippius vm show "+spec.Name+"' tells how it goes")
}

// prepareVM fills in the spec and deals the first instances.
func (c *command) prepareVM(ctx context.Context, s *signing, id vm.ID, nonce []byte, spec vm.Spec, userData []byte) ([]vm.Instance, error) {
	tenant, authority, err := s.ensureTenant(ctx, c.env.Now())
	if err != nil {
		return nil, err
	}
	vms, err := s.chain.VMs(ctx, s.address, true)
	if err != nil {
		return nil, err
	}
	addr, err := freeAddress(tenant, vms)
	if err != nil {
		return nil, err
	}
	spec.MeshAddress = addr.String()
	m, err := c.maker(s, id, spec, authority)
	if err != nil {
		return nil, err
	}
	key, err := s.wallet.UserDataKey(string(id))
	if err != nil {
		return nil, err
	}
	sealed, err := deal.SealUserData(s.chain.ChainID(), s.address, id, key, userData)
	if err != nil {
		return nil, err
	}
	spec.HostCA, spec.UserDataHash = m.host.Public(), sealed.Hash()
	return c.deal(ctx, s, m, deal.Order{Nonce: nonce, First: 1, Count: deal.FirstDeal, UserData: sealed})
}

// maker makes the bundles of a machine of this spec.
func (c *command) maker(s *signing, id vm.ID, spec vm.Spec, authority *ca.Authority) (maker, error) {
	addr, err := meshAddr(spec)
	if err != nil {
		return maker{}, err
	}
	seed, err := s.wallet.HostCASeed(string(id))
	if err != nil {
		return maker{}, err
	}
	host, err := hostkey.NewCA(seed)
	if err != nil {
		return maker{}, err
	}
	return maker{id: id, name: spec.Name, addr: addr, mesh: authority, host: host, now: c.env.Now()}, nil
}

// deal hands the secrets of the order's instances to the present committee.
func (c *command) deal(ctx context.Context, s *signing, m maker, o deal.Order) ([]vm.Instance, error) {
	var err error
	if o.Committee, err = s.chain.Committee(ctx); err != nil {
		return nil, err
	}
	peers, err := deal.NewPeers()
	if err != nil {
		return nil, err
	}
	o.Bundle = m.bundle
	dealt, err := deal.New(s.chain.ChainID(), s.wallet, peers, c.env.Now).Deal(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("hand the machine's secrets to the keepers: %w", err)
	}
	for _, missing := range dealt.Missing {
		c.warn("%s; %s can lose one keeper less", missing, m.name)
	}
	return dealt.Instances, nil
}

// topUp deals further instances of a machine that has few left: it needs one
// each time it is moved. Whether it can is no condition of what was asked for,
// so that a failure is only told.
func (c *command) topUp(ctx context.Context, s *signing, v vm.VM) {
	first, count := missingInstances(v)
	if count == 0 {
		return
	}
	if err := c.dealMore(ctx, s, v, first, count); err != nil && ctx.Err() == nil {
		c.warn("%s can be moved only %d more times, for no further secrets could be dealt: %v",
			v.Spec.Name, first-1-min(first-1, v.Status.InstanceSeq), err)
	}
}

// missingInstances says which instances are to be dealt now; none if enough are ahead.
func missingInstances(v vm.VM) (first uint32, count int) {
	if v.Ended() {
		return 0, 0
	}
	last := v.LastInstance()
	if last >= v.Status.InstanceSeq+deal.TopUpBelow {
		return 0, 0
	}
	return last + 1, deal.FirstDeal
}

func (c *command) dealMore(ctx context.Context, s *signing, v vm.VM, first uint32, count int) error {
	_, authority, err := s.ensureTenant(ctx, c.env.Now())
	if err != nil {
		return err
	}
	m, err := c.maker(s, v.ID, v.Spec, authority)
	if err != nil {
		return err
	}
	o := deal.Order{Nonce: v.Nonce, First: first, Count: count}
	if len(v.Spec.UserDataHash) > 0 {
		if o.UserData.Key, err = s.wallet.UserDataKey(string(v.ID)); err != nil {
			return err
		}
	}
	more, err := c.deal(ctx, s, m, o)
	if err != nil {
		return err
	}
	return s.sender.DealInstances(ctx, v.ID, more)
}

// meshAddr is a machine's address in the mesh.
func meshAddr(spec vm.Spec) (netip.Addr, error) {
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
