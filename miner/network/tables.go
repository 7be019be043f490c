package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// meshPort is the UDP port Nebula listens on in every guest.
const meshPort = 4242

// Names in nft must not be words of its language.
const (
	setPrivate     = "private_nets"
	setLighthouses = "lighthouse_ends"
	mapTenants     = "tenant_of_tap"
	setNeighbours  = "tap_of_tenant"
	setConnections = "connections_of"
)

func (n *Network) table() *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyINet, Name: "hippius_" + n.cfg.Tag}
}

func (n *Network) tapTable() *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyNetdev, Name: "hippius_" + n.cfg.Tag}
}

func (n *Network) sets() (private, lighthouses, tenants, neighbours *nftables.Set) {
	table := n.table()
	return &nftables.Set{Table: table, Name: setPrivate, KeyType: nftables.TypeIPAddr, Interval: true},
		&nftables.Set{
			Table: table, Name: setLighthouses, Concatenation: true,
			KeyType: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService),
		},
		&nftables.Set{Table: table, Name: mapTenants, IsMap: true, KeyType: nftables.TypeIFName, DataType: nftables.TypeMark},
		&nftables.Set{
			Table: table, Name: setNeighbours, Concatenation: true,
			KeyType: nftables.MustConcatSetType(nftables.TypeMark, nftables.TypeIFName),
		}
}

// connections counts what each machine has open, by its address. The kernel
// forgets those that have ended by itself.
func (n *Network) connections() *nftables.Set {
	return &nftables.Set{
		Table: n.table(), Name: setConnections, KeyType: nftables.TypeIPAddr, Dynamic: true, Size: n.slots(),
	}
}

// layTables replaces all rules of this miner by those for the given taps, in
// one transaction. The lighthouses that were known stay.
func (n *Network) layTables(taps []Tap) error {
	lights, err := n.Lighthouses()
	if err != nil {
		return err
	}
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	table := n.table()
	// Adding first makes deleting work whether it existed or not.
	conn.AddTable(table)
	conn.DelTable(table)
	conn.AddTable(table)
	private, lighthouses, tenants, neighbours := n.sets()
	var tapTenants, tapNeighbours []nftables.SetElement
	for _, t := range taps {
		tapTenants, tapNeighbours = append(tapTenants, t.tenantElement()), append(tapNeighbours, t.neighbourElement())
	}
	for _, s := range []struct {
		set      *nftables.Set
		elements []nftables.SetElement
	}{
		{private, intervals(n.cfg.Private)},
		{lighthouses, endpoints(lights)},
		{tenants, tapTenants},
		{neighbours, tapNeighbours},
	} {
		if err := conn.AddSet(s.set, s.elements); err != nil {
			return fmt.Errorf("nftables set %s: %w", s.set.Name, err)
		}
	}
	if err := conn.AddSet(n.connections(), nil); err != nil {
		return fmt.Errorf("nftables set %s: %w", setConnections, err)
	}
	n.layChains(conn)
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("lay nftables rules: %w", err)
	}
	for _, t := range taps {
		if err := n.finish(t); err != nil {
			return err
		}
	}
	return nil
}

// layChains adds the rules that are the same for all machines. Each hook takes
// notice of our taps alone, whatever else the host forwards.
func (n *Network) layChains(conn *nftables.Conn) {
	table := n.table()
	open := nftables.ChainPolicyAccept
	plain := func(name string) *nftables.Chain {
		return conn.AddChain(&nftables.Chain{Table: table, Name: name})
	}
	hook := func(name string, kind nftables.ChainType, at *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
		return conn.AddChain(&nftables.Chain{Table: table, Name: name, Type: kind, Hooknum: at, Priority: priority, Policy: &open})
	}
	add := func(chain *nftables.Chain, why string, parts ...[]expr.Any) {
		rule := &nftables.Rule{Table: table, Chain: chain, Exprs: join(parts...)}
		if why != "" {
			rule.UserData = userdata.AppendString(nil, userdata.TypeComment, why)
		}
		conn.AddRule(rule)
	}
	prefix := n.prefix()
	outbound, between, inbound := plain("from_machine"), plain("between_machines"), plain("to_machine")

	add(outbound, "", outIs(prefix), jump(between.Name))
	add(outbound, "", answers(), accept())
	add(outbound, DroppedConnections, isNew(), openBySource(setConnections, n.cfg.Connections), drop())
	add(outbound, "", protocol(unix.IPPROTO_UDP), inSetDestination(setLighthouses), accept())
	add(outbound, DroppedPrivate, destinationIn(setPrivate), drop())
	add(outbound, DroppedMail, protocol(unix.IPPROTO_TCP), destinationPort(25), drop())
	add(outbound, "", accept())

	add(between, "", markTenant())
	add(between, "", sameTenant(), protocol(unix.IPPROTO_UDP), bothPorts(meshPort), accept())
	add(between, DroppedNeighbour, drop())

	add(inbound, "", answers(), accept())
	add(inbound, DroppedInbound, drop())

	forward := hook("forwarding", nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter)
	add(forward, "", inIs(prefix), jump(outbound.Name))
	add(forward, "", outIs(prefix), jump(inbound.Name))

	input := hook("arriving", nftables.ChainTypeFilter, nftables.ChainHookInput, nftables.ChainPriorityFilter)
	add(input, "", inIs(prefix), answers(), accept())
	add(input, DroppedHost, inIs(prefix), drop())
	// What calls a machine before the machine called it, as both ends of a direct tunnel do. Taken in, it would stand in
	// the kernel's table as a flow of the host's, and the machine's own call to the same place would get another port than
	// the one that it is known by.
	add(input, DroppedEarly, inIsNot("lo"), protocol(unix.IPPROTO_UDP), destinationPort(meshPort), isNew(), drop())

	leaving := hook("leaving", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, nftables.ChainPriorityNATSource)
	add(leaving, "", sourceIn(n.cfg.Pool), outIsNot(prefix), []expr.Any{&expr.Masq{}})
}

// layTap adds what concerns one tap: it is nobody's before, and from then on
// lets only its own guest speak. Done again, it replaces what was.
func (n *Network) layTap(t Tap) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	_, _, tenants, neighbours := n.sets()
	if err := errors.Join(
		conn.SetAddElements(tenants, []nftables.SetElement{t.tenantElement()}),
		conn.SetAddElements(neighbours, []nftables.SetElement{t.neighbourElement()}),
	); err != nil {
		return fmt.Errorf("tap %s: %w", t.Name, err)
	}
	table := conn.AddTable(n.tapTable())
	chain := conn.AddChain(n.tapChain(t))
	conn.FlushChain(chain)
	add := func(why string, parts ...[]expr.Any) {
		rule := &nftables.Rule{Table: table, Chain: chain, Exprs: join(parts...)}
		if why != "" {
			rule.UserData = userdata.AppendString(nil, userdata.TypeComment, why)
		}
		conn.AddRule(rule)
	}
	mac, guest := MAC(t.VM), t.Guest.Addr()
	add(DroppedSpoofed, sourceMACIsNot(mac), drop())
	add("", etherType(unix.ETH_P_ARP), arpSender(mac, guest), accept())
	if t.BitsPerSec > 0 {
		add(DroppedBandwidth, etherType(unix.ETH_P_IP), sourceIs(guest), faster(t.BitsPerSec/8), drop())
	}
	add("", etherType(unix.ETH_P_IP), sourceIs(guest), accept())
	add(DroppedSpoofed, drop())
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("lay rules of tap %s: %w", t.Name, err)
	}
	return nil
}

func (n *Network) tapChain(t Tap) *nftables.Chain {
	refuse := nftables.ChainPolicyDrop
	return &nftables.Chain{
		Table: n.tapTable(), Name: "at_" + t.Name, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityFilter,
		Policy: &refuse, Device: t.Name,
	}
}

// liftTap removes what layTap added, each part by itself: none need be there.
func (n *Network) liftTap(t Tap) error {
	_, _, tenants, neighbours := n.sets()
	var errs []error
	for _, part := range []func(*nftables.Conn) error{
		func(c *nftables.Conn) error {
			return c.SetDeleteElements(tenants, []nftables.SetElement{t.tenantElement()})
		},
		func(c *nftables.Conn) error {
			return c.SetDeleteElements(neighbours, []nftables.SetElement{t.neighbourElement()})
		},
		func(c *nftables.Conn) error { c.DelChain(n.tapChain(t)); return nil },
	} {
		conn, err := nftables.New()
		if err == nil {
			err = errors.Join(part(conn), conn.Flush())
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("lift rules of tap %s: %w", t.Name, err))
		}
	}
	return errors.Join(errs...)
}

// forgetCount of what a machine has open: the kernel does it by itself, but
// only some time after the last flow has ended.
func (n *Network) forgetCount(t Tap) error {
	conn, err := nftables.New()
	if err == nil {
		guest := t.Guest.Addr().As4()
		err = errors.Join(conn.SetDeleteElements(n.connections(), []nftables.SetElement{{Key: guest[:]}}), conn.Flush())
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget connections of tap %s: %w", t.Name, err)
	}
	return nil
}

// removeTables removes all rules of this miner.
func (n *Network) removeTables() error {
	var errs []error
	for _, table := range []*nftables.Table{n.table(), n.tapTable()} {
		conn, err := nftables.New()
		if err == nil {
			conn.DelTable(table)
			err = conn.Flush()
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove table %s: %w", table.Name, err))
		}
	}
	return errors.Join(errs...)
}

func ifName(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

func (t Tap) mark() []byte { return binary.NativeEndian.AppendUint32(nil, t.TenantMark) }

func (t Tap) tenantElement() nftables.SetElement {
	return nftables.SetElement{Key: ifName(t.Name), Val: t.mark()}
}

func (t Tap) neighbourElement() nftables.SetElement {
	return nftables.SetElement{Key: append(t.mark(), ifName(t.Name)...)}
}

// intervals writes networks as nft does: each a beginning and the address
// after its end. Overlaps are merged, for the kernel refuses them.
func intervals(nets []netip.Prefix) []nftables.SetElement {
	var elements []nftables.SetElement
	for _, r := range merge(nets) {
		elements = append(elements, nftables.SetElement{Key: r.first.AsSlice()})
		if after := r.last.Next(); after.IsValid() {
			elements = append(elements, nftables.SetElement{Key: after.AsSlice(), IntervalEnd: true})
		}
	}
	return elements
}

func endpoints(ends []netip.AddrPort) []nftables.SetElement {
	var elements []nftables.SetElement
	for _, e := range ends {
		key := e.Addr().Unmap().AsSlice()
		key = binary.BigEndian.AppendUint16(key, e.Port())
		elements = append(elements, nftables.SetElement{Key: append(key, 0, 0)}) // each part fills a register
	}
	return elements
}
