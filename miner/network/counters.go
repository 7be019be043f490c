package network

import (
	"context"
	"fmt"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

// Why a packet was dropped; also the comment of the rule that does it, so the texts stay: a miner that comes
// after an upgrade compares them with what it finds in the kernel. The same goes for the names of chains.
const (
	DroppedSpoofed   = "not its own address"   // by one tap: MAC, ARP or IP of another, or IPv6
	DroppedBandwidth = "over its bandwidth"    // by one tap
	DroppedHost      = "to this host"          // VM to host
	DroppedNeighbour = "to another machine"    // VM to VM
	DroppedPrivate   = "to a private network"  // VM to the miner's networks
	DroppedMail      = "to port 25"            // VM to a mail server
	DroppedInbound   = "from outside, unasked" // anyone to VM
	// DroppedEarly: for the mesh's port of this host, from where no VM has called yet.
	DroppedEarly = "to the mesh, unasked"
	// DroppedConnections: a VM has more connections open than it may.
	DroppedConnections = "too many connections"
)

// Dropped counts the packets dropped since the rules were laid, by reason:
// those of one VM's tap (DroppedSpoofed, DroppedBandwidth), or with vm ""
// those of the rules for all VMs.
func (n *Network) Dropped(ctx context.Context, vm string) (map[string]uint64, error) {
	if err := n.mu.within(ctx); err != nil {
		return nil, fmt.Errorf("count dropped packets: %w", err)
	}
	defer n.mu.Unlock()
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("nftables: %w", err)
	}
	counts := make(map[string]uint64)
	if vm == "" {
		for _, name := range []string{"from_machine", "between_machines", "to_machine", "arriving"} {
			if err := count(conn, &nftables.Chain{Table: n.table(), Name: name}, counts); err != nil {
				return nil, err
			}
		}
		return counts, nil
	}
	all, err := n.sort(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if a.VM == vm {
			return counts, count(conn, n.tapRules(a.Tap).chain, counts)
		}
	}
	return nil, fmt.Errorf("vm %.40q has no tap: %w", vm, os.ErrNotExist)
}

// count adds up the counters of a chain by the comments of their rules.
func count(conn *nftables.Conn, chain *nftables.Chain, counts map[string]uint64) error {
	rules, err := conn.GetRules(chain.Table, chain)
	if err != nil {
		return fmt.Errorf("read rules of %s: %w", chain.Name, err)
	}
	for _, rule := range rules {
		why, ok := userdata.GetString(rule.UserData, userdata.TypeComment)
		if !ok {
			continue
		}
		for _, e := range rule.Exprs {
			if c, ok := e.(*expr.Counter); ok {
				counts[why] += c.Packets
			}
		}
	}
	return nil
}
