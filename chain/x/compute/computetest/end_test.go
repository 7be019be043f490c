package computetest

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	sdkclient "github.com/cosmos/cosmos-sdk/client"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"golang.org/x/crypto/ssh"

	"github.com/hippius/compute/chain/app/apptest"
	"github.com/hippius/compute/chain/client"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/sshkey"
)

// Who revoked as many certificates as are kept, and had as many instances dealt as may be ahead, can do all else with the gas that clients
// give; and the end of its VM fits the gas of one report in its miner's batch.
func TestManyRevocationsTakeNobodysGas(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	id := w.running(a, "web-1")
	host := w.holder(id)
	last := uint32(len(w.vm(id).Instances))
	w.MustDeliver(a, &computetypes.MsgDealInstances{Owner: a.Address, VmId: id, Instances: w.instances(a.Address, id, last+1, computetypes.MaxInstances)})
	for i := range int(meshtypes.DefaultParams().MaxRevocations) / meshtypes.MaxRevocationsPerMessage {
		m := &meshtypes.MsgRevoke{Owner: a.Address}
		for j := range meshtypes.MaxRevocationsPerMessage {
			m.Fingerprints = append(m.Fingerprints, hash(fmt.Sprint(i, " ", j)))
		}
		given(w, a, client.FingerprintsGas(len(m.Fingerprints)), m)
	}
	given(w, a, 150_000, &meshtypes.MsgAddDevice{Owner: a.Address, Name: "laptop"})
	given(w, a, client.ReportGas(0), &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
	w.MustDeliver(host, &computetypes.MsgReportVM{Miner: host.Address, Reports: []computetypes.VMReport{w.says(id, vm.Terminated)}})
	w.is(id, vm.Terminated, vm.ReasonTenant)
}

// A VM that keeps the longest removed keys takes no more of its host's batch than any other.
func TestLargeRecordsTakeNobodysGas(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	var names []string
	for i := range vm.MaxSSHKeys - 1 {
		name := fmt.Sprint("key-", i)
		names = append(names, name)
		w.MustDeliver(a, &computetypes.MsgAddSSHKey{Owner: a.Address, Name: name, PublicKey: longLine(t, name)})
	}
	order := w.createMsg(a, "web-1", func(m *computetypes.MsgCreateVM) { m.Spec.SshKeys = append(m.Spec.SshKeys, names...) })
	var created computetypes.MsgCreateVMResponse
	if err := given(w, a, 20_000_000, order).Response(0, &created); err != nil {
		t.Fatal(err)
	}
	id := created.Id
	w.boot(id)
	for _, name := range names {
		given(w, a, 20_000_000, &computetypes.MsgRemoveSSHKey{Owner: a.Address, Name: name, Force: true})
	}
	host := w.holder(id)
	says := w.says(id, vm.Running)
	says.Reason, says.Message = strings.Repeat("r", vm.MaxReasonLen), strings.Repeat("m", vm.MaxMessageLen)
	r := w.MustDeliver(host, &computetypes.MsgReportVM{Miner: host.Address, Reports: slices.Repeat([]computetypes.VMReport{says}, 20)})
	if each := (r.GasUsed - int64(client.ReportGas(0))) / 20; each > int64(client.ReportGas(1)-client.ReportGas(0)) || r.GasUsed < 20*50_000 {
		w.t.Errorf("20 of the largest reports took %d gas", r.GasUsed)
	}
}

// longLine is a security key's public key, whose application is as long as a line may be.
func longLine(t *testing.T, name string) string {
	t.Helper()
	blob := ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public(name), "ssh:" + strings.Repeat("x", 5900)})
	line := ssh.KeyAlgoSKED25519 + " " + base64.StdEncoding.EncodeToString(blob)
	if len(line) > sshkey.MaxLine {
		t.Fatalf("a line of %d bytes", len(line))
	}
	return line
}

// given delivers a message with a gas limit.
func given(w *world, from apptest.Account, gas uint64, m sdk.Msg) *apptest.Result {
	w.t.Helper()
	r, err := w.DeliverAll(w.SignWith(from, func(b sdkclient.TxBuilder) { b.SetGasLimit(gas) }, m))
	if err == nil {
		err = apptest.Outcome(r[0])
	}
	if err != nil {
		w.t.Fatalf("%T with %d gas: %v", m, gas, err)
	}
	return r[0]
}
