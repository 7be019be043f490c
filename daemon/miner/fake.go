package miner

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"

	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/guest"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/network"
	"github.com/hippius/compute/miner/provision"
)

// fakeGuest is the agent inside the fake driver's VMs: the real one's
// conversation, with the configuration from the VM's seed.
func (m *miner) fakeGuest(ctx context.Context, def hypervisor.Definition, channel net.Conn) {
	cfg, err := guest.ConfigFrom(def.Seed)
	if err != nil {
		m.log.Error("fake guest", "vm_id", string(def.ID), "error", err)
		return
	}
	err = guest.Serve(ctx, cfg, channel, guest.Options{
		Version: m.set.Version, Log: m.log, Status: func() guest.Status { return guest.Status{MeshUp: true} },
	})
	if err != nil && ctx.Err() == nil {
		m.log.Debug("fake guest", "vm_id", string(def.ID), "error", err)
	}
}

// fakeNetwork connects nothing and remembers nothing: what a VM gets follows
// from its id.
type fakeNetwork struct{ pool netip.Prefix }

const tapIDDigits = 8

// Attach implements provision.Network.
func (n fakeNetwork) Attach(_ context.Context, p provision.Port) (provision.NIC, error) {
	raw, err := hex.DecodeString(string(p.ID))
	if err != nil || len(raw) < 4 || !n.pool.Addr().Is4() {
		return provision.NIC{}, fmt.Errorf("attach VM %.40q to %s", p.ID, n.pool)
	}
	base := n.pool.Masked().Addr().As4()
	nets := uint32(1) << max(30-n.pool.Bits(), 0)
	net30 := binary.BigEndian.Uint32(base[:]) + binary.BigEndian.Uint32(raw)%nets*4
	at := func(host uint32) netip.Addr {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], net30+host)
		return netip.AddrFrom4(b)
	}
	return provision.NIC{
		Tap: "fake" + string(p.ID)[:tapIDDigits], MAC: network.MAC(string(p.ID)).String(),
		Address: netip.PrefixFrom(at(2), 30), Gateway: at(1),
	}, nil
}

// Detach implements provision.Network.
func (fakeNetwork) Detach(context.Context, vm.ID) error { return nil }
