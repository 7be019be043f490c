// Package devnet runs a whole network on one host: validators with their
// sentinels, miners, a gateway and a faucet. With libvirt each miner has a
// network, mounts and a libvirtd of its own and every program is a process;
// with the fake driver all of it runs inside this process, without root, for
// tests. Nothing of it outlives Close, nor a crash.
package devnet

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/daemon/miner"
)

// Driver is what VMs run on.
type Driver string

// The drivers.
const (
	Fake    Driver = "fake"
	Libvirt Driver = "libvirt"
)

// Config of a network.
type Config struct {
	// Dir holds everything the network writes. It must be empty or that of an earlier run.
	Dir string
	// Driver of the miners. Libvirt needs root and the programs in Bin.
	Driver Driver
	// Processes runs every program as a process with the fake driver too.
	Processes bool
	// Offer of each miner; used with the fake driver. The zero value is what miners of a development network offer.
	Offer miner.Offer
	// Bin is the folder of the built programs; used with Libvirt and Processes.
	Bin string
	// Programs are files to run in place of those of the same name in Bin, such as a "hippius-miner" of another version.
	Programs map[string]string
	// Images is the folder `make image` fills; empty for none.
	Images string
	// Apps of the catalogue beside the default ones.
	Apps []plan.App
	// Plans of the catalogue beside the default ones.
	Plans []plan.Plan
	// Validators 1 to 7, Miners 0 to 8.
	Validators, Miners int
	// BlockTime is the pause between blocks.
	BlockTime time.Duration
	// ProofGap that is charged; zero for the chain's default.
	ProofGap time.Duration
	// BondWait is how long a miner that leaves waits for its bond, whole seconds; zero for the chain's default.
	BondWait time.Duration
	// Disks gives each miner's server a disk of its own, whose power CutPower cuts; with Libvirt.
	Disks bool
	// Miner changes the settings of each miner's daemon; may be nil.
	Miner func(*miner.Config)
	// Tag begins the names of namespaces and interfaces, 1 to 6 lower-case letters: one network of a tag at a time.
	Tag string
	// Log takes what the network itself says; programs write to files in Dir, or to Log with the fake driver.
	Log *slog.Logger
}

// Default is one validator and two miners.
func Default() Config {
	return Config{
		Driver: Libvirt, Validators: 1, Miners: 2, BlockTime: 500 * time.Millisecond, Tag: "hipd",
		Log: slog.New(slog.DiscardHandler),
	}
}

func (c Config) validate() error {
	switch {
	case c.Dir == "":
		return errors.New("devnet needs a folder")
	case c.Driver != Fake && c.Driver != Libvirt:
		return fmt.Errorf("driver %q: accepted are %s and %s", c.Driver, Fake, Libvirt)
	case (c.Driver == Libvirt || c.Processes) && c.Bin == "":
		return errors.New("with libvirt, and with processes, the network needs the folder of the built programs")
	case c.Disks && c.Driver != Libvirt:
		return errors.New("miners have disks of their own only with libvirt")
	case c.Validators < 1 || c.Validators > 7:
		return fmt.Errorf("%d validators: accepted are 1 to 7", c.Validators)
	case c.Miners < 0 || c.Miners > 8:
		return fmt.Errorf("%d miners: accepted are 0 to 8", c.Miners)
	case c.Tag == "" || len(c.Tag) > 6:
		return fmt.Errorf("tag %q: accepted are 1 to 6 lower-case letters", c.Tag)
	}
	return nil
}
