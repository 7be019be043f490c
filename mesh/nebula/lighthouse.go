package nebula

import (
	"fmt"
	"net/netip"

	"github.com/hippius/compute/mesh/admit"
)

// Lighthouses gives those of the admitted that a node can start with, at the
// endpoints that are addresses it can send to, and for each other one why not.
// A node refuses a configuration with a single unfit lighthouse; their
// operators are strangers, and one of them must not keep it from the rest.
func Lighthouses(admitted []admit.Admitted) (usable []Lighthouse, refused []error) {
	for _, a := range admitted {
		l := Lighthouse{Addr: a.Addr, CA: a.CA, Relay: a.Relay}
		for _, e := range a.Endpoints {
			if at, err := netip.ParseAddrPort(e); err == nil && !unusable(at) && len(l.Underlay) < MaxUnderlay {
				l.Underlay = append(l.Underlay, at)
			}
		}
		switch {
		case len(l.Underlay) == 0:
			refused = append(refused, fmt.Errorf("lighthouse %s: no usable underlay address", a.Addr))
		case len(usable) == MaxLighthouses:
			refused = append(refused, fmt.Errorf("lighthouse %s: one more than %d", a.Addr, MaxLighthouses))
		default:
			usable = append(usable, l)
		}
	}
	return usable, refused
}
