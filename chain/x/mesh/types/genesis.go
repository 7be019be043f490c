package types

import (
	"net/netip"
	"slices"

	"github.com/hippius/compute/core/mesh"
)

// DefaultGenesis has parameters and nobody registered.
func DefaultGenesis() *GenesisState { return &GenesisState{Params: DefaultParams()} }

// Validate checks the genesis by itself.
func (g GenesisState) Validate() error {
	if err := g.Params.Validate(); err != nil {
		return err
	}
	owners, blocks := map[string]bool{}, map[uint32]bool{}
	for _, t := range g.Tenants {
		if err := t.Validate(); err != nil {
			return err
		}
		if owners[t.Owner] || t.Allocated() && blocks[t.Index] {
			return ErrInvalid.Wrapf("tenant %s or its block %d is there twice", t.Owner, t.Index)
		}
		owners[t.Owner] = true
		blocks[t.Index] = blocks[t.Index] || t.Allocated()
	}
	operators, addresses := map[string]bool{}, map[string]bool{}
	for _, l := range g.Lighthouses {
		if err := l.validate(); err != nil {
			return err
		}
		if _, err := LighthouseNumber(l.Operator, l.Address); err != nil {
			return err
		}
		if l.ExpiresAt < 0 {
			return ErrInvalid.Wrapf("the rent of lighthouse %s ends at %d", l.Operator, l.ExpiresAt)
		}
		if operators[l.Operator] || addresses[l.Address] {
			return ErrInvalid.Wrapf("lighthouse %s or its address is there twice", l.Operator)
		}
		operators[l.Operator], addresses[l.Address] = true, true
	}
	for _, h := range g.HeldAddresses {
		if err := address("operator", h.Operator); err != nil {
			return err
		}
		if _, err := LighthouseNumber(h.Operator, h.Address); err != nil {
			return err
		}
		if operators[h.Operator] || addresses[h.Address] {
			return ErrInvalid.Wrapf("lighthouse %s or its address is there twice", h.Operator)
		}
		operators[h.Operator], addresses[h.Address] = true, true
		if h.FreeAt <= 0 {
			return ErrInvalid.Wrapf("the address held for lighthouse %s becomes free at %d", h.Operator, h.FreeAt)
		}
	}
	if len(g.Lighthouses) > MaxLighthouses {
		return ErrInvalid.Wrapf("%d lighthouses; at most %d", len(g.Lighthouses), MaxLighthouses)
	}
	return nil
}

// Allocated reports whether the tenant has a block now.
func (t Tenant) Allocated() bool { return len(t.Networks) > 0 }

// Block of the tenant, if it is allocated.
func (t Tenant) Block() mesh.Block { return mesh.Block(t.Index) }

// NetworksOf a block in text.
func NetworksOf(b mesh.Block) []string {
	var all []string
	for _, p := range b.Networks() {
		all = append(all, p.String())
	}
	return all
}

// Validate checks a tenant's record by itself.
func (t Tenant) Validate() error {
	if err := address("owner", t.Owner); err != nil {
		return err
	}
	if !t.Allocated() {
		if len(t.Devices) != 0 || t.Vms != 0 || t.ReleaseAt != 0 {
			return ErrInvalid.Wrapf("tenant %s has no block, yet devices, VMs or a release", t.Owner)
		}
		return nil
	}
	if !slices.Equal(t.Networks, NetworksOf(t.Block())) {
		return ErrInvalid.Wrapf("tenant %s has networks %v; block %d is %v", t.Owner, t.Networks, t.Index, NetworksOf(t.Block()))
	}
	if len(t.CaPublicKey) != KeySize {
		return ErrInvalid.Wrapf("tenant %s has a CA key of %d bytes; it needs exactly %d", t.Owner, len(t.CaPublicKey), KeySize)
	}
	if err := certificate(t.CaCertificate); err != nil {
		return err
	}
	if (t.Vms == 0) != (t.ReleaseAt != 0) {
		return ErrInvalid.Wrapf("tenant %s has %d VMs, yet its release is at %d", t.Owner, t.Vms, t.ReleaseAt)
	}
	for i, d := range t.Devices {
		want, err := t.Block().Addr(d.Host)
		if err != nil || d.Host < mesh.FirstDevice || want.String() != d.Address {
			return ErrInvalid.Wrapf("device %.63q of tenant %s is host %d at %.40q", d.Name, t.Owner, d.Host, d.Address)
		}
		for _, o := range t.Devices[:i] {
			if o.Name == d.Name || o.Host == d.Host {
				return ErrInvalid.Wrapf("device %.63q of tenant %s is there twice", d.Name, t.Owner)
			}
		}
	}
	for _, f := range t.Revoked {
		if len(f) != FingerprintSize {
			return ErrInvalid.Wrapf("tenant %s revoked a fingerprint of %d bytes", t.Owner, len(f))
		}
	}
	return nil
}

// LighthouseNumber of an operator's address.
func LighthouseNumber(operator, address string) (uint32, error) {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return 0, ErrInvalid.Wrapf("lighthouse %s: address %.40q is none", operator, address)
	}
	n, err := mesh.LighthouseNumber(addr)
	if err != nil {
		return 0, ErrInvalid.Wrapf("lighthouse %s: %s", operator, err)
	}
	return n, nil
}
