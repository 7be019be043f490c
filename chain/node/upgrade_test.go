package node_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/chain/node"
	"github.com/hippius/compute/chain/node/command"
	creditskeeper "github.com/hippius/compute/chain/x/credits/keeper"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	"github.com/hippius/compute/internal/wallet"
)

// A network is upgraded in place: governance decides, the old version halts at the height and says what it needs, the
// new one migrates there and goes on, and the old one is of no use any more.
func TestUpgradeInPlace(t *testing.T) {
	w, file := operator(t)
	c, profile := oneValidator(t, w)
	old := start(t, c)
	waitHeight(t, old, 2)
	profile.GRPC = []client.Endpoint{{Address: old.GRPCAddr(), Identity: hex.EncodeToString(old.Info().Identity)}}
	network := filepath.Join(t.TempDir(), "network.json")
	data, err := profile.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(network, data, 0o600); err != nil {
		t.Fatal(err)
	}
	said := hippiusd(t, "upgrade", "propose", "v2", "--height", fmt.Sprint(old.Height()+25), "--info", "https://example.org/v2", "--wallet", file, "--network", network)
	if !strings.HasPrefix(said, "proposal 1: upgrade v2") {
		t.Fatalf("propose says %q", said)
	}
	if said := hippiusd(t, "upgrade", "status", "--network", network); !strings.Contains(said, `"title": "Upgrade v2"`) {
		t.Errorf("status while it is voted on: %s", said)
	}
	hippiusd(t, "upgrade", "vote", "1", "yes", "--wallet", file, "--network", network)
	plan := planned(t, profile)
	if said := hippiusd(t, "upgrade", "status", "--network", network); !strings.Contains(said, `"name": "v2"`) || !strings.Contains(said, "example.org") {
		t.Errorf("status once it is decided: %s", said)
	}

	// The new version started too soon would take the chain apart.
	if err := old.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Upgrades = []app.Upgrade{rehearsed()}
	stopped(t, c, "is for after upgrade")

	// The old version halts at the height, says why, and says it again when started again.
	c.Upgrades = nil
	for range 2 {
		stopped(t, c, fmt.Sprintf("makes upgrade %q at height %d", "v2", plan.Height))
	}

	c.Upgrades = []app.Upgrade{rehearsed()}
	n := start(t, c)
	waitHeight(t, n, plan.Height+3)
	if fee := feeOf(t, n); fee != 777 {
		t.Errorf("the migration set the fee to 777, it is %d", fee)
	}
	h := n.Height()
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Its restart is a usual one; the version before is refused.
	n = start(t, c)
	waitHeight(t, n, h+2)
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Upgrades = nil
	stopped(t, c, `upgrade "v2"`)
}

// rehearsed is what a next version would bring: a store, and other parameters.
func rehearsed() app.Upgrade {
	return app.Upgrade{
		Name: "v2", Stores: storetypes.StoreUpgrades{},
		Migrate: func(ctx sdk.Context, k *app.Keepers) error {
			p, err := k.Credits.Params(ctx)
			if err != nil {
				return err
			}
			p.FeeUcredit = 777
			_, err = creditskeeper.NewMsgServer(k.Credits).UpdateParams(ctx, &creditstypes.MsgUpdateParams{
				Authority: authtypes.NewModuleAddress(govtypes.ModuleName).String(), Params: p,
			})
			return err
		},
	}
}

// operator is an account with its wallet's file.
func operator(t *testing.T) (*wallet.Wallet, string) {
	t.Helper()
	phrase, err := wallet.NewPhrase(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w, err := wallet.FromPhrase(phrase)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "wallet")
	if err := wallet.CreatePlain(file, w); err != nil {
		t.Fatal(err)
	}
	return w, file
}

// oneValidator is a network of one whose votes are soon over.
func oneValidator(t *testing.T, w *wallet.Wallet) (node.Config, client.Network) {
	t.Helper()
	c := testNet(t, 1)[0]
	info, err := node.ReadInfo(c.Home)
	if err != nil {
		t.Fatal(err)
	}
	const chain = "upgrade-test-1"
	g := app.Genesis{
		ChainID: chain, Time: time.Now().Add(-time.Second).Truncate(time.Second),
		Validators: []app.GenesisValidator{{Name: "v", Operator: w.Address(), ConsensusKey: info.ConsensusKey, StakeUhip: 1_000_000_000}},
		Accounts:   []app.GenesisAccount{{Address: w.Address(), Uhip: 1_000_000_000, Ucredit: 1_000_000}},
		Overrides: map[string]json.RawMessage{
			"gov": json.RawMessage(`{"params":{"voting_period":"2s","expedited_voting_period":"1s"}}`),
		},
	}
	doc, err := g.Build()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(c.Home, "genesis.json")); err != nil {
		t.Fatal(err)
	}
	if err := node.WriteGenesis(c.Home, doc); err != nil {
		t.Fatal(err)
	}
	return c, client.Network{Name: "upgrade", ChainID: chain}
}

// hippiusd runs the command line, which must succeed, and gives what it printed.
func hippiusd(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := command.Root("v1")
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := cmd.ExecuteContext(ctx); err != nil {
		t.Fatalf("hippiusd %s: %v", strings.Join(args, " "), err)
	}
	return out.String()
}

// planned waits until the vote is over.
func planned(t *testing.T, profile client.Network) client.Upgrade {
	t.Helper()
	c, err := client.New(client.Config{Network: profile})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // only asked
	if err := c.CheckVersion(t.Context()); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		p, err := c.PlannedUpgrade(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if p != nil {
			return *p
		}
	}
	t.Fatal("no upgrade was decided on")
	return client.Upgrade{}
}

// stopped starts a node that must end by itself with these words, and the exit status of a version that is not the
// chain's.
func stopped(t *testing.T, c node.Config, words string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := node.Start(ctx, c, slog.New(slog.DiscardHandler))
	if err == nil {
		err = n.Run(ctx)
	}
	wrong := &app.UpgradeNeededError{}
	if !errors.As(err, &wrong) || !strings.Contains(wrong.Error(), words) || command.Status(err) != command.StatusUpgrade {
		t.Fatalf("ended with %v; want %q", err, words)
	}
}

func feeOf(t *testing.T, n *node.Node) uint64 {
	t.Helper()
	c, err := client.New(client.Config{Network: client.Network{
		ChainID: "upgrade-test-1", GRPC: []client.Endpoint{{Address: n.GRPCAddr(), Identity: hex.EncodeToString(n.Info().Identity)}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() //nolint:errcheck // only asked
	p, err := c.Params(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p.Fees.Base
}
