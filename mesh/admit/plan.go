package admit

import (
	"fmt"
	"net/netip"

	"github.com/hippius/compute/core/mesh"
)

// The address plan of the mesh.
const (
	// TenantBits6 is the length of a tenant's IPv6 network; of its IPv4 one it is mesh.BlockBits.
	TenantBits6 = 48
	// LighthouseGroup is the only group of a lighthouse's certificate.
	LighthouseGroup = "lighthouse"
)

// Space4 holds every IPv4 address of the mesh.
func Space4() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10) }

// Space6 holds every tenant's unique local network.
func Space6() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd}), 8) }

// TenantBlock checks that networks are at most one IPv4 and at most one IPv6
// block of the plan and not none.
func TenantBlock(networks []netip.Prefix) error {
	var v4, v6 int
	for _, n := range networks {
		switch {
		case !n.IsValid() || n != n.Masked() || n.Addr().Is4In6() || n.Addr().Zone() != "":
			return fmt.Errorf("%w: %s is no network", ErrAllocation, n)
		case n.Addr().Is4() && n.Bits() == mesh.BlockBits && Space4().Contains(n.Addr()) && !mesh.LighthouseNetwork().Contains(n.Addr()):
			v4++
		case n.Addr().Is6() && n.Bits() == TenantBits6 && Space6().Contains(n.Addr()):
			v6++
		default:
			return fmt.Errorf("%w: %s is not a tenant's block", ErrAllocation, n)
		}
	}
	if v4 > 1 || v6 > 1 || v4+v6 == 0 {
		return fmt.Errorf("%w: %d IPv4 and %d IPv6 blocks", ErrAllocation, v4, v6)
	}
	return nil
}

// LighthouseAddress checks that addr is a lighthouse's.
func LighthouseAddress(addr netip.Addr) error {
	if !addr.Is4() || !mesh.LighthouseNetwork().Contains(addr) {
		return fmt.Errorf("%w: %s is not in %s", ErrAllocation, addr, mesh.LighthouseNetwork())
	}
	return nil
}
