// Package admit decides whether a party's certificate authority may take part
// in the mesh. The chain is only a directory: it stores what a tenant or an
// operator sends, and whoever is to trust the authority decides here, from its
// bytes and from what the chain allocated.
//
// The heart of it is one comparison: an authority's networks must equal its
// allocation. A lighthouse that leaves it out lets one tenant's authority sign
// another tenant's addresses, register them and swallow the traffic it relays.
//
// The package is pure: no clock and no I/O.
package admit

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/hippius/compute/mesh/cert"
)

// Reasons to refuse an authority. Beside them, a certificate outside its
// validity is cert.ErrNotYetValid or cert.ErrExpired.
var (
	ErrTooLarge      = cert.ErrTooLarge
	ErrMalformed     = cert.ErrMalformed
	ErrVersion       = cert.ErrVersion
	ErrCurve         = cert.ErrCurve
	ErrNotCA         = errors.New("certificate is a host's, not an authority's")
	ErrSignature     = errors.New("authority's own signature is wrong")
	ErrUnconstrained = errors.New("authority may sign for any network")
	ErrNetworks      = errors.New("authority's networks differ from its allocation")
	ErrForwarding    = errors.New("authority lets hosts forward for networks outside its allocation")
	ErrGroups        = errors.New("authority's groups are not those of its role")
	ErrAllocation    = errors.New("allocation itself is not a block of the mesh")
)

// Allocation is what the chain gave a party.
type Allocation struct {
	Networks []netip.Prefix
}

// Tenant admits a tenant's authority, PEM or raw, whose networks are exactly
// the allocation: a /26 of 100.64.0.0/10, a unique local /48, or both.
func Tenant(certificate []byte, a Allocation, now time.Time) (*cert.Certificate, error) {
	if err := TenantBlock(a.Networks); err != nil {
		return nil, err
	}
	c, err := authority(certificate, a.Networks, now)
	if err != nil {
		return nil, fmt.Errorf("tenant authority: %w", err)
	}
	if slices.Contains(c.Groups(), LighthouseGroup) {
		return nil, fmt.Errorf("tenant authority: %w: %q is for lighthouses", ErrGroups, LighthouseGroup)
	}
	return c, nil
}

// Lighthouse admits a lighthouse operator's authority, PEM or raw, that can
// name nothing but addr, one of 100.127.0.0/16.
func Lighthouse(certificate []byte, addr netip.Addr, now time.Time) (*cert.Certificate, error) {
	if err := LighthouseAddress(addr); err != nil {
		return nil, err
	}
	c, err := authority(certificate, []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}, now)
	if err != nil {
		return nil, fmt.Errorf("lighthouse authority: %w", err)
	}
	if !slices.Equal(c.Groups(), []string{LighthouseGroup}) {
		return nil, fmt.Errorf("lighthouse authority: %w: %.200q", ErrGroups, c.Groups())
	}
	return c, nil
}

// authority checks what the two roles share.
func authority(certificate []byte, allocated []netip.Prefix, now time.Time) (*cert.Certificate, error) {
	c, err := cert.Parse(certificate)
	if err != nil {
		return nil, err
	}
	if !c.IsCA() {
		return nil, ErrNotCA
	}
	if !c.SelfSigned() {
		return nil, ErrSignature
	}
	if len(c.Networks()) == 0 {
		return nil, ErrUnconstrained
	}
	if !sameSet(c.Networks(), allocated) {
		return nil, fmt.Errorf("%w: %v instead of %v", ErrNetworks, c.Networks(), allocated)
	}
	// None listed would mean that its hosts may forward for any network, and
	// Nebula takes packets from a network that a peer forwards for.
	if !sameSet(c.UnsafeNetworks(), allocated) {
		return nil, fmt.Errorf("%w: %v instead of %v", ErrForwarding, c.UnsafeNetworks(), allocated)
	}
	if err := c.CheckTime(now); err != nil {
		return nil, err
	}
	return c, nil
}

func sameSet(a, b []netip.Prefix) bool {
	if len(a) != len(b) {
		return false
	}
	for _, p := range a {
		if !slices.Contains(b, p) {
			return false
		}
	}
	for _, p := range b {
		if !slices.Contains(a, p) {
			return false
		}
	}
	return true
}

// Reason names why err refused an authority, in one word for a metric's label;
// "other" if it is none of this package's, "" for nil.
func Reason(err error) string {
	if err == nil {
		return ""
	}
	for _, r := range []struct {
		err  error
		name string
	}{
		{ErrTooLarge, "too_large"},
		{ErrVersion, "version"},
		{ErrCurve, "curve"},
		{ErrMalformed, "malformed"},
		{ErrNotCA, "not_ca"},
		{ErrSignature, "signature"},
		{ErrUnconstrained, "unconstrained"},
		{ErrNetworks, "networks"},
		{ErrForwarding, "forwarding"},
		{ErrGroups, "groups"},
		{ErrAllocation, "allocation"},
		{cert.ErrNotYetValid, "not_yet_valid"},
		{cert.ErrExpired, "expired"},
	} {
		if errors.Is(err, r.err) {
			return r.name
		}
	}
	return "other"
}
