package computetest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/privval"
	cmttypes "github.com/cometbft/cometbft/types"
	"github.com/cosmos/cosmos-sdk/client"
	genutiltypes "github.com/cosmos/cosmos-sdk/x/genutil/types"

	txv1beta1 "github.com/hippius/compute/api/cosmos/tx/v1beta1"
	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	"github.com/hippius/compute/chain/node"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/internal/peer"
)

// renameGas is what clients give for a rename.
const renameGas = 150_000

// broadcasters hand transactions to the node at the same time.
const broadcasters = 8

// figuresOfNode are how many orders a second a validator takes, executes and commits, on disk and with blocks as they are shipped:
// renames, each in a transaction, of 500 accounts.
func figuresOfNode(t *testing.T) {
	const rounds = 6
	p := populate(t, 500, 1)
	txs := make([][][]byte, len(p.owners))
	for i, a := range p.owners {
		for round := range rounds {
			m := &computetypes.MsgRenameVM{Owner: a.Address, VmId: p.ids[i], Name: fmt.Sprint("name-", round)}
			txs[i] = append(txs[i], p.SignWith(a, func(b client.TxBuilder) { b.SetGasLimit(renameGas) }, m))
		}
	}
	n := p.goOn()
	conn, err := peer.Dialer(nil).LoopbackPlain(n.GRPCPlainAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // only asked
	tx := txv1beta1.NewServiceClient(conn)
	start := time.Now()
	var group sync.WaitGroup
	for b := range broadcasters {
		group.Go(func() {
			for round := range rounds {
				for i := b; i < len(txs); i += broadcasters {
					if err := broadcast(t.Context(), tx, txs[i][round]); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	group.Wait()
	for i := range txs {
		committed(t, tx, txs[i][rounds-1])
	}
	figure("chain_vm_ops_per_second", float64(len(txs)*rounds)/time.Since(start).Seconds(), "1/s")
}

func broadcast(ctx context.Context, tx txv1beta1.ServiceClient, raw []byte) error {
	r, err := tx.BroadcastTx(ctx, &txv1beta1.BroadcastTxRequest{TxBytes: raw, Mode: txv1beta1.BroadcastMode_BROADCAST_MODE_SYNC})
	if err == nil && r.GetTxResponse().GetCode() != 0 {
		err = fmt.Errorf("refused: %s", r.GetTxResponse().GetRawLog())
	}
	return err
}

// committed waits until a transaction is in a block, and wants it executed.
func committed(t *testing.T, tx txv1beta1.ServiceClient, raw []byte) {
	t.Helper()
	hash := fmt.Sprintf("%X", sha256.Sum256(raw))
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		r, err := tx.GetTx(t.Context(), &txv1beta1.GetTxRequest{Hash: hash})
		switch {
		case err == nil && r.GetTxResponse().GetCode() == 0:
			return
		case err == nil:
			t.Fatal(r.GetTxResponse().GetRawLog())
		case time.Now().After(end):
			t.Fatal(err)
		}
	}
}

// goOn is a validator that goes on with the chain where it is.
func (p *populated) goOn() *node.Node {
	p.t.Helper()
	home := p.t.TempDir()
	key := privval.NewFilePV(cmted25519.PrivKey(apptest.ConsensusKey(0)), filepath.Join(home, "keys", "consensus.json"), filepath.Join(home, "data", "consensus-state.json"))
	if _, err := node.Init(home); err != nil {
		p.t.Fatal(err)
	}
	key.Save()
	state, height, err := p.App.Export()
	if err != nil {
		p.t.Fatal(err)
	}
	params, err := p.App.ConsensusParams()
	if err != nil {
		p.t.Fatal(err)
	}
	inForce := cmttypes.ConsensusParamsFromProto(params)
	doc := genutiltypes.AppGenesis{
		AppName: app.Name, ChainID: apptest.ChainID, GenesisTime: time.Now(), InitialHeight: height + 1, AppState: state,
		Consensus: &genutiltypes.ConsensusGenesis{Params: &inForce},
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := node.WriteGenesis(home, raw); err != nil {
		p.t.Fatal(err)
	}
	c := node.DefaultConfig(home)
	c.P2P, c.GRPC, c.GRPCPlain, c.Observe = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.PrivateNetwork, c.PeerExchange = true, false
	n, err := node.Start(p.t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		if err := n.Close(context.Background()); err != nil {
			p.t.Error(err)
		}
	})
	for end := time.Now().Add(time.Minute); n.Height() <= height; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatal("the node makes no block")
		}
	}
	return n
}
