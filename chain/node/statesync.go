package node

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"time"

	cfg "github.com/cometbft/cometbft/config"
)

// StateSync lets a node that has no state start from a snapshot of its peers'. It has no effect on a node with state.
type StateSync struct {
	// Servers are the RPC interfaces, host:port, of at least two nodes, whose headers are checked against each other and
	// against the trusted block; empty for a node that starts from the first block. At most 16.
	Servers []string `yaml:"servers"`
	// TrustHeight and TrustHash, 32 bytes in hex, name a block that the operator knows to be the network's.
	TrustHeight int64  `yaml:"trust_height"`
	TrustHash   string `yaml:"trust_hash"`
	// TrustPeriod is how old that block may be, an hour to 21 days: who signed it must not have unbonded since.
	TrustPeriod time.Duration `yaml:"trust_period"`
}

const (
	maxServers     = 16
	maxTrustPeriod = 21 * 24 * time.Hour
	// discoveryTime is how long snapshots are collected from peers before one is chosen; it goes on until there is one.
	discoveryTime = 5 * time.Second
)

func (s *StateSync) validate() error {
	if s.TrustPeriod < time.Hour || s.TrustPeriod > maxTrustPeriod {
		return fmt.Errorf("trust_period: %v; accepted are 1h to 504h", s.TrustPeriod)
	}
	if len(s.Servers) == 0 {
		return nil
	}
	if len(s.Servers) < 2 || len(s.Servers) > maxServers {
		return fmt.Errorf("servers: %d named; accepted are none, or 2 to %d", len(s.Servers), maxServers)
	}
	for _, a := range s.Servers {
		if _, _, err := net.SplitHostPort(a); err != nil {
			return fmt.Errorf("servers: %q is not host:port", a)
		}
	}
	if s.TrustHeight < 1 {
		return errors.New("trust_height: name a block to trust; `hippiusd trust` shows one")
	}
	if hash, err := hex.DecodeString(s.TrustHash); err != nil || len(hash) != 32 {
		return fmt.Errorf("trust_hash: %.80q is not 32 bytes in hex; `hippiusd trust` shows the hash that goes with trust_height", s.TrustHash)
	}
	return nil
}

// comet turns the settings into CometBFT's.
func (s *StateSync) comet(c *cfg.StateSyncConfig) {
	if len(s.Servers) == 0 {
		return
	}
	c.Enable = true
	c.RPCServers = s.Servers
	c.TrustHeight, c.TrustHash, c.TrustPeriod = s.TrustHeight, s.TrustHash, s.TrustPeriod
	c.DiscoveryTime = discoveryTime
}
