package chaos

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/kdomanski/iso9660"

	wire "github.com/hippius/compute/core/guest"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/hypervisor"
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
	cfg, err := readSeed(m.Seed)
	if err != nil {
		g.mu.Lock()
		g.broken = fmt.Errorf("guest of %s: %w", m.ID, err)
		g.mu.Unlock()
		return
	}
	if wire.WriteMessage(conn, wire.ToHost{Hello: &wire.Hello{VMID: string(cfg.VMID), Seq: cfg.Seq}}) != nil {
		return
	}
	in := wire.NewReader(conn)
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

// readSeed finds the agent's configuration on the VM's CD.
func readSeed(path string) (wire.Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return wire.Config{}, err
	}
	im, err := iso9660.OpenImage(bytes.NewReader(data))
	if err != nil {
		return wire.Config{}, err
	}
	root, err := im.RootDir()
	if err != nil {
		return wire.Config{}, err
	}
	files, err := root.GetChildren()
	if err != nil {
		return wire.Config{}, err
	}
	for _, f := range files {
		if f.Name() == wire.ConfigFile {
			text, err := io.ReadAll(f.Reader())
			if err != nil {
				return wire.Config{}, err
			}
			return wire.DecodeConfig(text)
		}
	}
	return wire.Config{}, fmt.Errorf("no %s on the seed", wire.ConfigFile)
}
