package computetest

import (
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"

	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	govtypes "github.com/cosmos/cosmos-sdk/x/gov/types"
	"golang.org/x/crypto/ssh"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	computekeeper "github.com/hippius/compute/chain/x/compute/keeper"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	meshkeeper "github.com/hippius/compute/chain/x/mesh/keeper"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	registrykeeper "github.com/hippius/compute/chain/x/registry/keeper"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

func TestSSHKeys(t *testing.T) {
	w := newWorld(t, map[string]string{"compute": `{"params":{"max_keys_per_account":3}}`})
	w.miner("miner0")
	a := w.tenant("tenant")
	add := func(name, line string) *computetypes.MsgAddSSHKey {
		return &computetypes.MsgAddSSHKey{Owner: a.Address, Name: name, PublicKey: line}
	}
	block, err := ssh.MarshalPrivateKey(key("x"), "")
	if err != nil {
		t.Fatal(err)
	}
	n := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 1023), big.NewInt(9))
	weak, err := ssh.NewPublicKey(&rsa.PublicKey{N: n, E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	w.refused(computetypes.ErrPrivateKey, a, add("k", string(pem.EncodeToMemory(block))))
	w.refused(computetypes.ErrWeakKey, a, add("k", string(ssh.MarshalAuthorizedKey(weak))))
	w.refused(computetypes.ErrMalformedKey, a, add("k", "my key"))
	w.refused(computetypes.ErrInvalid, a, add("My Key", sshLine(t, "x")))
	w.refused(computetypes.ErrKeyExists, a, add("laptop", sshLine(t, "x")))
	w.refused(computetypes.ErrKeyExists, a, add("again", sshLine(t, "tenant")))
	w.refused(computetypes.ErrUnknownKey, a, &computetypes.MsgRemoveSSHKey{Owner: a.Address, Name: "desktop"})
	w.MustDeliver(a, add("desktop", `command="true" `+sshLine(t, "x")+" comment"), add("third", sshLine(t, "y")))
	w.refused(computetypes.ErrTooManyKeys, a, add("fourth", sshLine(t, "z")))

	r, err := w.compute.SSHKeys(w.Ctx(), &computetypes.QuerySSHKeysRequest{Owner: a.Address})
	if err != nil || len(r.Keys) != 3 || r.Keys[0].Name != "desktop" || r.Keys[0].PublicKey != sshLine(t, "x") || !strings.HasPrefix(r.Keys[0].Fingerprint, "SHA256:") {
		t.Fatalf("keys %+v, %v", r, err)
	}
	id := w.create(a, "web-1", func(c *computetypes.MsgCreateVM) { c.Spec.SshKeys = []string{"laptop", "desktop"} })
	w.refused(computetypes.ErrKeyInUse, a, &computetypes.MsgRemoveSSHKey{Owner: a.Address, Name: "desktop"})
	w.MustDeliver(a, &computetypes.MsgRemoveSSHKey{Owner: a.Address, Name: "third"})
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
	w.MustDeliver(a, &computetypes.MsgRemoveSSHKey{Owner: a.Address, Name: "desktop"})
}

func TestBadCreations(t *testing.T) {
	w := newWorld(t, map[string]string{"compute": `{"params":{"max_vms_per_account":2}}`})
	w.miner("miner0")
	a, other := w.tenant("tenant"), w.tenant("other")
	w.create(a, "taken")

	for name, c := range map[string]struct {
		want  error
		spoil func(*computetypes.MsgCreateVM)
	}{
		"bad name":         {computetypes.ErrInvalid, func(m *computetypes.MsgCreateVM) { m.Spec.Name = "Web" }},
		"short nonce":      {computetypes.ErrInvalid, func(m *computetypes.MsgCreateVM) { m.Nonce = m.Nonce[1:] }},
		"created off":      {computetypes.ErrInvalid, func(m *computetypes.MsgCreateVM) { m.Spec.Power = computetypes.Power_POWER_OFF }},
		"rebooted":         {computetypes.ErrInvalid, func(m *computetypes.MsgCreateVM) { m.Spec.RebootSeq = 1 }},
		"agent":            {computetypes.ErrInvalid, func(m *computetypes.MsgCreateVM) { m.Spec.Agent = 7 }},
		"no key":           {computetypes.ErrInvalid, func(m *computetypes.MsgCreateVM) { m.Spec.SshKeys = nil }},
		"host CA":          {computetypes.ErrInvalid, func(m *computetypes.MsgCreateVM) { m.Spec.HostCa = nil }},
		"name taken":       {computetypes.ErrNameTaken, func(m *computetypes.MsgCreateVM) { m.Spec.Name = "taken" }},
		"unknown plan":     {markettypes.ErrUnknownPlan, func(m *computetypes.MsgCreateVM) { m.Spec.Plan = "nano" }},
		"unknown image":    {markettypes.ErrUnknownImage, func(m *computetypes.MsgCreateVM) { m.Spec.Image = "beos" }},
		"unknown app":      {markettypes.ErrUnknownApp, func(m *computetypes.MsgCreateVM) { m.Spec.Apps = []string{"solitaire"} }},
		"app not for it":   {computetypes.ErrAppImage, func(m *computetypes.MsgCreateVM) { m.Spec.Apps = []string{"only-huge"} }},
		"unknown region":   {computetypes.ErrUnknownRegion, func(m *computetypes.MsgCreateVM) { m.Spec.Region = "moon" }},
		"unknown miner":    {computetypes.ErrUnknownMiner, func(m *computetypes.MsgCreateVM) { m.Spec.Miners = []string{a.Address} }},
		"unknown key":      {computetypes.ErrUnknownKey, func(m *computetypes.MsgCreateVM) { m.Spec.SshKeys = []string{"none"} }},
		"image too large":  {computetypes.ErrImageTooLarge, func(m *computetypes.MsgCreateVM) { m.Spec.Image = "huge" }},
		"foreign address":  {computetypes.ErrAddress, func(m *computetypes.MsgCreateVM) { m.Spec.MeshAddress = w.address(other, 2) }},
		"device address":   {computetypes.ErrAddress, func(m *computetypes.MsgCreateVM) { m.Spec.MeshAddress = w.address(a, 48) }},
		"address taken":    {computetypes.ErrAddressTaken, func(m *computetypes.MsgCreateVM) { m.Spec.MeshAddress = w.address(a, 2) }},
		"no instances":     {computetypes.ErrInstances, func(m *computetypes.MsgCreateVM) { m.Instances = nil }},
		"second first":     {computetypes.ErrInstances, func(m *computetypes.MsgCreateVM) { m.Instances = m.Instances[1:] }},
		"guest key":        {computetypes.ErrInstances, func(m *computetypes.MsgCreateVM) { m.Instances[0].GuestKey = nil }},
		"too many":         {computetypes.ErrInstances, func(m *computetypes.MsgCreateVM) { m.Instances = make([]computetypes.Instance, 17) }},
		"no receipt":       {computetypes.ErrReceipts, func(m *computetypes.MsgCreateVM) { m.Instances[3].Receipts = nil }},
		"forged receipt":   {computetypes.ErrReceipts, func(m *computetypes.MsgCreateVM) { m.Instances[2].Receipts[0].Signature[5] ^= 1 }},
		"copied receipt":   {computetypes.ErrReceipts, func(m *computetypes.MsgCreateVM) { m.Instances[1].Receipts = m.Instances[0].Receipts }},
		"stranger":         {computetypes.ErrReceipts, func(m *computetypes.MsgCreateVM) { m.Instances[0].Receipts[0].Keeper = public("stranger") }},
		"receipt twice":    {computetypes.ErrReceipts, func(m *computetypes.MsgCreateVM) { r := &m.Instances[0].Receipts; *r = append(*r, (*r)[0]) }},
		"another epoch":    {computetypes.ErrOldCommittee, func(m *computetypes.MsgCreateVM) { m.Instances[0].CommitteeEpoch = 9 }},
		"another's dealt":  {computetypes.ErrReceipts, func(m *computetypes.MsgCreateVM) { m.Nonce[0] ^= 1 }},
		"endless priority": {computetypes.ErrInvalid, func(m *computetypes.MsgCreateVM) { m.Spec.Priority = 1 << 20 }},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			w.serial = 1
			w.refused(c.want, a, w.createMsg(a, "web-1", c.spoil))
		})
	}
	w.t = t
	m := w.createMsg(a, "web-2", func(m *computetypes.MsgCreateVM) { m.Spec.Plan, m.Spec.Image = "pulse", "huge" })
	w.MustDeliver(a, m)
	again := *m
	again.Spec.Name = "web-3"
	w.refused(computetypes.ErrVMExists, a, &again)
	w.refused(computetypes.ErrTooManyVMs, a, w.createMsg(a, "web-4"))
}

func (w *world) address(a apptest.Account, host uint32) string {
	addr, err := w.block(a).Block().Addr(host)
	if err != nil {
		w.t.Fatal(err)
	}
	return addr.String()
}

func TestUnknownRegionNamesTheKnown(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a := w.tenant("tenant")
	_, err := w.Deliver(a, w.createMsg(a, "web-1", func(m *computetypes.MsgCreateVM) { m.Spec.Region = "moon" }))
	if err == nil || !strings.Contains(err.Error(), `no active miner is in region "moon"; there are: eu`) {
		t.Fatal(err)
	}
}

func TestTooLittleCredit(t *testing.T) {
	w := newWorld(t, nil)
	poor := apptest.Named("poor")
	_, err := w.Deliver(poor, &meshtypes.MsgRegisterTenant{Owner: poor.Address, CaPublicKey: public("ca")})
	if err == nil || !strings.Contains(err.Error(), "are missing") {
		t.Fatal(err)
	}
	w.refused(markettypes.ErrInsufficient, poor, &meshtypes.MsgRegisterTenant{Owner: poor.Address, CaPublicKey: public("ca")})
	a := w.tenant("other")
	msg := w.createMsg(a, "web-1")
	ctx := w.Ctx()
	if err := w.App.Keepers.Credits.Consume(ctx, a.Address, 91_000_000, apptest.Named("miner0").Address); err != nil {
		t.Fatal(err)
	}
	w.NextBlock(1)
	w.refused(markettypes.ErrInsufficient, a, msg)
}

func TestNoCommittee(t *testing.T) {
	w := newWorld(t, nil, func(g *app.Genesis) { g.Keepers = nil })
	a := w.tenant("tenant")
	w.refused(computetypes.ErrNoCommittee, a, w.createMsg(a, "web-1"))
}

func TestWrongPhasesAndOwners(t *testing.T) {
	w := newWorld(t, nil)
	a, other := w.tenant("tenant"), w.tenant("other")
	id := w.create(a, "web-1") // no miner: pending
	for name, msg := range map[string]struct {
		m    any
		want string
	}{
		"start":  {&computetypes.MsgStartVM{Owner: a.Address, VmId: id}, "the VM is pending; start needs it to be stopped"},
		"stop":   {&computetypes.MsgStopVM{Owner: a.Address, VmId: id}, "the VM is pending; stop needs it to be provisioning or running"},
		"reboot": {&computetypes.MsgRebootVM{Owner: a.Address, VmId: id}, "the VM is pending; reboot needs it to be running"},
	} {
		var err error
		switch m := msg.m.(type) {
		case *computetypes.MsgStartVM:
			_, err = w.Deliver(a, m)
			w.refused(computetypes.ErrWrongPhase, a, m)
			w.refused(computetypes.ErrNotOwner, other, &computetypes.MsgStartVM{Owner: other.Address, VmId: id})
		case *computetypes.MsgStopVM:
			_, err = w.Deliver(a, m)
			w.refused(computetypes.ErrWrongPhase, a, m)
			w.refused(computetypes.ErrNotOwner, other, &computetypes.MsgStopVM{Owner: other.Address, VmId: id})
		case *computetypes.MsgRebootVM:
			_, err = w.Deliver(a, m)
			w.refused(computetypes.ErrWrongPhase, a, m)
			w.refused(computetypes.ErrNotOwner, other, &computetypes.MsgRebootVM{Owner: other.Address, VmId: id})
		}
		if err == nil || !strings.Contains(err.Error(), msg.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.refused(computetypes.ErrNotOwner, other, &computetypes.MsgTerminateVM{Owner: other.Address, VmId: id})
	w.refused(computetypes.ErrNotOwner, other, &computetypes.MsgRenameVM{Owner: other.Address, VmId: id, Name: "mine"})
	w.refused(computetypes.ErrNotOwner, other, &computetypes.MsgResizeVM{Owner: other.Address, VmId: id, Plan: "pulse"})
	w.refused(computetypes.ErrNotOwner, other, &computetypes.MsgRebuildVM{Owner: other.Address, VmId: id, Image: "debian-12"})
	w.refused(computetypes.ErrWrongPhase, a, &computetypes.MsgResizeVM{Owner: a.Address, VmId: id, Plan: "pulse"})
	w.refused(computetypes.ErrWrongPhase, a, &computetypes.MsgRebuildVM{Owner: a.Address, VmId: id, Image: "debian-12"})
	w.refused(computetypes.ErrInvalid, a, &computetypes.MsgResizeVM{Owner: a.Address, VmId: id, Plan: "../pulse"})
	w.refused(computetypes.ErrInvalid, a, &computetypes.MsgRebuildVM{Owner: a.Address, VmId: id, Image: "Debian 12"})
	w.refused(computetypes.ErrUnknownVM, a, &computetypes.MsgStopVM{Owner: a.Address, VmId: fmt.Sprintf("%032x", 5)})
	w.refused(computetypes.ErrInvalid, a, &computetypes.MsgStopVM{Owner: a.Address, VmId: "web-1"})

	// Renaming.
	second := w.create(a, "web-2")
	w.refused(computetypes.ErrNameTaken, a, &computetypes.MsgRenameVM{Owner: a.Address, VmId: second, Name: "web-1"})
	w.MustDeliver(a, &computetypes.MsgRenameVM{Owner: a.Address, VmId: second, Name: "db-1"})
	r, err := w.compute.VM(w.Ctx(), &computetypes.QueryVMRequest{Owner: a.Address, Name: "db-1"})
	if err != nil || r.Vm.Id != second || r.Vm.Generation != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := w.compute.VM(w.Ctx(), &computetypes.QueryVMRequest{Owner: a.Address, Name: "web-2"}); err == nil {
		t.Fatal("the old name still leads somewhere")
	}
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
	w.refused(computetypes.ErrWrongPhase, a, &computetypes.MsgRenameVM{Owner: a.Address, VmId: id, Name: "ghost"})
	w.refused(computetypes.ErrWrongPhase, a, &computetypes.MsgDealInstances{Owner: a.Address, VmId: id, Instances: w.instances(a.Address, id, 9, 1)})

	// Starting what runs says so.
	w.miner("miner0")
	w.NextBlock(1)
	w.boot(second)
	_, err = w.Deliver(a, &computetypes.MsgStartVM{Owner: a.Address, VmId: second})
	if err == nil || !strings.Contains(err.Error(), "the VM is running; start needs it to be stopped") {
		t.Fatal(err)
	}
	w.is(second, vm.Running, "")
}

func TestOnlyGovernanceChangesParams(t *testing.T) {
	w := newWorld(t, nil)
	a := apptest.Named("tenant")
	p := computetypes.DefaultParams()
	w.refused(computetypes.ErrUnauthorized, a, &computetypes.MsgUpdateParams{Authority: a.Address, Params: p})
	p.MaxCandidates = 0
	w.refused(computetypes.ErrInvalid, a, &computetypes.MsgUpdateParams{Authority: a.Address, Params: p})

	k, gov := w.App.Keepers, authtypes.NewModuleAddress(govtypes.ModuleName).String()
	p.MaxCandidates = 7
	if _, err := computekeeper.NewMsgServer(k.Compute).UpdateParams(w.Ctx(), &computetypes.MsgUpdateParams{Authority: gov, Params: p}); err != nil {
		t.Fatal(err)
	}
	mp := meshtypes.Params{MaxDevices: 3, MaxRevocations: 4, ReleaseSeconds: 5, LighthouseRentUcredit: 1, LighthouseGraceSeconds: 1}
	if _, err := meshkeeper.NewMsgServer(k.Mesh).UpdateParams(w.Ctx(), &meshtypes.MsgUpdateParams{Authority: gov, Params: mp}); err != nil {
		t.Fatal(err)
	}
	rp := registrytypes.DefaultParams()
	rp.MaxCommittee = 1
	if _, err := registrykeeper.NewMsgServer(k.Registry).UpdateParams(w.Ctx(), &registrytypes.MsgUpdateParams{Authority: gov, Params: rp}); err != nil {
		t.Fatal(err)
	}
	w.NextBlock(1)
	c, err := w.compute.Params(w.Ctx(), &computetypes.QueryParamsRequest{})
	if err != nil || c.Params != p {
		t.Errorf("%+v, %v", c, err)
	}
	m, err := w.mesh.Params(w.Ctx(), &meshtypes.QueryParamsRequest{})
	if err != nil || m.Params != mp {
		t.Errorf("%+v, %v", m, err)
	}
	r, err := w.registry.Params(w.Ctx(), &registrytypes.QueryParamsRequest{})
	if err != nil || r.Params != rp {
		t.Errorf("%+v, %v", r, err)
	}
}
