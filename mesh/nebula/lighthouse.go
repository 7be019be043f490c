package nebula

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hippius/compute/mesh/cert"
)

// Usable gives those of the lighthouses that a node can start with, without
// the underlay addresses that make no sense, and why not of each other one. A
// node refuses a configuration with a single unfit lighthouse; their operators
// are strangers, and one of them must not keep it from the rest.
func Usable(all []Lighthouse) (fit []Lighthouse, refused []error) {
	seen := map[netip.Addr]bool{}
	for _, l := range all {
		l.Underlay = slices.DeleteFunc(slices.Clone(l.Underlay), unusable)
		l.Underlay = l.Underlay[:min(len(l.Underlay), MaxUnderlay)]
		if err := l.fit(); err != nil {
			refused = append(refused, fmt.Errorf("lighthouse %s: %w", l.Addr, err))
			continue
		}
		if seen[l.Addr] || len(fit) == MaxLighthouses {
			refused = append(refused, fmt.Errorf("lighthouse %s: is there twice, or one too many", l.Addr))
			continue
		}
		seen[l.Addr] = true
		fit = append(fit, l)
	}
	return fit, refused
}

func (l Lighthouse) fit() error {
	if !l.Addr.IsValid() {
		return invalid("no address")
	}
	if len(l.Underlay) == 0 {
		return invalid("no usable underlay address")
	}
	a, err := cert.Parse(l.CA)
	if err != nil {
		return err
	}
	if !a.IsCA() || !a.SelfSigned() {
		return fmt.Errorf("%w: %q is not a self-signed authority", cert.ErrUntrusted, a.Name())
	}
	return a.CheckPinned(l.Addr)
}
