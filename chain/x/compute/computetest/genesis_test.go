package computetest

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"cosmossdk.io/log/v2"
	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmttypes "github.com/cometbft/cometbft/types"
	dbm "github.com/cosmos/cosmos-db"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

// A chain that is exported and started again has the same VMs, and its invariants hold.
func TestExportAndImport(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	w.miner("miner1")
	a := w.tenant("tenant")
	pin := func(c *computetypes.MsgCreateVM) { c.Spec.Miners, c.Spec.SpreadGroup = []string{m.Address}, "g" }
	w.running(a, "running", pin)
	stopped := w.running(a, "stopped", pin)
	w.MustDeliver(a, &computetypes.MsgStopVM{Owner: a.Address, VmId: stopped})
	w.report(w.says(stopped, vm.Stopped))
	gone := w.create(a, "gone", pin)
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: gone})
	w.report(w.says(gone, vm.Terminated))
	parked := w.create(a, "parked", func(c *computetypes.MsgCreateVM) { c.Spec.Plan = "titan" })
	w.create(a, "assigned", pin)
	w.addKey(a, "lost", "lost")
	locked := w.create(a, "locked", pin, with("lost"))
	w.removed(a, "lost")
	w.MustDeliver(a, &meshtypes.MsgAddDevice{Owner: a.Address, Name: "laptop"})
	l := apptest.Named("miner3")
	w.MustDeliver(l, &meshtypes.MsgRegisterLighthouse{Operator: l.Address, Name: "light", Endpoints: []string{"127.0.0.1:4242"}, Days: 5})
	leaving := w.miner("miner2")
	w.MustDeliver(leaving, &registrytypes.MsgUnbondMiner{Operator: leaving.Address})

	b, ctx := w.again()
	v, err := b.Keepers.Compute.VM(ctx, parked)
	if err != nil || v.Status.Phase.Core() != vm.Pending || v.Status.Reason != vm.ReasonNoCapacity {
		t.Fatalf("%+v, %v", v.Status, err)
	}
	if v, err = b.Keepers.Compute.VM(ctx, locked); err != nil || len(v.RemovedKeys) != 1 || v.RemovedKeys[0].PublicKey != sshLine(t, "lost") {
		t.Fatalf("%+v, %v", v.RemovedKeys, err)
	}
}

// again starts another chain from an export of this one, and checks that its invariants hold and that it exports the same.
func (w *world) again() (*app.App, sdk.Context) {
	t := w.t
	t.Helper()
	b, ctx, state := w.anew(0)
	again, _, err := b.Export()
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{"compute", "mesh", "registry"} {
		if one, two := normal(t, state, module), normal(t, again, module); !bytes.Equal(one, two) {
			t.Errorf("%s before:\n%s\nafter:\n%s", module, one, two)
		}
	}
	return b, ctx
}

// anew starts another chain at height 1 from an export of this one, some seconds later, and checks that its invariants hold after its
// first block.
func (w *world) anew(later int64) (b *app.App, ctx sdk.Context, exported []byte) {
	t := w.t
	t.Helper()
	state, _, err := w.App.Export()
	if err != nil {
		t.Fatal(err)
	}
	b, err = app.New(app.Options{Logger: log.NewNopLogger(), DB: dbm.NewMemDB(), ChainID: apptest.ChainID})
	if err != nil {
		t.Fatal(err)
	}
	params := cmttypes.DefaultConsensusParams().ToProto()
	now := time.Unix(w.Now()+later, 0).UTC()
	if _, err := b.InitChain(&abci.RequestInitChain{ChainId: apptest.ChainID, Time: now, InitialHeight: 1, AppStateBytes: state, ConsensusParams: &params}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.FinalizeBlock(&abci.RequestFinalizeBlock{Height: 1, Time: now, Hash: apptest.BlockHash(1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	ctx = b.NewUncachedContext( //nolint:staticcheck // the state after a commit, as the harness reads it
		false, cmtproto.Header{ChainID: apptest.ChainID, Height: 1, Time: now})
	if err := b.CheckInvariants(ctx); err != nil {
		t.Fatal(err)
	}
	return b, ctx, state
}

// normal is a module's exported state without what a new chain begins anew.
func normal(t testing.TB, state []byte, module string) []byte {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal(state, &all); err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(all[module], &v); err != nil {
		t.Fatal(err)
	}
	strip(v)
	out, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func strip(v any) {
	switch x := v.(type) {
	case map[string]any:
		for _, k := range []string{"changed_height", "proof_height", "heads", "released", "oldest_height", "report_rates"} {
			delete(x, k)
		}
		for _, e := range x {
			strip(e)
		}
	case []any:
		for _, e := range x {
			strip(e)
		}
	}
}
