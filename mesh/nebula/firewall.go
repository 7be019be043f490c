package nebula

import (
	"fmt"
	"net/netip"
	"strconv"
)

// Proto is a transport protocol a rule matches.
type Proto string

// The protocols rules know.
const (
	ProtoAny  Proto = "any"
	ProtoTCP  Proto = "tcp"
	ProtoUDP  Proto = "udp"
	ProtoICMP Proto = "icmp"
)

// Rule lets packets pass that match all of it. At most one of Groups, Host and
// Network may be set, because Nebula would join them by "or"; with none, every
// member of the network matches. No rule ever matches a lighthouse operator:
// each is bound to the network's own authorities.
type Rule struct {
	Proto Proto `json:"proto"`
	// PortFrom to PortTo inclusive; both 0 is any. PortTo 0 is PortFrom.
	PortFrom uint16 `json:"port_from,omitempty"`
	PortTo   uint16 `json:"port_to,omitempty"`
	// Groups that the peer's certificate must all have.
	Groups []string `json:"groups,omitempty"`
	// Host is the peer's certificate name.
	Host string `json:"host,omitempty"`
	// Network holds the peer's mesh address.
	Network netip.Prefix `json:"network,omitzero"`
}

// Firewall is what a node accepts and sends inside the mesh. What no rule
// matches is dropped; replies to what passed pass.
type Firewall struct {
	Inbound  []Rule `json:"inbound,omitempty"`
	Outbound []Rule `json:"outbound,omitempty"`
}

// AllowAll lets every member of the network in and everything out.
func AllowAll() Firewall {
	return Firewall{Inbound: []Rule{{Proto: ProtoAny}}, Outbound: []Rule{{Proto: ProtoAny}}}
}

// AllowOut lets everything out and nothing in: what a laptop wants.
func AllowOut() Firewall {
	return Firewall{Outbound: []Rule{{Proto: ProtoAny}}}
}

func (f Firewall) check() error {
	for i, r := range f.Inbound {
		if err := r.check(); err != nil {
			return fmt.Errorf("inbound rule %d: %w", i, err)
		}
	}
	for i, r := range f.Outbound {
		if err := r.check(); err != nil {
			return fmt.Errorf("outbound rule %d: %w", i, err)
		}
	}
	return nil
}

func (r Rule) check() error {
	switch r.Proto {
	case ProtoAny, ProtoTCP, ProtoUDP:
	case ProtoICMP:
		if r.PortFrom != 0 || r.PortTo != 0 {
			return fmt.Errorf("icmp has no ports")
		}
	default:
		return fmt.Errorf("protocol %q is unknown", r.Proto)
	}
	if r.PortTo != 0 && r.PortTo < r.PortFrom || r.PortTo != 0 && r.PortFrom == 0 {
		return fmt.Errorf("ports %d to %d are no range", r.PortFrom, r.PortTo)
	}
	sources := 0
	if len(r.Groups) > 0 {
		sources++
	}
	if r.Host != "" {
		sources++
	}
	if r.Network.IsValid() {
		sources++
	}
	if sources > 1 {
		return fmt.Errorf("groups, host and network exclude each other")
	}
	for _, g := range r.Groups {
		// Nebula reads the word "any" as every certificate.
		if g == "" || g == "any" || len(g) > 64 {
			return fmt.Errorf("group %.80q is reserved or not 1 to 64 bytes", g)
		}
	}
	if r.Host == "any" || len(r.Host) > 253 {
		return fmt.Errorf("host %.80q is reserved or longer than 253 bytes", r.Host)
	}
	return nil
}

// settings gives the rule once for each authority of the network.
func (r Rule) settings(authorities []string) []any {
	port := "any"
	if r.PortFrom != 0 {
		port = strconv.Itoa(int(r.PortFrom))
		if r.PortTo > r.PortFrom {
			port += "-" + strconv.Itoa(int(r.PortTo))
		}
	}
	out := make([]any, 0, len(authorities))
	for _, fingerprint := range authorities {
		m := map[string]any{"proto": string(r.Proto), "ca_sha": fingerprint}
		if r.Proto != ProtoICMP {
			m["port"] = port
		}
		switch {
		case len(r.Groups) > 0:
			groups := make([]string, len(r.Groups))
			copy(groups, r.Groups)
			m["groups"] = groups
		case r.Host != "":
			m["host"] = r.Host
		case r.Network.IsValid():
			m["cidr"] = r.Network.Masked().String()
		default:
			m["host"] = "any"
		}
		out = append(out, m)
	}
	return out
}

func (f Firewall) settings(authorities []string) map[string]any {
	flat := func(rules []Rule) []any {
		out := []any{}
		for _, r := range rules {
			out = append(out, r.settings(authorities)...)
		}
		return out
	}
	return map[string]any{"inbound": flat(f.Inbound), "outbound": flat(f.Outbound)}
}
