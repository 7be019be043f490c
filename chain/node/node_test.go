package node_test

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	creditsv1 "github.com/hippius/compute/api/chain/credits/v1"
	txv1beta1 "github.com/hippius/compute/api/cosmos/tx/v1beta1"
	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	"github.com/hippius/compute/chain/node"
	"github.com/hippius/compute/internal/config"
	"github.com/hippius/compute/internal/peer"
)

// testNet makes the homes of n validators that know each other.
func testNet(t *testing.T, n int) []node.Config {
	t.Helper()
	g := app.Genesis{ChainID: "node-test-1", Time: time.Now().Add(-time.Second).Truncate(time.Second)}
	var nodes []node.Config
	for i := range n {
		home := t.TempDir()
		info, err := node.Init(home)
		if err != nil {
			t.Fatal(err)
		}
		g.Validators = append(g.Validators, app.GenesisValidator{
			Name: "v", Operator: apptest.Named("operator" + string(rune('0'+i))).Address, ConsensusKey: info.ConsensusKey, StakeUhip: 1_000_000_000,
		})
		c := node.DefaultConfig(home)
		c.P2P, c.GRPC, c.GRPCPlain, c.Observe = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
		c.PrivateNetwork, c.PeerExchange = true, false
		c.BlockTime, c.ProposeTimeout, c.CheckInvariants = 200*time.Millisecond, time.Second, true
		nodes = append(nodes, c)
	}
	doc, err := g.Build()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range nodes {
		if err := node.WriteGenesis(c.Home, doc); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

func start(t *testing.T, c node.Config) *node.Node {
	t.Helper()
	n, err := node.Start(t.Context(), c, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n
}

func waitHeight(t *testing.T, n *node.Node, height int64) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); n.Height() < height; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still at height %d", n.Height())
		}
	}
}

func TestNodeStartsAnswersAndRestarts(t *testing.T) {
	c := testNet(t, 1)[0]
	began := time.Now()
	n := start(t, c)
	t.Logf("started in %v", time.Since(began))
	waitHeight(t, n, 1)
	t.Logf("first block after %v", time.Since(began))
	_, key, _ := ed25519.GenerateKey(nil)
	conn, err := peer.NewClient(n.GRPCAddr(), key, n.Info().Identity)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // only asked
	plain, err := peer.Dialer(nil).LoopbackPlain(n.GRPCPlainAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close() //nolint:errcheck // only asked
	for _, cc := range []*grpc.ClientConn{conn, plain} {
		res, err := creditsv1.NewQueryClient(cc).Params(t.Context(), &creditsv1.QueryParamsRequest{})
		if err != nil || res.GetParams().GetFeeUcredit() != 100 {
			t.Fatalf("%v, %v", res, err)
		}
	}
	h := n.Height()
	if err := n.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	n = start(t, c)
	waitHeight(t, n, h+2)
}

func TestFourValidators(t *testing.T) {
	nodes := testNet(t, 4)
	var running []*node.Node
	for i, c := range nodes {
		for _, n := range running {
			c.Peers = append(c.Peers, n.PeerAddr())
		}
		nodes[i] = c
		running = append(running, start(t, c))
	}
	for _, n := range running {
		waitHeight(t, n, 3)
	}
	// One down: the others go on.
	if err := running[3].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitHeight(t, running[0], running[0].Height()+3)
}

// The commented sample says what the defaults are.
func TestSampleSettings(t *testing.T) {
	home := t.TempDir()
	if _, err := node.Init(home); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(home+"/hippiusd.yaml", node.Config{})
	if err != nil {
		t.Fatal(err)
	}
	want := node.DefaultConfig("")
	if got.Peers, got.StateSync.Servers = nil, nil; !reflect.DeepEqual(got, want) {
		t.Errorf("the sample says %+v, the defaults are %+v", got, want)
	}
}

// A node tries transactions within the budget of the client's address, whatever key it comes with.
func TestSimulationBudgetOfANode(t *testing.T) {
	n := start(t, testNet(t, 1)[0])
	waitHeight(t, n, 1)
	var callers []*grpc.ClientConn
	for range 3 {
		_, key, _ := ed25519.GenerateKey(nil)
		conn, err := peer.NewClient(n.GRPCAddr(), key, n.Info().Identity)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // only asked
		callers = append(callers, conn)
	}
	refused := map[int]bool{}
	for i := range 3000 {
		// Clients have no SimulateRequest; on the wire it is this.
		err := callers[i%3].Invoke(t.Context(), app.SimulateMethod, &txv1beta1.TxRaw{AuthInfoBytes: []byte("junk")}, &txv1beta1.TxRaw{})
		switch status.Code(err) { //nolint:exhaustive // nothing else is wanted
		case codes.InvalidArgument:
		case codes.ResourceExhausted:
			refused[i%3] = true
		default:
			t.Fatal(err)
		}
		if len(refused) == 3 {
			return
		}
	}
	t.Errorf("3000 calls were answered; refused were %v", refused)
}
