package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cfg "github.com/cometbft/cometbft/config"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
)

func TestOverlay(t *testing.T) {
	for name, c := range map[string]struct{ under, over, want, fails string }{
		"inner":       {`{"a":{"b":1,"c":2}}`, `{"a":{"b":3}}`, `{"a":{"b":3,"c":2}}`, ""},
		"list":        {`{"a":[1,2]}`, `{"a":[]}`, `{"a":[]}`, ""},
		"object over": {`{"a":1}`, `{"a":{"b":1}}`, `{"a":{"b":1}}`, ""},
		"unknown":     {`{"a":{}}`, `{"a":{"x":1}}`, "", `"x" is not there`},
		"null under":  {`{"a":null}`, `{"a":{"b":1}}`, "", "not there"},
		"not JSON":    {`{"a":1}`, `{"a":`, "", "JSON"},
	} {
		got, err := overlay(json.RawMessage(c.under), json.RawMessage(c.over))
		if c.fails == "" && (err != nil || string(got) != c.want) || c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)) {
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}

type brokenApp struct {
	abci.Application

	err error
}

func (b brokenApp) FinalizeBlock(context.Context, *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	if b.err == nil {
		panic("upgrade needed")
	}
	return nil, b.err
}

// The node ends when a block cannot be executed, instead of standing still.
func TestNodeEndsWhenABlockFails(t *testing.T) {
	for _, c := range []struct {
		err  error
		says string
	}{{errors.New("no room"), "no room"}, {nil, "upgrade needed"}} {
		n := &Node{log: slog.New(slog.DiscardHandler), failed: make(chan error, 1)}
		closed := false
		n.onClose(func(context.Context) error { closed = true; return nil })
		w := watchedApp{Application: brokenApp{err: c.err}, failed: func(_ int64, err error) { n.fail(err) }}
		func() {
			defer func() { _ = recover() }()
			_, _ = w.FinalizeBlock(t.Context(), &abci.RequestFinalizeBlock{Height: 7})
		}()
		if err := n.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "block 7: "+c.says) || !closed {
			t.Errorf("%v, closed %v", err, closed)
		}
	}
}

func TestSettingsRefused(t *testing.T) {
	for says, spoil := range map[string]func(*NodeConfig){
		"p2p":             func(c *NodeConfig) { c.P2P = "" },
		"grpc":            func(c *NodeConfig) { c.GRPC = "nine" },
		"loopback":        func(c *NodeConfig) { c.GRPCPlain = "0.0.0.0:1" },
		"id@host:port":    func(c *NodeConfig) { c.Peers = []string{"host:1"} },
		"block_time":      func(c *NodeConfig) { c.BlockTime = time.Millisecond },
		"propose_timeout": func(c *NodeConfig) { c.ProposeTimeout = 0 },
		"keep_states":     func(c *NodeConfig) { c.KeepStates = 5 },
		"log_level":       func(c *NodeConfig) { c.LogLevel = "loud" },
	} {
		c := DefaultNodeConfig("x")
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	c := DefaultNodeConfig("x")
	c.Peers = []string{strings.Repeat("ab", 20) + "@node.example.org:26656"}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// A validator that lost what it signed last must not start, and a damaged key must not end the process.
func TestKeysLostOrDamaged(t *testing.T) {
	home := t.TempDir()
	info, err := InitNode(home)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := InitNode(home); err != nil || !again.ConsensusKey.Equal(info.ConsensusKey) || again.PeerID != info.PeerID || !again.Identity.Equal(info.Identity) {
		t.Fatalf("keys changed: %+v, %+v, %v", info, again, err)
	}
	state := filepath.Join(home, signStateFile)
	if err := os.Rename(state, state+".bak"); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadNode(home); err == nil || !strings.Contains(err.Error(), "sign twice") {
		t.Error(err)
	}
	if err := os.WriteFile(state, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadNode(home); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Error(err)
	}
	if _, err := ReadNode(t.TempDir()); err == nil || !strings.Contains(err.Error(), "hippiusd init") {
		t.Error(err)
	}
}

func TestGenesisRefused(t *testing.T) {
	Configure()
	somebody := authtypes.NewModuleAddress("somebody").String()
	good := func() Genesis {
		info, err := InitNode(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return Genesis{
			ChainID: "x-1", Time: time.Unix(1_800_000_000, 0),
			Validators: []GenesisValidator{{Name: "v", Operator: somebody, ConsensusKey: info.ConsensusKey, StakeUhip: 1_000_000}},
		}
	}
	g := good()
	doc, err := g.Build()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CheckGenesis(doc); err != nil {
		t.Fatal(err)
	}
	for says, spoil := range map[string]func(*Genesis){
		"chain id":      func(g *Genesis) { g.ChainID = "" },
		"time":          func(g *Genesis) { g.Time = time.Time{} },
		"at least one":  func(g *Genesis) { g.Validators = nil },
		"operator":      func(g *Genesis) { g.Validators[0].Operator = "hip1x" },
		"consensus key": func(g *Genesis) { g.Validators[0].ConsensusKey = nil },
		"stakes 5":      func(g *Genesis) { g.Validators[0].StakeUhip = 5 },
		"account":       func(g *Genesis) { g.Accounts = []GenesisAccount{{Address: "cosmos1x", Uhip: 1}} },
		`module "nft"`:  func(g *Genesis) { g.Overrides = map[string]json.RawMessage{"nft": json.RawMessage(`{}`)} },
		"shares sum": func(g *Genesis) {
			g.Overrides = map[string]json.RawMessage{"credits": json.RawMessage(`{"params":{"miner_share":1}}`)}
		},
		"two balances": func(g *Genesis) {
			g.Accounts = []GenesisAccount{{Address: somebody, Ucredit: 5}, {Address: somebody, Ucredit: 5}}
		},
		"not fit": func(g *Genesis) {
			g.Accounts = []GenesisAccount{{Address: somebody, Ucredit: 1 << 63}, {Address: authtypes.NewModuleAddress("x").String(), Ucredit: 1 << 63}}
		},
		"settle_lag_second": func(g *Genesis) {
			g.Overrides = map[string]json.RawMessage{"marketplace": json.RawMessage(`{"params":{"settle_lag_second":"1"}}`)}
		},
	} {
		g := good()
		spoil(&g)
		if _, err := g.Build(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

// CometBFT's peers are answered from the block store until they are gone, which may be after it was closed.
func TestClosedDatabaseDoesNotAnswer(t *testing.T) {
	t.Parallel()
	dbs := &databases{}
	c := cfg.DefaultConfig()
	c.SetRoot(t.TempDir())
	db, err := dbs.open(&cfg.DBContext{ID: "blockstore", Config: c})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.SetSync([]byte("a"), []byte("b")); err != nil {
		t.Fatal(err)
	}
	if v, err := db.Get([]byte("a")); err != nil || string(v) != "b" {
		t.Fatalf("%q: %v", v, err)
	}
	if err := errors.Join(db.Close(), dbs.close()); err != nil {
		t.Fatal(err)
	}
	answered := make(chan error, 2)
	go func() { _, err := db.Get([]byte("a")); answered <- err }()
	go func() { _, err := db.Has([]byte("a")); answered <- err }()
	select {
	case err := <-answered:
		t.Errorf("a closed database answered: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
}
