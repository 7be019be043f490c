package nebula

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// mendEvery is how often a node looks after its ways; each time differs by up
// to half of it, so that thousands do not call on a restarted lighthouse at
// the same time.
const mendEvery = time.Second

// mend shortens what a restarted lighthouse costs. The library would call it
// again within ten seconds, and send into tunnels whose last relay has gone
// for another fifteen, in which TCP backs off even further.
func (n *Node) mend() {
	defer close(n.mended)
	for {
		wait := time.NewTimer(mendEvery/2 + rand.N(mendEvery)) //nolint:gosec // spreads load, keeps no secret
		select {
		case <-n.life.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		n.callLighthouses()
		n.dropLostTunnels()
	}
}

// callLighthouses begins a handshake with those that have no tunnel; if one is
// under way that changes nothing.
func (n *Node) callLighthouses() {
	for _, addr := range n.lighthouses() {
		if _, ok := n.Peer(addr); !ok {
			n.control.CreateTunnel(addr)
		}
	}
}

// dropLostTunnels forgets those with neither an underlay address nor a relay;
// the next packet makes a new one.
func (n *Node) dropLostTunnels() {
	for _, p := range n.Peers() {
		if addr := p.Addrs[0]; !p.Underlay.IsValid() && len(p.Relays) == 0 && n.contains(addr) {
			n.log.Debug("drop a tunnel without a way", "addr", addr)
			n.control.CloseTunnel(addr, true)
		}
	}
}

func (n *Node) lighthouses() []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]netip.Addr, len(n.config.Lighthouses))
	for i, l := range n.config.Lighthouses {
		out[i] = l.Addr
	}
	return out
}
