package computetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

// lived is a world in which all modules have something to export: VMs in every phase, two classes that wait in an order
// that is not that of their ids, released VMs, devices, revocations, lighthouses that came and left, a bond that is due.
func lived(t *testing.T) (w *world, running string) {
	t.Helper()
	w = newWorld(t, nil)
	return w, w.live()
}

// live gives all modules something to export.
func (w *world) live() (running string) {
	w.t.Helper()
	m := w.miner("miner0")
	w.miner("miner1")
	a := w.tenant("tenant")
	pin := func(c *computetypes.MsgCreateVM) { c.Spec.Miners = []string{m.Address} }
	running = w.running(a, "running", pin)
	stopped := w.running(a, "stopped", pin)
	w.MustDeliver(a, &computetypes.MsgStopVM{Owner: a.Address, VmId: stopped})
	w.report(w.says(stopped, vm.Stopped))
	gone := w.create(a, "gone", pin)
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: gone})
	w.report(w.says(gone, vm.Terminated))
	for i := range 5 {
		w.create(a, fmt.Sprint("titan-", i), func(c *computetypes.MsgCreateVM) { c.Spec.Plan = "titan" })
	}
	for i := range 3 {
		w.create(a, fmt.Sprint("far-", i), func(c *computetypes.MsgCreateVM) { c.Spec.Plan, c.Spec.Miners = "titan", []string{m.Address} })
	}
	w.MustDeliver(a, &meshtypes.MsgAddDevice{Owner: a.Address, Name: "laptop"}, &meshtypes.MsgRevoke{Owner: a.Address, Fingerprints: [][]byte{hash("x")}})
	w.tenantOnly("other")
	for i, days := range []uint32{5, 3, 1} {
		w.lit(fmt.Sprint("miner", 2+i), days)
	}
	w.MustDeliver(apptest.Named("miner2"), &meshtypes.MsgRemoveLighthouse{Operator: apptest.Named("miner2").Address})
	leaving := w.miner("miner2")
	w.MustDeliver(leaving, &registrytypes.MsgUnbondMiner{Operator: leaving.Address})
	w.MustDeliver(m, &creditstypes.MsgBuy{Buyer: m.Address, Recipient: a.Address, Uhip: 5_000_000})
	w.NextBlock(7)
	return running
}

// An export that is imported and exported again is equal to the byte, for all modules.
func TestExportIsWhole(t *testing.T) {
	w, _ := lived(t)
	fork, exported := w.Fork()
	equal(t, exported, fork.Imported())
}

// A network that goes on from an export makes the same blocks as one that never stopped.
func TestExportedChainGoesOn(t *testing.T) {
	w, running := lived(t)
	fork, _ := w.Fork()
	a, m := apptest.Named("tenant"), w.holder(running)
	for i := range 100 {
		var txs [][]byte
		send := func(from apptest.Account, msgs ...sdk.Msg) { txs = append(txs, w.Sign(from, msgs...)) }
		switch i % 5 {
		case 0:
			send(m, &computetypes.MsgReportVM{Miner: m.Address, Reports: []computetypes.VMReport{w.proven(w.says(running, vm.Running))}})
		case 1:
			send(a, &computetypes.MsgRenameVM{Owner: a.Address, VmId: running, Name: fmt.Sprint("name-", i)})
		case 2:
			send(apptest.Named("miner3"), light("miner3", 1))
		case 3:
			send(apptest.Named("miner5"), &creditstypes.MsgBuy{Buyer: apptest.Named("miner5").Address, Recipient: a.Address, Uhip: 2_000_000})
		case 4:
			send(a, &meshtypes.MsgRevoke{Owner: a.Address, Fingerprints: [][]byte{hash(fmt.Sprint(i))}})
		}
		if i == 50 { // room for one of those that wait
			big := offer("miner4")
			big.Capacity.Cores, big.Capacity.MemoryMib, big.Capacity.DiskGib = 64, 256<<10, 4000
			send(apptest.Named("miner4"), big)
		}
		one, two := w.BlockOf(10, txs...), fork.BlockOf(10, txs...)
		same(t, w.Height(), one, two)
	}
	left, _, err1 := w.App.Export()
	right, _, err2 := fork.App.Export()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	equal(t, numbered(left), numbered(right))
}

// numbered has one number for every account: that of an account made after the import comes from the app hash, in which the versions
// of the store count.
func numbered(state []byte) []byte {
	return regexp.MustCompile(`"account_number": ?"\d+"`).ReplaceAll(state, []byte(`"account_number":"0"`))
}

// same compares what two chains did in a block.
func same(t *testing.T, height int64, one, two *abci.ResponseFinalizeBlock) {
	t.Helper()
	for i, r := range one.TxResults {
		o := two.TxResults[i]
		if r.Code != o.Code || r.GasUsed != o.GasUsed || !bytes.Equal(r.Data, o.Data) {
			t.Fatalf("block %d, transaction %d: %d with %d gas: %s\nand %d with %d gas: %s", height, i, r.Code, r.GasUsed, r.Log, o.Code, o.GasUsed, o.Log)
		}
		if r.Code != 0 {
			t.Fatalf("block %d, transaction %d failed: %s", height, i, r.Log)
		}
	}
	if l, r := fmt.Sprint(one.ValidatorUpdates), fmt.Sprint(two.ValidatorUpdates); l != r {
		t.Fatalf("block %d: validators %s and %s", height, l, r)
	}
}

// equal compares two exported states module by module.
func equal(t *testing.T, one, two []byte) {
	t.Helper()
	if bytes.Equal(one, two) {
		return
	}
	var left, right map[string]json.RawMessage
	if err := json.Unmarshal(one, &left); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(two, &right); err != nil {
		t.Fatal(err)
	}
	for _, module := range slices.Sorted(maps.Keys(left)) {
		if !bytes.Equal(left[module], right[module]) {
			t.Errorf("x/%s differs: %s", module, difference(left[module], right[module]))
		}
	}
	if len(left) != len(right) {
		t.Errorf("%d modules and %d", len(left), len(right))
	}
}

// difference shows the first lines that differ.
func difference(one, two []byte) string {
	left, right := bytes.Split(one, []byte("\n")), bytes.Split(two, []byte("\n"))
	for i := range min(len(left), len(right)) {
		if !bytes.Equal(left[i], right[i]) {
			from := max(i-3, 0)
			return fmt.Sprintf("line %d\n%s\nand\n%s", i, bytes.Join(left[from:min(i+4, len(left))], []byte("\n")), bytes.Join(right[from:min(i+4, len(right))], []byte("\n")))
		}
	}
	return fmt.Sprintf("%d lines and %d", len(left), len(right))
}
