// Package network connects VMs to the world: one routed tap each, no
// bridge, and rules that let a VM speak only as itself, to the public
// internet and to the mesh.
//
//   - From its own MAC and address alone (nft netdev, at the tap's ingress).
//   - Never to another VM of this host, except mesh UDP between VMs
//     of one tenant; never to this host; never to private networks, save
//     lighthouses in those the operator names; never to TCP port 25.
//   - To everything else masqueraded, and only answers come back.
//   - With a bounded number of connections at once: the host's table of them is
//     shared by all, and full for one it is full for everybody.
//   - Within its bandwidth. libvirt could cap that too, but polices what
//     leaves a VM with a kernel module that not every host has; here it
//     is nft's limit for what leaves and a token bucket for what arrives.
//
// All state lies in the kernel: a tap carries in its alias whose it is. A
// restarted miner finds everything as it was, and nothing but the tables and
// interfaces that bear its tag is ever touched. Another firewall on the host
// that drops forwarded packets still does: accepting is each table's own.
package network

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
)

// Config sets up a Network.
type Config struct {
	// Tag tells this miner's interfaces and tables from those of others on the
	// host: 1 to 8 lower-case letters and digits.
	Tag string
	// Pool is cut into /30s, one for each tap. IPv4, /8 to /30.
	Pool netip.Prefix
	// Private is where VMs may not go. Keep the defaults in it.
	Private []netip.Prefix
	// Connections a VM may have open at once through this host, 1 to 2^20.
	Connections uint32
	// LighthouseNets are those of Private in which lighthouses may stand. The list
	// of lighthouses comes from strangers: without this, whoever registers one
	// would choose what of the miner's networks its VMs may reach.
	LighthouseNets []netip.Prefix
	// TapUser may open the taps besides root: who QEMU runs as.
	TapUser string
	// Log may be nil.
	Log *slog.Logger
}

// DefaultConfig needs only a Tag.
func DefaultConfig() Config {
	return Config{
		Pool:        netip.MustParsePrefix("10.90.0.0/16"),
		Private:     DefaultPrivate(),
		Connections: 8192,
		TapUser:     "libvirt-qemu",
	}
}

// DefaultPrivate lists every IPv4 range that is not the public internet (RFC
// 6890): private, shared, loopback, link-local, test, multicast, reserved; and
// the one public address behind which a cloud keeps secrets of its hosts.
func DefaultPrivate() []netip.Prefix {
	var all []netip.Prefix
	for _, p := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
		"224.0.0.0/3", "168.63.129.16/32", // the last is Azure's
	} {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// maxConnections is more than any host's table has room for.
const maxConnections = 1 << 20

// Validate reports the first setting that cannot work.
func (c Config) Validate() error {
	switch {
	case !regexp.MustCompile(`^[a-z0-9]{1,8}$`).MatchString(c.Tag):
		return fmt.Errorf("tag %.20q is not 1 to 8 lower-case letters and digits", c.Tag)
	case !c.Pool.IsValid() || !c.Pool.Addr().Is4() || c.Pool.Bits() < 8 || c.Pool.Bits() > 30 || c.Pool != c.Pool.Masked():
		return fmt.Errorf("pool %s is not an IPv4 network of /8 to /30", c.Pool)
	case c.Connections < 1 || c.Connections > maxConnections:
		return fmt.Errorf("%d connections a VM: accepted are 1 to %d", c.Connections, maxConnections)
	case len(c.Private) > 1024 || len(c.LighthouseNets) > 1024:
		return fmt.Errorf("%d private networks are too many", max(len(c.Private), len(c.LighthouseNets)))
	}
	for _, p := range slices.Concat(c.Private, c.LighthouseNets) {
		if !p.IsValid() || !p.Addr().Is4() {
			return fmt.Errorf("private network %s is not IPv4", p)
		}
	}
	return nil
}

// Attachment is what a VM is to be connected with.
type Attachment struct {
	VM     string // 32 lower-case hex digits
	Tenant string // whose it is: 1 to 100 printable characters without spaces
	// BitsPerSec caps each direction; 0 is no cap. At least 1 Mbit/s. A second's
	// worth may leave at once, and a hundredth of that arrive.
	BitsPerSec uint64
}

// Tap is a VM's connection.
type Tap struct {
	Name  string       // of the interface on the host
	MAC   string       // the guest's, a function of the VM alone
	Host  netip.Prefix // the host's address and the guest's gateway, in a /30
	Guest netip.Prefix // the guest's address in the same /30
	// TenantMark is the same on all taps of a tenant on this host.
	TenantMark uint32

	VM         string
	Tenant     string
	BitsPerSec uint64
}

// Network makes and removes taps. Its methods may be called concurrently, from
// processes in the network namespace New was called in.
type Network struct {
	cfg   Config
	uid   uint32
	log   *slog.Logger
	stats counters
	// look is verify, but in tests.
	look func(context.Context) ([]attached, []defect, error)

	mu mutex // one change at a time; guards what follows
	// What should be, besides cfg: the taps by their interfaces as they were made or found, and the lighthouses. It is
	// in the kernel too, and a new miner finds it there; here others cannot alter it.
	known       map[string]Tap
	lighthouses []netip.AddrPort // in order
	torn        bool             // by Teardown
	unread      int              // how often in a row the state could not be read
	// wholeGen is the generation of nftables that was found whole, 0 for none, with these interfaces and their numbers.
	wholeGen   uint32
	wholeLinks map[string]int
	readAt     time.Time            // when rules were last compared
	verifiedAt time.Time            // when everything was last found or made whole
	noticed    map[defect]time.Time // by Guard and not repaired yet, since when
	othersGen  uint32               // the generation of nftables at which other programs' chains were read
}

// ErrFull is returned when the pool has no /30 left.
var ErrFull = errors.New("no address left in the pool")

// New takes over what an earlier miner of the same tag left, switches IPv4 forwarding on and lays the rules. What is
// whole is left as it is. What is not is repaired as Guard does: with the taps down. It needs root.
func New(ctx context.Context, cfg Config) (*Network, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	uid, err := lookupUser(cfg.TapUser)
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	n := &Network{cfg: cfg, uid: uid, log: cfg.Log, mu: newMutex(), known: map[string]Tap{}, wholeLinks: map[string]int{}}
	n.look = n.verify
	if err := n.takeOver(ctx); err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}
	return n, nil
}

func (n *Network) takeOver(ctx context.Context) (err error) {
	if err := n.mu.within(ctx); err != nil {
		return err
	}
	defer n.mu.Unlock()
	if n.lighthouses, err = n.readLighthouses(); err != nil {
		return err
	}
	all, err := n.sort(ctx)
	if err != nil {
		return err
	}
	for _, a := range all {
		n.known[a.Name] = a.Tap
	}
	if len(all) == 0 { // nothing that could pass, and nothing to repair
		if err := errors.Join(n.layBase(nil), forward()); err != nil {
			return err
		}
	}
	for range unreadable {
		if _, err = n.restore(ctx, nil); n.unread == 0 {
			return err
		}
	}
	return err
}

func lookupUser(name string) (uint32, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, fmt.Errorf("user of taps: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("user of taps: %w", err)
	}
	return uint32(uid), nil
}

// Ensure connects a VM, or brings its connection to what is asked, and verifies all that it sets, for all VMs
// and for this one: what others have changed is repaired as Guard does. What was verified less than three seconds ago is not
// looked at again, so it may be called often, and for each VM.
//
// It is to be called again once the VM has started: libvirt replaces the queue of a tap it opens, and the cap on
// what arrives with it. A VM that comes under another tenant gets another tap, and nothing of what the former one
// had open reaches it.
func (n *Network) Ensure(ctx context.Context, a Attachment) (Tap, error) {
	if err := a.validate(); err != nil {
		return Tap{}, err
	}
	if err := n.mu.within(ctx); err != nil {
		return Tap{}, fmt.Errorf("connect vm %s: %w", a.VM, err)
	}
	defer n.mu.Unlock()
	if t, ok := n.recap(a); ok && n.isVerified() {
		return t, nil
	}
	left, restoreErr := n.restore(ctx, func(d defect) bool { return d.tap != "" && n.known[d.tap].VM != a.VM })
	if restoreErr != nil && len(left) == 0 {
		return Tap{}, restoreErr
	}
	all, err := n.sort(ctx)
	if err != nil {
		return Tap{}, err
	}
	taps := tapsOf(all)
	for _, t := range taps {
		if t.VM != a.VM {
			continue
		}
		if t.Tenant != a.Tenant {
			if err := n.remove(t); err != nil {
				return Tap{}, err
			}
			break
		}
		if concerned(t, left, isAny) {
			return Tap{}, restoreErr
		}
		if t.BitsPerSec == a.BitsPerSec {
			return t, nil
		}
		t.BitsPerSec = a.BitsPerSec
		return t, n.complete(t)
	}
	if slices.ContainsFunc(left, func(d defect) bool { return d.tap == "" }) {
		return Tap{}, restoreErr
	}
	t, err := n.plan(a, taps)
	if err != nil {
		return Tap{}, fmt.Errorf("connect vm %s: %w", a.VM, err)
	}
	if err := n.create(t); err != nil {
		return Tap{}, errors.Join(fmt.Errorf("connect vm %s: %w", a.VM, err), n.remove(t))
	}
	return t, nil
}

// recent is how long what was verified is taken to be so still: VMs are looked at together.
const recent = poll + time.Second

// isVerified tells whether everything was verified recently, and no rule has changed since.
func (n *Network) isVerified() bool {
	gen, err := generation()
	return err == nil && gen == n.wholeGen && time.Since(n.verifiedAt) < recent
}

// recap sets the cap of an attachment's tap anew. It tells whether there is one that is up and the same otherwise.
func (n *Network) recap(a Attachment) (Tap, bool) {
	for _, t := range n.known {
		if t.VM != a.VM || t.Tenant != a.Tenant || t.BitsPerSec != a.BitsPerSec {
			continue
		}
		link, err := netlink.LinkByName(t.Name)
		return t, err == nil && isUp(link) && shape(link, t.BitsPerSec) == nil
	}
	return Tap{}, false
}

// complete finishes a tap, and remembers it.
func (n *Network) complete(t Tap) error {
	if err := n.finish(t); err != nil {
		return err
	}
	n.known[t.Name] = t
	link, err := netlink.LinkByName(t.Name)
	if err != nil {
		return fmt.Errorf("tap %s: %w", t.Name, err)
	}
	n.wholeLinks[t.Name] = link.Attrs().Index
	return nil
}

// Remove disconnects a VM; one that has no connection is no error.
func (n *Network) Remove(ctx context.Context, vm string) error {
	if err := n.mu.within(ctx); err != nil {
		return fmt.Errorf("disconnect vm %s: %w", vm, err)
	}
	defer n.mu.Unlock()
	all, err := n.sort(ctx)
	if err != nil {
		return err
	}
	for _, a := range all {
		if a.VM == vm {
			return n.remove(a.Tap)
		}
	}
	return nil
}

// List returns all connections of this miner, by interface.
func (n *Network) List(ctx context.Context) ([]Tap, error) {
	if err := n.mu.within(ctx); err != nil {
		return nil, fmt.Errorf("list taps: %w", err)
	}
	defer n.mu.Unlock()
	all, err := n.sort(ctx)
	return tapsOf(all), err
}

// Teardown disconnects all VMs and removes every trace of this miner but
// the switch for forwarding, which others may need by now. The Network is of
// no use afterwards.
func (n *Network) Teardown(ctx context.Context) error {
	if err := n.mu.within(ctx); err != nil {
		return fmt.Errorf("remove the network: %w", err)
	}
	defer n.mu.Unlock()
	n.torn = true
	all, err := n.sort(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, a := range all {
		errs = append(errs, n.remove(a.Tap))
	}
	return errors.Join(append(errs, n.removeTables(), n.leaveOthers())...)
}

// sort lists our taps and deletes those that a crash left without a name tag:
// no VM was told of them. Of one that others removed nothing stays.
func (n *Network) sort(ctx context.Context) ([]attached, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var all []attached
	there := make(map[string]bool)
	for _, link := range links {
		attrs := link.Attrs()
		if !n.ours(attrs.Name) {
			continue
		}
		there[attrs.Name] = true
		t, ok := n.known[attrs.Name]
		var unnamed error
		if !ok {
			t, unnamed = n.readTap(attrs.Name, attrs.Alias)
		}
		if unnamed != nil {
			n.log.Warn("removing an unused interface", "interface", attrs.Name, "error", unnamed)
			if err := netlink.LinkDel(link); err != nil {
				return nil, fmt.Errorf("delete interface %s: %w", attrs.Name, err)
			}
			continue
		}
		all = append(all, attached{t, link})
	}
	for name, t := range n.known {
		if !there[name] {
			n.log.Warn("the tap of a VM is gone", "interface", name, "vm_id", t.VM)
			if err := n.remove(t); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}
