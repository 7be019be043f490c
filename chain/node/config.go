package node

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/cometbft/cometbft/p2p"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/internal/config"
)

// Files of a node's home folder.
const (
	settingsFile     = "hippiusd.yaml"
	genesisFile      = "genesis.json"
	consensusKeyFile = "keys/consensus.json"
	p2pKeyFile       = "keys/p2p.json"
	identityKeyFile  = "keys/identity.pem"
	dataDir          = "data"
	signStateFile    = "data/consensus-state.json"
)

// Config are the settings of a node, as in hippiusd.yaml.
type Config struct {
	// Home is the folder that holds keys, genesis and data.
	Home string `yaml:"-"`
	// P2P is where other nodes are let in, host:port.
	P2P string `yaml:"p2p"`
	// External is how others reach P2P, if that is another address, host:port.
	External string `yaml:"external"`
	// Peers to stay connected to, each id@host:port.
	Peers []string `yaml:"peers"`
	// PeerExchange lets nodes tell each other of further nodes.
	PeerExchange bool `yaml:"peer_exchange"`
	// PrivateNetwork lets nodes have private addresses and share one.
	PrivateNetwork bool `yaml:"private_network"`
	// GRPC is where programs connect, host:port, over TLS with the node's identity key; empty for nowhere.
	GRPC string `yaml:"grpc"`
	// GRPCPlain is where programs on this host connect without TLS, a loopback host:port; empty for nowhere.
	GRPCPlain string `yaml:"grpc_plain"`
	// RPC is CometBFT's own interface, host:port; empty for nowhere.
	RPC string `yaml:"rpc"`
	// Observe is where /healthz, /readyz and /metrics are, host:port; empty for nowhere.
	Observe string `yaml:"observe"`
	// BlockTime is the pause between blocks, 50 ms to a minute.
	BlockTime time.Duration `yaml:"block_time"`
	// ProposeTimeout is how long a block's proposer is waited for.
	ProposeTimeout time.Duration `yaml:"propose_timeout"`
	// KeepStates is how many heights can still be asked about, at least 100; 0 for all.
	KeepStates uint64 `yaml:"keep_states"`
	// KeepBlocks is how long blocks and transactions are kept, an hour to ten years; 0 for ever. It is reckoned in blocks
	// of BlockTime. Blocks that evidence of double signing may refer to, and those that a new node needs to follow from a
	// kept snapshot, are kept in any case.
	KeepBlocks time.Duration `yaml:"keep_blocks"`
	// SnapshotInterval is after how many blocks a snapshot of the state is taken, from which new nodes start; 10 to
	// 10 000 000, 0 for none.
	SnapshotInterval uint64 `yaml:"snapshot_interval"`
	// SnapshotsKept of the last that were taken, 1 to 100.
	SnapshotsKept uint32 `yaml:"snapshots_kept"`
	// StateSync is where a node without state starts from.
	StateSync StateSync `yaml:"state_sync"`
	// LogLevel is debug, info, warn or error.
	LogLevel string `yaml:"log_level"`
	// CheckInvariants checks the modules' invariants after every block, and stops the node when one is violated. For test networks.
	CheckInvariants bool `yaml:"check_invariants"`
	// Version of the program, as its figures tell.
	Version string `yaml:"-"`
	// Upgrades that the node knows beside those of this version, for rehearsals.
	Upgrades []app.Upgrade `yaml:"-"`
}

// Bounds of the settings.
const (
	maxKeepBlocks       = 10 * 365 * 24 * time.Hour
	minSnapshotInterval = 10
	maxSnapshotInterval = 10_000_000
	maxSnapshotsKept    = 100
)

// DefaultConfig are the settings of a public node.
func DefaultConfig(home string) Config {
	return Config{
		Home: home, P2P: "0.0.0.0:26656", PeerExchange: true, GRPC: "0.0.0.0:9090", Observe: "127.0.0.1:26660",
		BlockTime: time.Second, ProposeTimeout: 3 * time.Second, KeepStates: 100_000, KeepBlocks: 14 * 24 * time.Hour,
		SnapshotInterval: 10_000, SnapshotsKept: 2, StateSync: StateSync{TrustPeriod: 14 * 24 * time.Hour}, LogLevel: "info",
	}
}

// LoadConfig reads the settings in a home folder over the defaults.
func LoadConfig(home string) (Config, error) {
	c, err := config.Load(filepath.Join(home, settingsFile), DefaultConfig(home))
	c.Home = home
	return c, err
}

// Validate says in one sentence what is wrong with the settings.
func (c *Config) Validate() error {
	for _, a := range []struct{ name, addr string }{
		{"p2p", c.P2P}, {"external", c.External}, {"grpc", c.GRPC}, {"grpc_plain", c.GRPCPlain}, {"rpc", c.RPC}, {"observe", c.Observe},
	} {
		if a.addr == "" && a.name != "p2p" {
			continue
		}
		if _, _, err := net.SplitHostPort(a.addr); err != nil {
			return fmt.Errorf("%s: %q is not host:port", a.name, a.addr)
		}
	}
	if c.GRPCPlain != "" {
		host, _, _ := net.SplitHostPort(c.GRPCPlain) // checked above
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			return fmt.Errorf("grpc_plain: %q is not a loopback address; use grpc, which has TLS", c.GRPCPlain)
		}
	}
	for _, p := range c.Peers {
		if _, err := p2p.NewNetAddressString(p); err != nil && !isNamed(p) {
			return fmt.Errorf("peers: %q is not id@host:port", p)
		}
	}
	switch {
	case c.BlockTime < 50*time.Millisecond || c.BlockTime > time.Minute:
		return fmt.Errorf("block_time: %v; accepted are 50ms to 1m", c.BlockTime)
	case c.ProposeTimeout < 50*time.Millisecond || c.ProposeTimeout > time.Minute:
		return fmt.Errorf("propose_timeout: %v; accepted are 50ms to 1m", c.ProposeTimeout)
	case c.KeepStates != 0 && c.KeepStates < 100:
		return fmt.Errorf("keep_states: %d; accepted are 0 for all, or at least 100", c.KeepStates)
	case c.KeepBlocks != 0 && (c.KeepBlocks < time.Hour || c.KeepBlocks > maxKeepBlocks):
		return fmt.Errorf("keep_blocks: %v; accepted are 0 for ever, or 1h to 87600h", c.KeepBlocks)
	case c.SnapshotInterval != 0 && (c.SnapshotInterval < minSnapshotInterval || c.SnapshotInterval > maxSnapshotInterval):
		return fmt.Errorf("snapshot_interval: %d; accepted are 0 for none, or %d to %d blocks", c.SnapshotInterval, minSnapshotInterval, maxSnapshotInterval)
	case c.SnapshotsKept < 1 || c.SnapshotsKept > maxSnapshotsKept:
		return fmt.Errorf("snapshots_kept: %d; accepted are 1 to %d", c.SnapshotsKept, maxSnapshotsKept)
	}
	if err := c.StateSync.validate(); err != nil {
		return fmt.Errorf("state_sync: %w", err)
	}
	_, err := c.level()
	return err
}

// isNamed tells whether a peer is id@name:port with a name that need not resolve now.
func isNamed(s string) bool {
	id, addr, ok := strings.Cut(s, "@")
	host, _, err := net.SplitHostPort(addr)
	return ok && len(id) == 2*p2p.IDByteLength && err == nil && host != ""
}
