package devnet

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/chain/node"
	"github.com/hippius/compute/core/plan"
)

// validator is one validator of the network with its people and addresses.
type validator struct {
	name     string
	home     string
	operator person
	config   node.Config
	info     node.Info
	grpc     netip.AddrPort
	p2p      netip.AddrPort
	observe  netip.AddrPort
}

// makeValidators makes each validator's home and finds its ports.
func (n *Net) makeValidators(ctx context.Context) error {
	for i := range n.set.Validators {
		v := &validator{name: fmt.Sprintf("validator%d", i)}
		v.home = n.path(v.name)
		var err error
		if v.operator, err = personIn(n.set.Dir, v.name); err != nil {
			return err
		}
		if v.info, err = node.Init(v.home); err != nil {
			return err
		}
		if v.grpc, err = n.ports.tcp(ctx, n.addr); err != nil {
			return err
		}
		if v.p2p, err = n.ports.tcp(ctx, n.addr); err != nil {
			return err
		}
		if v.observe, err = n.ports.tcp(ctx, loopback()); err != nil {
			return err
		}
		n.validators = append(n.validators, v)
	}
	for _, v := range n.validators {
		v.config = node.DefaultConfig(v.home)
		v.config.P2P, v.config.GRPC = v.p2p.String(), v.grpc.String()
		v.config.Observe, v.config.RPC = v.observe.String(), ""
		v.config.PrivateNetwork, v.config.PeerExchange = true, false
		v.config.BlockTime = n.set.BlockTime
		v.config.ProposeTimeout = max(n.set.BlockTime, time.Second)
		v.config.CheckInvariants = true
		for _, other := range n.validators {
			if other != v {
				v.config.Peers = append(v.config.Peers, other.info.PeerID+"@"+other.p2p.String())
			}
		}
	}
	return nil
}

// genesis writes the first block's state into every home, once: a network that was there goes on.
func (n *Net) genesis() error {
	first := filepath.Join(n.validators[0].home, "genesis.json")
	doc, err := os.ReadFile(first)
	if errors.Is(err, os.ErrNotExist) {
		doc, err = n.buildGenesis()
	}
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	for _, v := range n.validators {
		if err := node.WriteGenesis(v.home, doc); err != nil {
			return err
		}
	}
	n.genesisHash = sha256.Sum256(doc)
	return nil
}

func (n *Net) buildGenesis() ([]byte, error) {
	g := app.Genesis{
		ChainID: chainID, Time: time.Now().UTC().Truncate(time.Second),
		Apps: withApps(n.set.Apps), Plans: append(plan.Defaults(), n.set.Plans...),
		Overrides: map[string]json.RawMessage{},
	}
	if gap := n.set.ProofGap; gap != 0 {
		g.Overrides["compute"] = fmt.Appendf(nil, `{"params":{"max_proof_gap_seconds":"%d"}}`, gap/time.Second)
	}
	if wait := n.set.BondWait; wait != 0 {
		g.Overrides["registry"] = fmt.Appendf(nil, `{"params":{"unbonding_seconds":"%d"}}`, wait/time.Second)
	}
	if n.set.Images != "" {
		images, err := loadImages(n.set.Images)
		if err != nil {
			return nil, err
		}
		g.Images = images
	}
	for _, v := range n.validators {
		g.Validators = append(g.Validators, app.GenesisValidator{
			Name: v.name, Operator: v.operator.address(), ConsensusKey: v.info.ConsensusKey, StakeUhip: stakeUhip,
		})
		g.Accounts = append(g.Accounts, app.GenesisAccount{Address: v.operator.address(), Uhip: operatorHas, Ucredit: operatorCredits})
	}
	for i, v := range n.validators {
		k, err := n.genesisKeeper(i, v)
		if err != nil {
			return nil, err
		}
		g.Keepers = append(g.Keepers, k)
	}
	g.Accounts = append(g.Accounts,
		app.GenesisAccount{Address: n.faucet.address(), Uhip: faucetHas},
		app.GenesisAccount{Address: n.gateway.address(), Ucredit: operatorCredits})
	for _, m := range n.miners {
		g.Accounts = append(g.Accounts, app.GenesisAccount{Address: m.operator.address(), Uhip: operatorHas, Ucredit: operatorCredits})
	}
	return g.Build()
}

// startValidators starts the nodes and waits for blocks.
func (n *Net) startValidators(ctx context.Context) error {
	for _, v := range n.validators {
		data, err := yaml.Marshal(v.config)
		if err != nil {
			return fmt.Errorf("settings of %s: %w", v.name, err)
		}
		if err := os.WriteFile(filepath.Join(v.home, "hippiusd.yaml"), data, 0o600); err != nil {
			return fmt.Errorf("settings of %s: %w", v.name, err)
		}
		err = n.launch(program{ //nolint:contextcheck // a program lives until Close
			name: v.name, binary: "hippiusd", args: []string{"start", "--home", v.home},
			inside: func(ctx context.Context, log *slog.Logger) error { return runNode(ctx, v.config, log) },
		})
		if err != nil {
			return err
		}
	}
	if err := n.writeProfile(""); err != nil {
		return err
	}
	c, err := client.New(client.Config{Network: n.profile})
	if err != nil {
		return err
	}
	n.chain = c
	return n.until(ctx, "blocks", func(ctx context.Context) error {
		head, err := c.Head(ctx)
		if err == nil && head.Height < 1 {
			err = errors.New("no block yet")
		}
		return err
	})
}

func runNode(ctx context.Context, c node.Config, log *slog.Logger) error {
	running, err := node.Start(ctx, c, log)
	if err != nil {
		return err
	}
	return errors.Join(running.Run(ctx), running.Close(context.WithoutCancel(ctx)))
}

// writeProfile writes the network's profile with what is known by now.
func (n *Net) writeProfile(onRamp string) error {
	n.profile = client.Network{
		Name: "devnet", ChainID: chainID, GenesisHash: hex.EncodeToString(n.genesisHash[:]), OnRamp: onRamp,
	}
	// All nodes are this host's own. Those of a network with as many as decide by a majority are asked as strangers' are.
	own := len(n.validators) < 3
	for _, v := range n.validators {
		n.profile.GRPC = append(n.profile.GRPC, client.Endpoint{Address: v.grpc.String(), Identity: identityHex(v.info.Identity), Trusted: own})
	}
	data, err := n.profile.Encode()
	if err != nil {
		return err
	}
	if err := os.WriteFile(n.Profile(), data, 0o644); err != nil { //nolint:gosec // every network publishes its own
		return fmt.Errorf("write profile: %w", err)
	}
	return nil
}

func identityHex(key ed25519.PublicKey) string { return hex.EncodeToString(key) }
