package nebula

import (
	"os"
	"time"

	"github.com/hippius/compute/mesh/cert"
)

// Measured: with the library's defaults half of the throughput goes into
// retransmits.
const (
	txQueue      = 5000
	socketBuffer = 20 << 20 // bytes
	listenBatch  = 128      // packets a system call
)

// While a tunnel is relayed the direct way is tried every so many packets. The
// library's thousand are minutes of somebody typing, in which the relay may go.
const (
	promoteEvery = 20
	requeryEvery = 100 // packets, until lighthouses are asked again where a peer is; once a minute at most
)

// A handshake is tried after once, twice, thrice … so long. At the fifth try lighthouses are asked again, which finds a member
// that has only just joined: that comes after 0.75 s, not 1.5 as by the library's defaults. All tries take as long as its own, 5 s.
const (
	tryInterval = 50 * time.Millisecond
	tries       = 14
)

// settings are the library's configuration tree, as Go values: nothing is ever
// formatted into text that a parser reads, so no name out of a certificate or
// off the chain can become a setting.
func (c Config) settings(t *trust, blocked map[string]struct{}) map[string]any {
	blocklist := make([]any, 0, len(blocked))
	for fp := range blocked {
		blocklist = append(blocklist, fp)
	}
	hosts, relays, static := []any{}, []any{}, map[string]any{}
	for _, l := range c.Lighthouses {
		hosts = append(hosts, l.Addr.String())
		if l.Relay && c.UseRelays {
			relays = append(relays, l.Addr.String())
		}
		underlay := make([]any, len(l.Underlay))
		for i, u := range l.Underlay {
			underlay[i] = u.String()
		}
		static[l.Addr.String()] = underlay
	}
	advertise := []any{}
	for _, a := range c.Advertise {
		advertise = append(advertise, a.String())
	}
	lighthouse := map[string]any{
		"am_lighthouse":   c.AmLighthouse,
		"hosts":           hosts,
		"advertise_addrs": advertise,
		"interval":        10, // seconds
	}
	if len(c.UnderlayAllow) > 0 {
		allow := map[string]any{"0.0.0.0/0": false, "::/0": false}
		for _, p := range c.UnderlayAllow {
			allow[p.Masked().String()] = true
		}
		lighthouse["remote_allow_list"] = allow
	}
	return map[string]any{
		"pki": map[string]any{
			"ca":                 string(t.bundle),
			"cert":               string(t.host.PEM()),
			"key":                string(cert.HostKeyPEM(t.key)),
			"blocklist":          blocklist,
			"disconnect_invalid": true,
		},
		"static_host_map": static,
		"static_map":      map[string]any{"network": "ip"},
		"lighthouse":      lighthouse,
		"relay": map[string]any{
			"am_relay":   c.AmRelay,
			"use_relays": c.UseRelays,
			"relays":     relays,
		},
		"handshakes": map[string]any{
			"try_interval": tryInterval.String(),
			"retries":      tries,
		},
		"punchy":   map[string]any{"punch": true, "respond": true},
		"listen":   c.listenSettings(),
		"tun":      c.tunSettings(),
		"firewall": c.Firewall.settings(t.own),
		"counters": map[string]any{"try_promote": promoteEvery, "requery_every_packets": requeryEvery},
	}
}

func (c Config) listenSettings() map[string]any {
	host := "0.0.0.0"
	if c.Listen.Addr().IsValid() {
		host = c.Listen.Addr().String()
	}
	m := map[string]any{
		"host":  host,
		"port":  int(c.Listen.Port()),
		"batch": listenBatch,
	}
	// Beyond the system's limit only root may go; the others would get an
	// error in the log at each start.
	if os.Geteuid() == 0 {
		m["read_buffer"] = socketBuffer
		m["write_buffer"] = socketBuffer
	}
	return m
}

func (c Config) tunSettings() map[string]any {
	return map[string]any{
		"dev":                  c.TunName,
		"mtu":                  c.mtu(),
		"tx_queue":             txQueue,
		"drop_local_broadcast": true,
		"drop_multicast":       true,
	}
}

func (c Config) mtu() int {
	if c.MTU == 0 {
		return DefaultMTU
	}
	return c.MTU
}
