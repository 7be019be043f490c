package network

import (
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// chainRules is a chain as it should be: what is laid and what is verified.
type chainRules struct {
	chain *nftables.Chain
	rules []*nftables.Rule
}

// add a rule whose comment is why.
func (c *chainRules) add(why string, parts ...[]expr.Any) {
	rule := &nftables.Rule{Table: c.chain.Table, Chain: c.chain, Exprs: join(parts...)}
	if why != "" {
		rule.UserData = userdata.AppendString(nil, userdata.TypeComment, why)
	}
	c.rules = append(c.rules, rule)
}

// lay adds the rules to the chain, which is there and empty.
func (c *chainRules) lay(conn *nftables.Conn) {
	for _, r := range c.rules {
		conn.AddRule(r)
	}
}

// setContent is a set as it should be.
type setContent struct {
	set      *nftables.Set
	elements []nftables.SetElement
}

// baseSets are those of the table for all VMs. What is in the dynamic one is the kernel's.
func (n *Network) baseSets(taps []Tap) []setContent {
	private, lighthouses, tenants, neighbours := n.sets()
	var tapTenants, tapNeighbours []nftables.SetElement
	for _, t := range taps {
		tapTenants, tapNeighbours = append(tapTenants, t.tenantElement()), append(tapNeighbours, t.neighbourElement())
	}
	return []setContent{
		{private, intervals(n.cfg.Private)},
		{lighthouses, endpoints(n.lighthouses)},
		{tenants, tapTenants},
		{neighbours, tapNeighbours},
		{n.connections(), nil},
	}
}

// baseChains are the rules that are the same for all VMs. Each hook takes
// notice of our taps alone, whatever else the host forwards.
func (n *Network) baseChains() []*chainRules {
	table, prefix := n.table(), n.prefix()
	open := nftables.ChainPolicyAccept
	plain := func(name string) *chainRules {
		return &chainRules{chain: &nftables.Chain{Table: table, Name: name}}
	}
	hook := func(name string, kind nftables.ChainType, at *nftables.ChainHook, priority *nftables.ChainPriority) *chainRules {
		return &chainRules{chain: &nftables.Chain{Table: table, Name: name, Type: kind, Hooknum: at, Priority: priority, Policy: &open}}
	}
	outbound, between, inbound := plain("from_machine"), plain("between_machines"), plain("to_machine")

	outbound.add("", outIs(prefix), jump(between.chain.Name))
	outbound.add("", answers(), accept())
	outbound.add(DroppedConnections, isNew(), openBySource(setConnections, n.cfg.Connections), drop())
	outbound.add("", protocol(unix.IPPROTO_UDP), inSetDestination(setLighthouses), accept())
	outbound.add(DroppedPrivate, destinationIn(setPrivate), drop())
	outbound.add(DroppedMail, protocol(unix.IPPROTO_TCP), destinationPort(25), drop())
	outbound.add("", accept())

	between.add("", markTenant())
	between.add("", sameTenant(), protocol(unix.IPPROTO_UDP), bothPorts(meshPort), accept())
	between.add(DroppedNeighbour, drop())

	inbound.add("", answers(), accept())
	inbound.add(DroppedInbound, drop())

	forward := hook("forwarding", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
	forward.add("", inIs(prefix), jump(outbound.chain.Name))
	forward.add("", outIs(prefix), jump(inbound.chain.Name))

	input := hook("arriving", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter)
	input.add("", inIs(prefix), answers(), accept())
	input.add(DroppedHost, inIs(prefix), drop())
	// What calls a VM before the VM called it, as both ends of a direct tunnel do. Taken in, it would stand in
	// the kernel's table as a flow of the host's, and the VM's own call to the same place would get another port than
	// the one that it is known by.
	input.add(DroppedEarly, inIsNot("lo"), protocol(unix.IPPROTO_UDP), destinationPort(meshPort), isNew(), drop())

	leaving := hook("leaving", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	leaving.add("", sourceIn(n.cfg.Pool), outIsNot(prefix), []expr.Any{&expr.Masq{}})
	return []*chainRules{outbound, between, inbound, forward, input, leaving}
}

// tapRules are those at a tap's ingress: only its own guest may speak.
func (n *Network) tapRules(t Tap) *chainRules {
	refuse := nftables.ChainPolicyDrop
	c := &chainRules{chain: &nftables.Chain{
		Table: n.tapTable(), Name: "at_" + t.Name, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityFilter,
		Policy: &refuse, Device: t.Name,
	}}
	mac, guest := MAC(t.VM), t.Guest.Addr()
	c.add(DroppedSpoofed, sourceMACIsNot(mac), drop())
	c.add("", etherType(unix.ETH_P_ARP), arpSender(mac, guest), accept())
	if t.BitsPerSec > 0 {
		c.add(DroppedBandwidth, etherType(unix.ETH_P_IP), sourceIs(guest), faster(t.BitsPerSec/8), drop())
	}
	c.add("", etherType(unix.ETH_P_IP), sourceIs(guest), accept())
	c.add(DroppedSpoofed, drop())
	return c
}
