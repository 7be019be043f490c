package chaos

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"sync"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
	"github.com/hippius/compute/miner/seed/seedtest"
)

// signed is a guest's word that it lived when a block was known.
type signed struct {
	vm     vm.ID
	seq    uint32
	height int64
}

// guests remembers what guests signed, which is the truth about their lives.
type guests struct {
	mu     sync.Mutex
	signed map[signed]bool
	broken error
}

// run is the agent inside every VM.
func (g *guests) run(_ context.Context, m hypervisor.Definition, conn net.Conn) {
	cfg, err := seedtest.Config(m.Seed)
	if err != nil {
		g.mu.Lock()
		g.broken = fmt.Errorf("guest of %s: %w", m.ID, err)
		g.mu.Unlock()
		return
	}
	if wire.WriteMessage(conn, wire.ToHost{Hello: &wire.Hello{VMID: string(cfg.VMID), Seq: cfg.Seq}}) != nil {
		return
	}
	in := wire.NewGuestReader(conn)
	for {
		var msg wire.ToGuest
		if in.Next(&msg) != nil {
			return
		}
		c := msg.Challenge
		if c == nil {
			continue
		}
		g.mu.Lock()
		g.signed[signed{cfg.VMID, cfg.Seq, c.Height}] = true
		g.mu.Unlock()
		sig := vm.SignProof(ed25519.NewKeyFromSeed(cfg.ProofKey), cfg.ChainID, cfg.VMID, cfg.Seq, c.Height, c.Hash)
		if wire.WriteMessage(conn, wire.ToHost{Proof: &wire.Proof{Height: c.Height, Signature: sig}}) != nil {
			return
		}
	}
}

// did says whether a guest signed this.
func (g *guests) did(s signed) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.signed[s]
}

// fault is what went wrong inside a VM.
func (g *guests) fault() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.broken
}
