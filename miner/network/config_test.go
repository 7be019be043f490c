package network

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hippius/compute/internal/testkit"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	good := DefaultConfig()
	good.Tag = "a1"
	testkit.Check(t, good.Validate())
	bad := make([]Config, 9)
	for i := range bad {
		bad[i] = good
	}
	bad[0].Tag = ""
	bad[1].Tag = "a b"
	bad[2].Pool = netip.MustParsePrefix("10.90.0.1/16")
	bad[3].Pool = netip.MustParsePrefix("fd00::/64")
	bad[4].Pool = netip.MustParsePrefix("10.0.0.0/31")
	bad[6].Connections = 0
	bad[7].Connections = 1<<20 + 1
	bad[5].Private = []netip.Prefix{netip.MustParsePrefix("fd00::/8")}
	bad[8].LighthouseNets = []netip.Prefix{{}}
	for i, c := range bad {
		if c.Validate() == nil {
			t.Errorf("bad setting %d was taken", i)
		}
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	var nets []netip.Prefix
	for _, p := range []string{"10.0.0.0/8", "10.1.0.0/16", "9.0.0.0/8", "224.0.0.0/3", "192.168.1.7/24", "255.0.0.0/8"} {
		nets = append(nets, netip.MustParsePrefix(p))
	}
	var got []string
	for _, r := range merge(nets) {
		got = append(got, r.first.String()+"-"+r.last.String())
	}
	want := []string{"9.0.0.0-10.255.255.255", "192.168.1.0-192.168.1.255", "224.0.0.0-255.255.255.255"}
	if !slices.Equal(got, want) {
		t.Errorf("merged to %v, want %v", got, want)
	}
}

func TestAddressesOfTaps(t *testing.T) {
	t.Parallel()
	n := &Network{cfg: Config{Tag: "a", Pool: netip.MustParsePrefix("10.90.0.0/16")}}
	tap := n.at(Tap{VM: vmID(5)}, 3)
	if tap.Host.String() != "10.90.0.13/30" || tap.Guest.String() != "10.90.0.14/30" || len(tap.Name) > unix.IFNAMSIZ-1 || !n.ours(tap.Name) {
		t.Errorf("the fourth tap is %+v", tap)
	}
	mac, err := net.ParseMAC(tap.MAC)
	if err != nil || mac[0]&1 != 0 || mac[0]&2 == 0 || tap.MAC != MAC(vmID(5)).String() || tap.MAC == MAC(vmID(6)).String() {
		t.Errorf("its MAC is %s, %v", tap.MAC, err)
	}
	tap.Tenant, tap.TenantMark, tap.BitsPerSec = "hippius1qqq", 7, 1e8
	if back, err := n.readTap(tap.Name, tap.alias()); err != nil || back != tap {
		t.Errorf("read back it is %+v, %v", back, err)
	}
	for _, alias := range []string{"", "hippius/1", "hippius/2 x", tap.alias()[:50], strings.Replace(tap.alias(), " 7 ", " 0 ", 1)} {
		if _, err := n.readTap(tap.Name, alias); err == nil {
			t.Errorf("alias %q was read", alias)
		}
	}
}
