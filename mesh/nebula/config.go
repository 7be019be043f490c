package nebula

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// Bounds of a configuration. The bundle's carries a lighthouse that serves
// every tenant the IPv4 plan has room for.
const (
	MaxCAs         = 1 << 17
	MaxLighthouses = 32
	MaxUnderlay    = 16
	MaxBlocklist   = 1 << 17
	MaxRules       = 512

	DefaultMTU = 1300
	minMTU     = 576
	maxMTU     = 8800
)

// Errors of starting or reloading a node.
var (
	ErrConfig          = errors.New("mesh configuration is invalid")
	ErrNeedsRestart    = errors.New("setting can only change with a restart")
	ErrNetworksChanged = errors.New("certificate moves to other addresses, which needs a restart")
	ErrClosed          = errors.New("mesh node is closed")
)

// Mode is how packets enter and leave a node.
type Mode string

// The modes of a node.
const (
	ModeTun       Mode = "tun"       // a network interface of the host or VM; needs root
	ModeUserspace Mode = "userspace" // DialContext and Listen; needs nothing
	ModeNone      Mode = "none"      // no packets of its own: a lighthouse
)

// Lighthouse is a host that introduces members to each other.
type Lighthouse struct {
	// Addr in the mesh, one of 100.127.0.0/16.
	Addr netip.Addr `json:"addr"`
	// Underlay addresses to reach it at, UDP.
	Underlay []netip.AddrPort `json:"underlay"`
	// CA of its operator, PEM or raw. It must be pinned to Addr alone.
	CA []byte `json:"ca"`
	// Relay says that it also relays between members that cannot reach each
	// other; used only with Config.UseRelays.
	Relay bool `json:"relay"`
}

// Config describes a node. Certificates may be PEM or raw, each entry one.
type Config struct {
	Mode Mode `json:"mode"`
	// Stack is the network of ModeUserspace: netstack.New. Otherwise nil.
	Stack StackFactory `json:"-"`

	// CAs are the authorities of this node's own network: its tenant's, and
	// for a while two of them when the tenant renews. A lighthouse puts every
	// tenant's admitted authority here.
	CAs [][]byte `json:"cas"`
	// Cert and Key (X25519, PEM or 32 bytes) are the node's own.
	Cert []byte `json:"cert"`
	Key  []byte `json:"key"`
	// SelfCA is the operator's own authority on a lighthouse, else empty.
	SelfCA []byte `json:"self_ca,omitempty"`

	Lighthouses []Lighthouse `json:"lighthouses,omitempty"`
	// UseRelays reaches members, and lets them reach this node, through the
	// lighthouses that relay.
	UseRelays bool `json:"use_relays"`
	// AmLighthouse and AmRelay offer the two services to all of CAs.
	AmLighthouse bool `json:"am_lighthouse"`
	AmRelay      bool `json:"am_relay"`

	// Listen is the UDP socket of the underlay; zero is any address and port.
	// A lighthouse given port 0 picks a free one: see Node.ListenPort.
	Listen netip.AddrPort `json:"listen"`
	// Advertise are further underlay addresses at which others may try this
	// node, beside those of its interfaces and the one lighthouses see.
	Advertise []netip.AddrPort `json:"advertise,omitempty"`
	// UnderlayAllow limits which underlay addresses this node talks to,
	// lighthouses included; empty allows all.
	UnderlayAllow []netip.Prefix `json:"underlay_allow,omitempty"`

	// Blocklist of certificate fingerprints, hex SHA-256, whoever signed them.
	Blocklist []string `json:"blocklist,omitempty"`
	// Revoked are, on a lighthouse, the certificates that parties gave up: by the
	// fingerprint of their authority, SHA-256 in 32 bytes each. One counts only
	// against what that authority signed.
	Revoked  map[string][][]byte `json:"revoked,omitempty"`
	Firewall Firewall            `json:"firewall"`

	// MTU inside the mesh in bytes, 576 to 8800; 0 is DefaultMTU.
	MTU int `json:"mtu,omitempty"`
	// TunName of the interface in ModeTun; empty lets the kernel choose.
	TunName string `json:"tun_name,omitempty"`
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrConfig, fmt.Errorf(format, args...))
}

// check refuses what is out of bounds or contradicts itself, without looking
// into certificates.
func (c Config) check() error {
	switch c.Mode {
	case ModeTun, ModeUserspace, ModeNone:
	default:
		return invalid("mode %q", c.Mode)
	}
	if (c.Mode == ModeUserspace) != (c.Stack != nil) {
		return invalid("mode %q: a stack is for %q, which cannot do without", c.Mode, ModeUserspace)
	}
	if c.AmLighthouse && len(c.SelfCA) == 0 {
		return invalid("a lighthouse needs its own authority")
	}
	if !c.AmLighthouse && len(c.SelfCA)+len(c.Revoked) > 0 {
		return invalid("only a lighthouse has its own authority, and revocations by others")
	}
	if c.Mode == ModeNone && len(c.Firewall.Inbound)+len(c.Firewall.Outbound) > 0 {
		return invalid("a node without packets of its own has no use for firewall rules")
	}
	if !c.AmLighthouse && len(c.CAs) == 0 {
		return invalid("no authority of the network")
	}
	if c.MTU != 0 && (c.MTU < minMTU || c.MTU > maxMTU) {
		return invalid("mtu %d is not within %d to %d", c.MTU, minMTU, maxMTU)
	}
	if len(c.TunName) > 15 {
		return invalid("tun name %q is longer than 15 bytes", c.TunName)
	}
	for _, n := range []struct {
		what      string
		n, atMost int
	}{
		{"authorities", len(c.CAs), MaxCAs},
		{"lighthouses", len(c.Lighthouses), MaxLighthouses},
		{"blocked certificates", len(c.Blocklist), MaxBlocklist},
		{"firewall rules", len(c.Firewall.Inbound) + len(c.Firewall.Outbound), MaxRules},
		{"advertised addresses", len(c.Advertise), MaxUnderlay},
		{"allowed underlay networks", len(c.UnderlayAllow), MaxRules},
	} {
		if n.n > n.atMost {
			return invalid("%d %s; at most %d", n.n, n.what, n.atMost)
		}
	}
	return c.checkMembers()
}

func (c Config) checkMembers() error {
	seen := map[netip.Addr]bool{}
	for _, l := range c.Lighthouses {
		switch {
		case !l.Addr.IsValid() || seen[l.Addr]:
			return invalid("lighthouse address %s is invalid or twice", l.Addr)
		case len(l.Underlay) == 0 || len(l.Underlay) > MaxUnderlay:
			return invalid("lighthouse %s has %d underlay addresses; want 1 to %d", l.Addr, len(l.Underlay), MaxUnderlay)
		case slices.ContainsFunc(l.Underlay, unusable):
			return invalid("lighthouse %s has an unusable underlay address", l.Addr)
		}
		seen[l.Addr] = true
	}
	if slices.ContainsFunc(c.Advertise, unusable) {
		return invalid("unusable advertised address")
	}
	for _, p := range c.UnderlayAllow {
		if !p.IsValid() {
			return invalid("invalid allowed underlay network")
		}
	}
	for _, fp := range c.Blocklist {
		if raw, err := hex.DecodeString(fp); err != nil || len(raw) != 32 {
			return invalid("blocked fingerprint %.80q is not a hex SHA-256", fp)
		}
	}
	for authority, list := range c.Revoked {
		if slices.ContainsFunc(list, func(f []byte) bool { return len(f) != 32 }) {
			return invalid("authority %.80q revoked what is no SHA-256", authority)
		}
	}
	if err := c.Firewall.check(); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

func unusable(a netip.AddrPort) bool {
	return !a.IsValid() || a.Port() == 0 || a.Addr().IsUnspecified() || a.Addr().IsMulticast() || a.Addr().Zone() != ""
}

// sameShape refuses a reload that changes what only a start can set.
func (c Config) sameShape(next Config) error {
	for _, s := range []struct {
		what string
		same bool
	}{
		{"mode", c.Mode == next.Mode},
		{"listen address", c.Listen == next.Listen},
		{"lighthouse role", c.AmLighthouse == next.AmLighthouse},
		{"tun name", c.TunName == next.TunName},
		{"mtu", c.MTU == next.MTU},
	} {
		if !s.same {
			return fmt.Errorf("%w: %s", ErrNeedsRestart, s.what)
		}
	}
	return nil
}
