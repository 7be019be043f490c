package ca

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/hippius/compute/mesh/admit"
	"github.com/hippius/compute/mesh/cert"
)

// Bounds of what a certificate may say.
const (
	MaxName   = 253 // bytes
	MaxGroups = 16
	MaxGroup  = 64 // bytes
)

// Errors of issuing a host's certificate.
var (
	ErrName    = errors.New("certificate name is not 1 to 253 printable ASCII characters")
	ErrGroup   = errors.New("certificate group is not 1 to 64 printable ASCII characters")
	ErrAddress = errors.New("address is not a host's of the authority's networks")
)

// Host is what an authority is asked to certify.
type Host struct {
	Name   string
	Groups []string
	// Addr is the host's one address, inside the authority's networks.
	Addr netip.Addr
	// PublicKey is the host's X25519 key, 32 bytes; see cert.NewHostKey.
	PublicKey []byte
	// Validity from now on; it is cut where the authority's own ends.
	Validity time.Duration
}

// Issue signs a host's certificate: one address with its network's length,
// valid from Backdate before now, or from the authority's beginning if that is
// later, and never beyond the authority.
func (a *Authority) Issue(h Host, now time.Time) (*cert.Certificate, error) {
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("certificate for %.100q: %w", h.Name, err)
	}
	if err := a.cert.CheckTime(now); err != nil {
		return nil, fmt.Errorf("certificate for %q: authority: %w", h.Name, err)
	}
	network, err := a.networkOf(h.Addr)
	if err != nil {
		return nil, fmt.Errorf("certificate for %q: %w", h.Name, err)
	}
	groups := h.Groups
	if len(groups) == 0 {
		groups = a.defaultGroups()
	}
	return cert.SignHost(cert.Template{
		Name:      h.Name,
		Networks:  []netip.Prefix{netip.PrefixFrom(h.Addr, network.Bits())},
		Groups:    groups,
		NotBefore: later(now.Add(-Backdate), a.cert.NotBefore()),
		NotAfter:  earlier(now.Add(h.Validity), a.cert.NotAfter()),
		PublicKey: h.PublicKey,
	}, a.cert, a.key)
}

// defaultGroups of a lighthouse are its role.
func (a *Authority) defaultGroups() []string {
	if g := a.cert.Groups(); slices.Equal(g, []string{admit.LighthouseGroup}) {
		return g
	}
	return nil
}

// networkOf finds the network of addr. In an IPv4 network of more than one
// address the first and the last are not hosts'.
func (a *Authority) networkOf(addr netip.Addr) (netip.Prefix, error) {
	for _, n := range a.cert.Networks() {
		if !n.Contains(addr) {
			continue
		}
		if n.Bits() < n.Addr().BitLen() && (addr == n.Addr() || addr.Is4() && !n.Contains(addr.Next())) {
			return netip.Prefix{}, fmt.Errorf("%w: %s is the first or last of %s", ErrAddress, addr, n)
		}
		return n, nil
	}
	return netip.Prefix{}, fmt.Errorf("%w: %s in %v", ErrAddress, addr, a.cert.Networks())
}

func (h Host) check() error {
	if err := checkName(h.Name); err != nil {
		return err
	}
	if len(h.Groups) > MaxGroups {
		return fmt.Errorf("%w: %d groups; at most %d", ErrGroup, len(h.Groups), MaxGroups)
	}
	for _, g := range h.Groups {
		if len(g) == 0 || len(g) > MaxGroup || !printable(g) {
			return fmt.Errorf("%w: %.100q", ErrGroup, g)
		}
	}
	if h.Validity <= 0 {
		return fmt.Errorf("%w: validity of %s", ErrTimes, h.Validity)
	}
	return nil
}

func checkName(name string) error {
	if len(name) == 0 || len(name) > MaxName || !printable(name) {
		return fmt.Errorf("%w: %.100q", ErrName, name)
	}
	return nil
}

func printable(s string) bool {
	for _, r := range s {
		if r < ' ' || r > '~' {
			return false
		}
	}
	return true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
