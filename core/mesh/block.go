// Package mesh is the arithmetic of mesh addresses: which block a tenant's
// index stands for, which host numbers are virtual machines and which are
// devices, and where lighthouses live.
//
// Tenants have a /26 each out of 100.64.0.0/10 below 100.127.0.0/16, and a /48
// of unique local IPv6 addresses. Past the last /26 a block is IPv6 only.
package mesh

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

const (
	// BlockBits is the prefix length of a tenant's IPv4 network.
	BlockBits = 26
	// Blocks is how many tenants have an IPv4 network: a /10 of /26s but for the /16 of the lighthouses.
	Blocks = 1<<(BlockBits-10) - 1<<(BlockBits-16)

	// FirstVM to LastVM are the host numbers of virtual machines.
	FirstVM, LastVM = 2, 47
	// FirstDevice to LastDevice are those of laptops and other devices.
	FirstDevice, LastDevice = 48, 62
	// MaxDevices is how many devices a block has room for.
	MaxDevices = LastDevice - FirstDevice + 1

	// MaxLighthouses is how many addresses there are for lighthouses: .0.0 and .255.255 are not used.
	MaxLighthouses = 1<<16 - 2
)

const (
	tenantBase     = 100<<24 | 64<<16
	lighthouseBase = 100<<24 | 127<<16
	// ulaFirst and ulaSecond begin every tenant's IPv6 network; its index follows.
	ulaFirst, ulaSecond = 0xfd, 0x68
)

// Block is the index of a tenant's block.
type Block uint32

// V4 is the block's IPv4 network; false for a block that is IPv6 only.
func (b Block) V4() (netip.Prefix, bool) {
	if b >= Blocks {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(v4(tenantBase+uint32(b)<<(32-BlockBits)), BlockBits), true
}

// V6 is the block's IPv6 network.
func (b Block) V6() netip.Prefix {
	var a [16]byte
	a[0], a[1] = ulaFirst, ulaSecond
	binary.BigEndian.PutUint32(a[2:], uint32(b))
	return netip.PrefixFrom(netip.AddrFrom16(a), 48)
}

// Networks are the block's networks, IPv4 first.
func (b Block) Networks() []netip.Prefix {
	if p, ok := b.V4(); ok {
		return []netip.Prefix{p, b.V6()}
	}
	return []netip.Prefix{b.V6()}
}

// Addr is the address of a host number, IPv4 where the block has it.
func (b Block) Addr(host uint32) (netip.Addr, error) {
	if host < FirstVM || host > LastDevice {
		return netip.Addr{}, fmt.Errorf("host number %d is outside %d to %d", host, FirstVM, LastDevice)
	}
	if p, ok := b.V4(); ok {
		a := p.Addr().As4()
		return v4(binary.BigEndian.Uint32(a[:]) + host), nil
	}
	a := b.V6().Addr().As16()
	a[15] = byte(host)
	return netip.AddrFrom16(a), nil
}

// Host is the inverse of Addr: the host number of an address, which must be
// the one form the block gives that number.
func (b Block) Host(addr netip.Addr) (uint32, error) {
	var host uint32
	switch {
	case addr.Is4():
		a := addr.As4()
		host = uint32(a[3] & (1<<(32-BlockBits) - 1))
	case addr.Is6():
		host = uint32(addr.As16()[15])
	}
	want, err := b.Addr(host)
	if err != nil || want != addr {
		return 0, fmt.Errorf("address %s is not a host of the block %s", addr, b.Networks()[0])
	}
	return host, nil
}

// VMHost is Host for an address that must be a virtual machine's.
func (b Block) VMHost(addr netip.Addr) (uint32, error) {
	host, err := b.Host(addr)
	if err != nil {
		return 0, err
	}
	if host > LastVM {
		return 0, fmt.Errorf("address %s has host number %d; virtual machines have %d to %d", addr, host, FirstVM, LastVM)
	}
	return host, nil
}

// LighthouseAddr is the address of the n-th lighthouse, 1 to MaxLighthouses.
func LighthouseAddr(n uint32) (netip.Addr, error) {
	if n < 1 || n > MaxLighthouses {
		return netip.Addr{}, fmt.Errorf("lighthouse number %d is outside 1 to %d", n, MaxLighthouses)
	}
	return v4(lighthouseBase + n), nil
}

// LighthouseNumber is the inverse of LighthouseAddr.
func LighthouseNumber(addr netip.Addr) (uint32, error) {
	if addr.Is4() {
		a := addr.As4()
		if u := binary.BigEndian.Uint32(a[:]); u > lighthouseBase && u <= lighthouseBase+MaxLighthouses {
			return u - lighthouseBase, nil
		}
	}
	return 0, fmt.Errorf("address %s is not a lighthouse's: they are in %s", addr, LighthouseNetwork())
}

// LighthouseNetwork holds every lighthouse and no tenant.
func LighthouseNetwork() netip.Prefix { return netip.PrefixFrom(v4(lighthouseBase), 16) }

func v4(u uint32) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], u)
	return netip.AddrFrom4(a)
}
