package node_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	creditsv1 "github.com/hippius/compute/api/chain/credits/v1"
	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/chain/node"
	"github.com/hippius/compute/internal/wallet"
)

// connected is a client of one node.
func connected(t *testing.T, profile client.Network, n *node.Node) (*client.Client, client.Network) {
	t.Helper()
	profile.GRPC = []client.Endpoint{{Address: n.GRPCAddr(), Identity: hex.EncodeToString(n.Info().Identity)}}
	c, err := client.New(client.Config{Network: profile, Inclusion: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, profile
}

// bought sends a transaction and gives its hash.
func bought(t *testing.T, c *client.Client, w *wallet.Wallet) string {
	t.Helper()
	r, err := c.NewSender(w).Send(t.Context(), &creditsv1.MsgBuy{Buyer: w.Address(), Recipient: w.Address(), Uhip: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	return r.Hash
}

// found asks for a transaction that must be there.
func found(t *testing.T, c *client.Client, hash string) {
	t.Helper()
	r, err := c.WaitTx(t.Context(), hash)
	if err != nil || r.Hash != hash {
		t.Fatalf("transaction %s: %+v, %v", hash, r, err)
	}
}

// A transaction is found by its hash: after a restart, and after a crash between a block's commit and the index's write.
func TestTransactionsAreFound(t *testing.T) {
	w, _ := operator(t)
	set, profile := oneValidator(t, w)
	n := start(t, set)
	waitHeight(t, n, 1)
	c, _ := connected(t, profile, n)
	hash := bought(t, c, w)
	found(t, c, hash)
	for _, lose := range []func(string) error{func(string) error { return nil }, os.RemoveAll} {
		if err := n.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := lose(filepath.Join(set.Home, "data", "transactions.db")); err != nil {
			t.Fatal(err)
		}
		n = start(t, set)
		c, _ = connected(t, profile, n)
		found(t, c, hash)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if r, err := c.WaitTx(short, strings.Repeat("AB", 32)); err == nil {
		t.Errorf("a transaction that nobody sent: %+v", r)
	}
}

// A new node starts from a snapshot of another's state, without the blocks before, and follows.
func TestStateSync(t *testing.T) {
	w, _ := operator(t)
	set, profile := oneValidator(t, w)
	set.RPC, set.SnapshotInterval, set.SnapshotsKept = "127.0.0.1:0", 10, 10
	first := start(t, set)
	waitHeight(t, first, 1)
	c, profile := connected(t, profile, first)
	before := bought(t, c, w)
	balance, err := c.Balance(t.Context(), w.Address())
	if err != nil {
		t.Fatal(err)
	}
	waitHeight(t, first, 13) // a snapshot, and two blocks more

	data, err := profile.Encode()
	if err != nil {
		t.Fatal(err)
	}
	network := filepath.Join(t.TempDir(), "network.json")
	if err := os.WriteFile(network, data, 0o600); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if _, err := node.Init(home); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(filepath.Join(set.Home, "genesis.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := node.WriteGenesis(home, doc); err != nil {
		t.Fatal(err)
	}
	said := hippiusd(t, "trust", "--network", network)
	settings := strings.Replace(said, "servers: []", fmt.Sprintf("servers: [%q, %q]", first.RPCAddr(), first.RPCAddr()), 1)
	if err := os.WriteFile(filepath.Join(home, "hippiusd.yaml"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	synced, err := node.LoadConfig(home)
	if err != nil {
		t.Fatalf("%v in\n%s", err, settings)
	}
	synced.P2P, synced.GRPC, synced.GRPCPlain, synced.Observe = set.P2P, set.GRPC, set.GRPCPlain, set.Observe
	synced.PrivateNetwork, synced.PeerExchange, synced.BlockTime, synced.CheckInvariants = true, false, set.BlockTime, true
	synced.Peers = []string{first.PeerAddr()}
	second := start(t, synced)
	waitHeight(t, second, first.Height()+2)
	other, _ := connected(t, profile, second)
	if got, err := other.Balance(t.Context(), w.Address()); err != nil || got != balance {
		t.Errorf("balance %+v, %v; want %+v", got, err, balance)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if r, err := other.WaitTx(short, before); err == nil {
		t.Errorf("the new node has a transaction from before its snapshot: %+v", r)
	}
	hash := bought(t, c, w)
	found(t, other, hash)

	// Its restart is a usual one.
	h := second.Height()
	if err := second.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	second = start(t, synced)
	waitHeight(t, second, h+2)
	other, _ = connected(t, profile, second)
	found(t, other, hash)
}

// removed deletes what must be there.
func removed(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}
