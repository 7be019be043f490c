package node_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/node"
)

// A network that starts from an exported document goes on with the same validators, parameters, height and time.
func TestExportedNetworkGoesOn(t *testing.T) {
	w, _ := operator(t)
	set, profile := oneValidator(t, w)
	n := start(t, set)
	waitHeight(t, n, 1)
	c, profile := connected(t, profile, n)
	bought(t, c, w)
	balance, err := c.Balance(t.Context(), w.Address())
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := n.Height()
	out := hippiusd(t, "export", "--home", set.Home)
	if _, err := app.CheckGenesis([]byte(out)); err != nil {
		t.Fatal(err)
	}
	doc, err := genutiltypes.AppGenesisFromReader(bytes.NewReader([]byte(out)))
	if err != nil {
		t.Fatal(err)
	}
	old, err := genutiltypes.AppGenesisFromFile(filepath.Join(set.Home, "genesis.json"))
	if err != nil {
		t.Fatal(err)
	}
	want, _ := json.Marshal(old.Consensus.Params)
	got, err := json.Marshal(doc.Consensus.Params)
	if err != nil || !bytes.Equal(want, got) || doc.InitialHeight != h+1 || doc.ChainID != old.ChainID {
		t.Errorf("height %d of %d, parameters\n%s, were\n%s", doc.InitialHeight, h+1, got, want)
	}
	if age := time.Since(doc.GenesisTime); !doc.GenesisTime.After(old.GenesisTime) || age < 0 || age > time.Minute {
		t.Errorf("it goes on from %v", doc.GenesisTime)
	}

	// The same validator, with nothing but its keys, goes on.
	for _, name := range []string{"application.db", "blockstore.db", "state.db", "evidence.db", "transactions.db", "snapshots", "cs.wal"} {
		removed(t, filepath.Join(set.Home, "data", name))
	}
	if err := node.WriteGenesis(set.Home, []byte(out)); err != nil {
		t.Fatal(err)
	}
	n = start(t, set)
	waitHeight(t, n, h+3)
	c, _ = connected(t, profile, n)
	if again, err := c.Balance(t.Context(), w.Address()); err != nil || again != balance {
		t.Errorf("balance %+v, %v; it was %+v", again, err, balance)
	}
	bought(t, c, w)
}
