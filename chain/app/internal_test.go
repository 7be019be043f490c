package app

import (
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"
	"time"

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

func TestGenesisRefused(t *testing.T) {
	Configure()
	somebody := authtypes.NewModuleAddress("somebody").String()
	good := func() Genesis {
		return Genesis{
			ChainID: "x-1", Time: time.Unix(1_800_000_000, 0),
			Validators: []GenesisValidator{{Name: "v", Operator: somebody, ConsensusKey: make(ed25519.PublicKey, ed25519.PublicKeySize), StakeUhip: 1_000_000}},
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
