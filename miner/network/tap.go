package network

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"regexp"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hippius/compute/internal/fault"
)

// Bounds of what caps a tap, in bits a second: above what one burst of a network card is, and within what the kernel counts.
const (
	MinBits = 1_000_000
	MaxBits = 1_000_000_000_000
)

func (a Attachment) validate() error {
	switch {
	case !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(a.VM):
		return fmt.Errorf("vm id %.40q is not 32 lower-case hex digits", a.VM)
	case !regexp.MustCompile(`^[!-~]{1,100}$`).MatchString(a.Tenant):
		return fmt.Errorf("vm %s: tenant %.40q is not 1 to 100 printable characters", a.VM, a.Tenant)
	case a.BitsPerSec != 0 && (a.BitsPerSec < MinBits || a.BitsPerSec > MaxBits):
		return fmt.Errorf("vm %s: %d bits per second", a.VM, a.BitsPerSec)
	}
	return nil
}

// prefix begins the names of this miner's taps and of nobody else's; rules
// match by it, so that no tap is ever without them.
func (n *Network) prefix() string { return TapPrefix(n.cfg.Tag) }

// TapPrefix is the prefix of the miner of a tag.
func TapPrefix(tag string) string {
	sum := sha256.Sum256([]byte("hippius tap " + tag))
	return "hip" + hex.EncodeToString(sum[:2])
}

func (n *Network) ours(name string) bool {
	rest, ok := strings.CutPrefix(name, n.prefix())
	return ok && len(rest) == 6 && strings.Trim(rest, "0123456789abcdef") == ""
}

// MAC returns the guest's address: a function of the VM, so that it is
// the same on every host and after every move.
func MAC(vm string) net.HardwareAddr {
	sum := sha256.Sum256([]byte("hippius mac " + vm))
	return net.HardwareAddr{0x52, 0x54, sum[0], sum[1], sum[2], sum[3]}
}

// slots is how many /30s the pool holds.
func (n *Network) slots() uint32 { return 1 << (30 - n.cfg.Pool.Bits()) }

// at fills in what follows from a slot.
func (n *Network) at(t Tap, slot uint32) Tap {
	base := n.cfg.Pool.Addr().As4()
	first := binary.BigEndian.Uint32(base[:]) + slot*4
	host, guest := base, base
	binary.BigEndian.PutUint32(host[:], first+1)
	binary.BigEndian.PutUint32(guest[:], first+2)
	t.Name = fmt.Sprintf("%s%06x", n.prefix(), slot)
	t.Host = netip.PrefixFrom(netip.AddrFrom4(host), 30)
	t.Guest = netip.PrefixFrom(netip.AddrFrom4(guest), 30)
	t.MAC = MAC(t.VM).String()
	return t
}

// aliasForm is what a tap carries: all that cannot be told from its name.
const aliasForm = "hippius/1 %s %d %d %s"

func (t Tap) alias() string {
	return fmt.Sprintf(aliasForm, t.VM, t.TenantMark, t.BitsPerSec, t.Tenant)
}

// readTap is the inverse of naming a tap.
func (n *Network) readTap(name, alias string) (Tap, error) {
	var (
		t    Tap
		slot uint32
	)
	if _, err := fmt.Sscanf(strings.TrimPrefix(name, n.prefix()), "%06x", &slot); err != nil || slot >= n.slots() {
		return t, fmt.Errorf("its number is outside the pool %s", n.cfg.Pool)
	}
	if _, err := fmt.Sscanf(alias, aliasForm, &t.VM, &t.TenantMark, &t.BitsPerSec, &t.Tenant); err != nil {
		return t, fmt.Errorf("alias %.60q: %w", alias, err)
	}
	if err := (Attachment{t.VM, t.Tenant, t.BitsPerSec}).validate(); err != nil {
		return t, err
	}
	if t.TenantMark == 0 {
		return t, errors.New("it has no tenant mark")
	}
	return n.at(t, slot), nil
}

// plan finds a slot, the same one each time if it is free, and the tenant's
// mark. Marks are given out here rather than hashed, so that no tenant can be
// made to share another's.
func (n *Network) plan(a Attachment, taps []Tap) (Tap, error) {
	names, marks := make(map[string]bool), make(map[uint32]bool)
	t := Tap{VM: a.VM, Tenant: a.Tenant, BitsPerSec: a.BitsPerSec}
	for _, other := range taps {
		if other.VM == a.VM {
			continue // just removed
		}
		names[other.Name], marks[other.TenantMark] = true, true
		if other.Tenant == a.Tenant {
			t.TenantMark = other.TenantMark
		}
	}
	for next := uint32(1); t.TenantMark == 0; next++ {
		if !marks[next] {
			t.TenantMark = next
		}
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(a.VM)) // never fails
	start := hash.Sum32() % n.slots()
	for i := range n.slots() {
		if t := n.at(t, (start+i)%n.slots()); !names[t.Name] {
			return t, nil
		}
	}
	return Tap{}, ErrFull
}

// create makes the tap. Its filter is in place before it is switched on.
func (n *Network) create(t Tap) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = t.Name
	tap := &netlink.Tuntap{
		LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP,
		Flags: netlink.TUNTAP_NO_PI | netlink.TUNTAP_VNET_HDR, Owner: n.uid,
	}
	if err := netlink.LinkAdd(tap); err != nil {
		return fmt.Errorf("make tap %s: %w", t.Name, err)
	}
	for _, fd := range tap.Fds {
		_ = fd.Close() // the tap stays without it
	}
	if err := fault.Point("network.made"); err != nil {
		return err
	}
	return n.complete(t)
}

// finish brings an existing tap to what it should be, from wherever a crash or
// an older version left it.
func (n *Network) finish(t Tap) error {
	link, err := netlink.LinkByName(t.Name)
	if err != nil {
		return fmt.Errorf("tap %s: %w", t.Name, err)
	}
	a := attached{t, link}
	if err := n.layTap(t); err != nil {
		return err
	}
	if err := fault.Point("network.filtered"); err != nil {
		return err
	}
	if err := n.settle(a); err != nil {
		return err
	}
	if err := netlink.LinkSetAlias(link, t.alias()); err != nil {
		return fmt.Errorf("name tap %s: %w", t.Name, err)
	}
	if err := fault.Point("network.named"); err != nil {
		return err
	}
	return n.raise([]attached{a})
}

// settle gives an interface its switches, its address and its cap.
func (n *Network) settle(a attached) error {
	for _, s := range a.sysctls() {
		if err := s.set(); err != nil {
			return fmt.Errorf("tap %s: %w", a.Name, err)
		}
	}
	addr := &netlink.Addr{IPNet: &net.IPNet{IP: a.Host.Addr().AsSlice(), Mask: net.CIDRMask(a.Host.Bits(), 32)}}
	if err := netlink.AddrReplace(a.link, addr); err != nil {
		return fmt.Errorf("address %s on tap %s: %w", a.Host, a.Name, err)
	}
	if err := shape(a.link, a.BitsPerSec); err != nil {
		return fmt.Errorf("cap tap %s: %w", a.Name, err)
	}
	return nil
}

// remove takes the tap and all that mentions it away. It is down before its rules go. The flows go last: while the tap
// is there, packets would bring them back.
func (n *Network) remove(t Tap) error {
	link, err := netlink.LinkByName(t.Name)
	var absent netlink.LinkNotFoundError
	switch {
	case errors.As(err, &absent):
		link = nil
	case err != nil:
		return fmt.Errorf("tap %s: %w", t.Name, err)
	default:
		if err := n.close([]attached{{t, link}}); err != nil {
			return err
		}
	}
	errs := []error{n.liftTap(t), fault.Point("network.lifted")}
	if link != nil {
		if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("delete tap %s: %w", t.Name, err))
		}
		errs = append(errs, fault.Point("network.deleted"))
	}
	delete(n.known, t.Name)
	delete(n.wholeLinks, t.Name)
	return errors.Join(append(errs, forgetFlows(t.Guest.Addr()), n.forgetCount(t))...)
}

// forgetFlows removes what the kernel remembers of connections from and to some
// addresses: the next one to have it would inherit them.
func forgetFlows(addrs ...netip.Addr) error {
	if len(addrs) == 0 {
		return nil
	}
	of := make(flowsOf, len(addrs))
	for _, a := range addrs {
		of[a] = true
	}
	if _, err := netlink.ConntrackDeleteFilters(netlink.ConntrackTable, unix.AF_INET, of); err != nil {
		return fmt.Errorf("forget flows of %s: %w", addrs[:min(4, len(addrs))], err)
	}
	return nil
}

// flowsOf matches connections that some addresses opened, or that were opened to them.
type flowsOf map[netip.Addr]bool

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (f flowsOf) MatchConntrackFlow(flow *netlink.ConntrackFlow) bool {
	for _, ip := range []net.IP{flow.Forward.SrcIP, flow.Forward.DstIP} {
		if addr, ok := netip.AddrFromSlice(ip); ok && f[addr.Unmap()] {
			return true
		}
	}
	return false
}

// capHandle is the number of the queue that caps what arrives at a guest.
const capHandle = 1 << 16

// shape caps what arrives at the guest with a token bucket; 0 removes it.
func shape(link netlink.Link, bits uint64) error {
	attrs := netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: capHandle, Parent: netlink.HANDLE_ROOT}
	if bits == 0 {
		err := netlink.QdiscDel(&netlink.Tbf{QdiscAttrs: attrs})
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
			return nil // there is none
		}
		return err
	}
	rate := bits / 8
	atOnce := burst(rate)
	return netlink.QdiscReplace(&netlink.Tbf{
		QdiscAttrs: attrs,
		Rate:       rate,
		Buffer:     netlink.Xmittime(rate, atOnce),
		Limit:      uint32(min(rate/20+uint64(atOnce), 1<<31)), //nolint:gosec // bounded here: 50 ms of queue
	})
}

// burst is what may pass at once: a hundredth of a second's worth, and at
// least two of the largest packets.
func burst(bytesPerSec uint64) uint32 {
	return uint32(min(max(bytesPerSec/100, 128<<10), 1<<28)) //nolint:gosec // bounded here
}
