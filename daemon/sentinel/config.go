// Package sentinel assembles hippius-sentinel: so far the keeper of VM secrets,
// in step with the chain, and what operators look at. It runs beside a
// validator and apart from consensus.
package sentinel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Files in Config.Data. The first two are made at the first start; lose one, and the shares held are lost.
const (
	// IdentityFile is the Ed25519 key of the transport, which also signs receipts.
	IdentityFile = "identity.pem"
	// SealingFile is the X25519 key that shares are sealed to.
	SealingFile = "sealing.pem"
	// DatabaseFile holds the shares, sealed as they came.
	DatabaseFile = "keeper.db"
)

// Config of a sentinel. Paths are as the process sees them.
type Config struct {
	// Name under which the keeper stands on chain.
	Name string `yaml:"name"`
	// Network is the network's profile file.
	Network string `yaml:"network"`
	// Data is the folder of keys and shares; made if it is not there.
	Data string `yaml:"data"`
	// Listen is the TCP address of the keeper service.
	Listen netip.AddrPort `yaml:"listen"`
	// Wallet is the validator operator's key file, mode 0600, to register the keeper with; empty if it is registered
	// otherwise.
	Wallet string `yaml:"wallet,omitempty"`
	// Public is the host:port at which others reach the keeper, as published on chain; given with wallet.
	Public string `yaml:"public,omitempty"`
	// Leaving: the keeper serves what it holds and takes no further shares. Once the VMs dealt to it are terminated, its operator's
	// stake is free.
	Leaving bool `yaml:"leaving,omitempty"`
	// AbandonShares allows to register other keys than those that shares may be held under, which are lost then. For an operator
	// that lost the keys.
	AbandonShares bool `yaml:"abandon_shares,omitempty"`
	// Observe is the TCP address of /healthz, /readyz and /metrics; keep it private.
	Observe netip.AddrPort `yaml:"observe"`
	// SweepEvery is how often what is held is compared with the chain.
	SweepEvery time.Duration `yaml:"sweep_every"`

	// Version of the program, as its metrics say.
	Version string `yaml:"-"`
}

// Default settings; network must be given.
func Default() Config {
	return Config{
		Name:       "sentinel",
		Data:       "/var/lib/hippius-sentinel",
		Listen:     netip.MustParseAddrPort("0.0.0.0:7420"),
		Observe:    netip.MustParseAddrPort("127.0.0.1:9465"),
		SweepEvery: 15 * time.Second,
	}
}

// Validate says what is wrong, or nil.
func (c *Config) Validate() error {
	switch {
	case c.Network == "":
		return errors.New("network: give the path of the network's profile")
	case c.Data == "":
		return errors.New("data: give the path of a folder")
	case c.Name == "" || len(c.Name) > 64:
		return errors.New("name: give 1 to 64 characters")
	case !c.Listen.IsValid():
		return errors.New("listen: give ip:port")
	case !c.Observe.IsValid():
		return errors.New("observe: give ip:port")
	case c.SweepEvery < time.Second || c.SweepEvery > 5*time.Minute:
		return fmt.Errorf("sweep_every %s: accepted are 1s to 5m", c.SweepEvery)
	case (c.Wallet == "") != (c.Public == ""):
		return errors.New("wallet and public: give both, to register the keeper, or neither")
	}
	if c.Public == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Public)
	if err != nil || host == "" {
		return fmt.Errorf("public %q: give host:port", c.Public)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("public %q: give host:port", c.Public)
	}
	return nil
}
