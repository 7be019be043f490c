package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/google/nftables"
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

// connections counts what each VM has open, by its address. The kernel
// forgets those that have ended by itself.
func (n *Network) connections() *nftables.Set {
	return &nftables.Set{
		Table: n.table(), Name: setConnections, KeyType: nftables.TypeIPAddr, Dynamic: true, Size: n.slots(),
	}
}

// transact has the kernel make all the changes that fill asks for, or none. What was verified before is so afterwards,
// if nobody else changed rules meanwhile. n.mu is held.
func (n *Network) transact(fill func(*nftables.Conn) error) error {
	before, err := generation()
	if err != nil {
		return err
	}
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	if err := errors.Join(fill(conn), conn.Flush()); err != nil {
		return err
	}
	if after, err := generation(); err == nil && before == n.wholeGen && after == before+1 {
		n.wholeGen = after
	}
	return nil
}

// transactIfThere is transact for removals: what is not there is no error.
func (n *Network) transactIfThere(fill func(*nftables.Conn) error) error {
	if err := n.transact(fill); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// layBase replaces the rules that are the same for all VMs, and the sets of all taps, in one transaction that no
// packet falls between.
func (n *Network) layBase(taps []Tap) error {
	table := n.table()
	err := n.transact(func(conn *nftables.Conn) error {
		// Adding first makes deleting work whether it existed or not.
		conn.AddTable(table)
		conn.DelTable(table)
		conn.AddTable(table)
		for _, s := range n.baseSets(taps) {
			if err := conn.AddSet(s.set, s.elements); err != nil {
				return fmt.Errorf("set %s: %w", s.set.Name, err)
			}
		}
		chains := n.baseChains()
		for _, c := range chains { // first all of them: rules jump to others
			conn.AddChain(c.chain)
		}
		for _, c := range chains {
			c.lay(conn)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("lay nftables rules: %w", err)
	}
	return nil
}

// layTap adds what concerns one tap: it is nobody's before, and from then on
// lets only its own guest speak. Done again, it replaces what was.
func (n *Network) layTap(t Tap) error {
	_, _, tenants, neighbours := n.sets()
	err := n.transact(func(conn *nftables.Conn) error {
		conn.AddTable(n.tapTable())
		rules := n.tapRules(t)
		conn.FlushChain(conn.AddChain(rules.chain))
		rules.lay(conn)
		return errors.Join(
			conn.SetAddElements(tenants, []nftables.SetElement{t.tenantElement()}),
			conn.SetAddElements(neighbours, []nftables.SetElement{t.neighbourElement()}),
		)
	})
	if err != nil {
		return fmt.Errorf("lay rules of tap %s: %w", t.Name, err)
	}
	return nil
}

// together is how many taps' rules are laid in one transaction: each costs the kernel a wait, and more would not fit
// into its buffers.
const together = 16

// relayTaps makes the rules at some taps anew, however they were altered. The taps must be down.
func (n *Network) relayTaps(taps []Tap) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	r := reading{conn: conn, n: n}
	chains, err := r.chains(n.tapTable())
	if err != nil {
		return err
	}
	for some := range slices.Chunk(taps, together) {
		err := n.transact(func(conn *nftables.Conn) error {
			conn.AddTable(n.tapTable())
			for _, t := range some {
				if c := n.tapRules(t).chain; chains[c.Name] != nil {
					conn.DelChain(c)
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("lift rules of taps: %w", err)
		}
		err = n.transact(func(conn *nftables.Conn) error {
			for _, t := range some {
				rules := n.tapRules(t)
				conn.AddChain(rules.chain)
				rules.lay(conn)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("lay rules of taps: %w", err)
		}
	}
	return nil
}

// liftTap removes what layTap added, each part by itself: none need be there.
func (n *Network) liftTap(t Tap) error {
	_, _, tenants, neighbours := n.sets()
	err := errors.Join(
		n.transactIfThere(func(c *nftables.Conn) error {
			return c.SetDeleteElements(tenants, []nftables.SetElement{t.tenantElement()})
		}),
		n.transactIfThere(func(c *nftables.Conn) error {
			return c.SetDeleteElements(neighbours, []nftables.SetElement{t.neighbourElement()})
		}),
		n.transactIfThere(func(c *nftables.Conn) error { c.DelChain(n.tapRules(t).chain); return nil }),
	)
	if err != nil {
		return fmt.Errorf("lift rules of tap %s: %w", t.Name, err)
	}
	return nil
}

// forgetCount of what a VM has open: the kernel does it by itself, but
// only some time after the last flow has ended.
func (n *Network) forgetCount(t Tap) error {
	guest := t.Guest.Addr().As4()
	err := n.transactIfThere(func(c *nftables.Conn) error {
		return c.SetDeleteElements(n.connections(), []nftables.SetElement{{Key: guest[:]}})
	})
	if err != nil {
		return fmt.Errorf("forget connections of tap %s: %w", t.Name, err)
	}
	return nil
}

// removeTables removes all rules of this miner.
func (n *Network) removeTables() error {
	var errs []error
	for _, table := range []*nftables.Table{n.table(), n.tapTable()} {
		if err := n.transactIfThere(func(c *nftables.Conn) error { c.DelTable(table); return nil }); err != nil {
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
