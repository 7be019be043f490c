package network

import (
	"net/netip"
	"slices"
	"testing"
)

// A miner that comes after an upgrade compares what it finds in the kernel with what it would set, by these texts too: a
// difference takes down the taps of all VMs on the host.
func TestNamesInTheKernelStay(t *testing.T) {
	reasons := []string{
		DroppedSpoofed, DroppedBandwidth, DroppedHost, DroppedNeighbour, DroppedPrivate, DroppedMail, DroppedInbound, DroppedEarly, DroppedConnections,
	}
	if want := []string{
		"not its own address", "over its bandwidth", "to this host", "to another machine", "to a private network", "to port 25",
		"from outside, unasked", "to the mesh, unasked", "too many connections",
	}; !slices.Equal(reasons, want) {
		t.Errorf("rules say %q, those of earlier versions %q", reasons, want)
	}
	n := &Network{cfg: Config{Tag: "miner", Pool: netip.MustParsePrefix("172.31.0.0/24")}}
	var chains []string
	for _, c := range n.baseChains() {
		chains = append(chains, c.chain.Name)
	}
	if want := []string{"from_machine", "between_machines", "to_machine", "forwarding", "arriving", "leaving"}; !slices.Equal(chains, want) {
		t.Errorf("chains are called %q, those of earlier versions %q", chains, want)
	}
}
