package admit

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/hippius/compute/core/mesh"
)

// Reasons to leave out a lighthouse, beside those of its authority.
var (
	// ErrIncomplete is one whose operator has not yet said all.
	ErrIncomplete = errors.New("lighthouse has no certificate or no endpoints")
	ErrTwice      = errors.New("lighthouse is listed twice")
)

// Candidate is a lighthouse as the chain or a miner lists it. None of it is
// checked: its operator is a stranger.
type Candidate struct {
	// Addr in the mesh; invalid if what was listed is no address.
	Addr netip.Addr
	// CA of its operator, PEM or raw.
	CA []byte
	// Endpoints host:port, UDP.
	Endpoints []string
	Relay     bool
}

// Admitted is a lighthouse whose authority can name its own address and nothing
// else. Its endpoints are as they were listed, and there is at least one.
type Admitted struct {
	// Number of the address, by which tenants choose; see core/mesh.
	Number uint32
	Addr   netip.Addr
	// CA as PEM.
	CA        []byte
	Endpoints []string
	Relay     bool
}

// Lighthouses gives those of all that may introduce and relay at now, in the
// order listed, and for each other one why not: one operator's nonsense keeps
// nobody from the rest.
func Lighthouses(all []Candidate, now time.Time) (admitted []Admitted, refused []error) {
	seen := map[netip.Addr]bool{}
	for _, c := range all {
		a, err := c.admit(now)
		if err == nil && seen[a.Addr] {
			err = ErrTwice
		}
		if err != nil {
			refused = append(refused, fmt.Errorf("lighthouse %.60s: %w", c.Addr, err))
			continue
		}
		seen[a.Addr] = true
		admitted = append(admitted, a)
	}
	return admitted, refused
}

func (c Candidate) admit(now time.Time) (Admitted, error) {
	number, err := mesh.LighthouseNumber(c.Addr)
	if err != nil {
		return Admitted{}, fmt.Errorf("%w: %w", ErrAllocation, err)
	}
	if len(c.CA) == 0 || len(c.Endpoints) == 0 {
		return Admitted{}, ErrIncomplete
	}
	authority, err := Lighthouse(c.CA, c.Addr, now)
	if err != nil {
		return Admitted{}, err
	}
	return Admitted{Number: number, Addr: c.Addr, CA: authority.PEM(), Endpoints: c.Endpoints, Relay: c.Relay}, nil
}

// KeptTo are those that the members of an account's network keep to, by
// number. All of them must choose among the same: who cannot reach one leaves
// it out afterwards.
func KeptTo(account string, all []Admitted) []Admitted {
	byNumber := make(map[uint32]Admitted, len(all))
	for _, a := range all {
		byNumber[a.Number] = a
	}
	var out []Admitted
	for _, n := range mesh.LighthousesFor(account, slices.Collect(maps.Keys(byNumber))) {
		out = append(out, byNumber[n])
	}
	return out
}
