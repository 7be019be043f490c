package nebula

import (
	"net/netip"
	"time"

	nebulalib "github.com/slackhq/nebula"
)

// Peer is a host this node has a tunnel to: a member or a lighthouse.
type Peer struct {
	// Addrs in the mesh, never empty.
	Addrs []netip.Addr
	// Underlay is where its packets go; invalid while they are relayed.
	Underlay netip.AddrPort
	// Relays through which it is reached, if it is.
	Relays []netip.Addr
	// Of its certificate:
	Name        string
	Fingerprint string
	Issuer      string
	NotAfter    time.Time
}

// Peers are the hosts with a tunnel, in no order. A relay lists those it relays
// for, too.
func (n *Node) Peers() []Peer { return peers(n.control.ListHostmapHosts(false)) }

// tunnels are all present ones; a host may have several, of which Peers shows
// the one in use.
func (n *Node) tunnels() []Peer { return peers(n.control.ListHostmapIndexes(false)) }

func peers(hosts []nebulalib.ControlHostInfo) []Peer {
	out := make([]Peer, 0, len(hosts))
	for _, h := range hosts {
		if len(h.VpnAddrs) > 0 {
			out = append(out, newPeer(h))
		}
	}
	return out
}

// Peer gives the tunnel to addr, if there is one.
func (n *Node) Peer(addr netip.Addr) (Peer, bool) {
	h := n.control.GetHostInfoByVpnAddr(addr, false)
	if h == nil || len(h.VpnAddrs) == 0 {
		return Peer{}, false
	}
	return newPeer(*h), true
}

func newPeer(h nebulalib.ControlHostInfo) Peer {
	p := Peer{Addrs: h.VpnAddrs, Underlay: h.CurrentRemote, Relays: h.CurrentRelaysToMe}
	if h.Cert != nil {
		p.Name, p.Issuer, p.NotAfter = h.Cert.Name(), h.Cert.Issuer(), h.Cert.NotAfter().UTC()
		if fp, err := h.Cert.Fingerprint(); err == nil {
			p.Fingerprint = fp
		}
	}
	return p
}

// LighthouseUp reports whether any lighthouse has answered and holds a tunnel.
func (n *Node) LighthouseUp() bool {
	for _, addr := range n.lighthouses() {
		if _, ok := n.Peer(addr); ok {
			return true
		}
	}
	return false
}
