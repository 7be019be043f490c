package computetest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	errorsmod "cosmossdk.io/errors"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"golang.org/x/crypto/ssh"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	computekeeper "github.com/hippius/compute/chain/x/compute/keeper"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	marketkeeper "github.com/hippius/compute/chain/x/marketplace/keeper"
	markettypes "github.com/hippius/compute/chain/x/marketplace/types"
	meshkeeper "github.com/hippius/compute/chain/x/mesh/keeper"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	registrykeeper "github.com/hippius/compute/chain/x/registry/keeper"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
)

const (
	bond    = 1_000_000_000
	spark   = 8900 // ucredit an hour
	sparkHD = 900
)

// noNewcomers are parameters of x/registry with which no miner is a newcomer, for tests that give one more VMs than those get.
const noNewcomers = `{"params":{"newcomer_proven_vms":0}}`

// world is a chain with one keeper, some rich accounts, an image and tenants that need only create.
type world struct {
	*apptest.Harness
	t testing.TB

	compute  computetypes.QueryServer
	registry registrytypes.QueryServer
	mesh     meshtypes.QueryServer
	market   markettypes.QueryServer
	serial   int
	// keepers that give receipts: identity key to the name of their key.
	keepers map[string]string
}

// key is always the same for the same name.
func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(name string) []byte {
	pub, _ := key(name).Public().(ed25519.PublicKey)
	return pub
}

func hash(name string) []byte {
	sum := sha256.Sum256([]byte(name))
	return sum[:]
}

// newWorld starts the chain; credits of the tenant are 100.
func newWorld(t testing.TB, overrides map[string]string, change ...func(*app.Genesis)) *world {
	t.Helper()
	return newStaked(t, []uint64{bond}, overrides, change...)
}

// newStaked is newWorld with as many validators as stakes are given, in uhip. The first operates a keeper.
func newStaked(t testing.TB, stakes []uint64, overrides map[string]string, change ...func(*app.Genesis)) *world {
	t.Helper()
	over := map[string]json.RawMessage{}
	for module, text := range overrides {
		over[module] = json.RawMessage(text)
	}
	funds := []apptest.Funds{{Name: "tenant", Ucredit: 100 * credit.PerCredit}, {Name: "other", Ucredit: 100 * credit.PerCredit}, {Name: "poor", Ucredit: 5 * credit.PerCredit}}
	for i := range 6 {
		funds = append(funds, apptest.Funds{Name: fmt.Sprintf("miner%d", i), Uhip: 10 * bond, Ucredit: 20 * credit.PerCredit})
	}
	h := apptest.New(t, apptest.Options{Accounts: funds, Validators: len(stakes), Stakes: stakes, Genesis: func(g *app.Genesis) {
		g.Overrides = over
		g.Accounts = append(g.Accounts, app.GenesisAccount{Address: apptest.Named("validator").Address, Ucredit: 20 * credit.PerCredit})
		g.Keepers = []app.GenesisKeeper{{
			Operator: apptest.Named("validator").Address, Identity: public("keeper"), HPKEKey: hash("hpke"), Endpoint: "127.0.0.1:7000", Name: "keeper-1",
		}}
		g.Images = []plan.Image{image("debian-12", 2), image("huge", 19)}
		g.Apps = append(plan.DefaultApps(), plan.App{Name: "only-huge", Recipe: "x", Images: []string{"huge"}})
		for _, c := range change {
			c(g)
		}
	}})
	k := h.App.Keepers
	return &world{
		Harness: h, t: t,
		compute: computekeeper.NewQueryServer(k.Compute), registry: registrykeeper.NewQueryServer(k.Registry),
		mesh: meshkeeper.NewQueryServer(k.Mesh), market: marketkeeper.NewQueryServer(k.Marketplace),
		keepers: map[string]string{string(public("keeper")): "keeper"},
	}
}

func image(name string, gib uint64) plan.Image {
	return plan.Image{
		Name: name, OS: "debian", Version: "12", URLs: []string{"https://images.example/" + name}, SHA256: hash(name), Format: "qcow2",
		SizeBytes: 1 << 20, VirtualSizeBytes: gib << 30, Arch: "amd64", User: "hippius",
	}
}

func offer(name string) *registrytypes.MsgRegisterMiner {
	return &registrytypes.MsgRegisterMiner{
		Operator: apptest.Named(name).Address, Name: name, Identity: public(name), Roles: []string{"compute"}, Endpoint: name + ".example:7070",
		Region: "eu", BondUhip: bond,
		Capacity: registrytypes.Capacity{Cores: 4, MemoryMib: 16 << 10, DiskGib: 200, Arch: "amd64", Acceleration: "tcg", CpuModel: "test", DiskWriteBytesPerSecond: 1},
	}
}

// miner registers a miner, changed as wanted.
func (w *world) miner(name string, change ...func(*registrytypes.MsgRegisterMiner)) apptest.Account {
	w.t.Helper()
	m := offer(name)
	for _, c := range change {
		c(m)
	}
	w.MustDeliver(apptest.Named(name), m)
	return apptest.Named(name)
}

func sshLine(t testing.TB, name string) string {
	t.Helper()
	p, err := ssh.NewPublicKey(ed25519.PublicKey(public(name)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(p)))
}

// tenant gives an account an address block and an SSH key "laptop".
func (w *world) tenant(name string) apptest.Account {
	w.t.Helper()
	a := apptest.Named(name)
	w.MustDeliver(a,
		&meshtypes.MsgRegisterTenant{Owner: a.Address, CaPublicKey: public(name + "-ca")},
		&computetypes.MsgAddSSHKey{Owner: a.Address, Name: "laptop", PublicKey: sshLine(w.t, name) + " me@laptop"})
	return a
}

func (w *world) block(owner apptest.Account) meshtypes.Tenant {
	w.t.Helper()
	r, err := w.mesh.Tenant(w.Ctx(), &meshtypes.QueryTenantRequest{Owner: owner.Address})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Tenant
}

// instances of a VM, with the receipts of the keepers known to w.
func (w *world) instances(owner, id string, from, n uint32) []computetypes.Instance {
	c, err := w.App.Keepers.Registry.Committee(w.Ctx())
	if err != nil {
		w.t.Fatal(err)
	}
	var list []computetypes.Instance
	for seq := from; seq < from+n; seq++ {
		in := computetypes.Instance{
			Seq: seq, CommitmentHash: hash(fmt.Sprint(id, "commitment", seq)), BundleHash: hash(fmt.Sprint(id, "bundle", seq)),
			GuestKey: public(guestName(id, seq)), MeshCertFingerprint: hash(fmt.Sprint(id, "mesh", seq)), CommitteeEpoch: c.Epoch,
		}
		digest := instance.ReceiptDigest(apptest.ChainID, owner, vm.ID(id), seq, c.Epoch, in.CommitmentHash, in.BundleHash)
		for _, member := range c.Keepers {
			if name, ok := w.keepers[string(member.Identity)]; ok {
				in.Receipts = append(in.Receipts, computetypes.KeeperReceipt{Keeper: member.Identity, Signature: ed25519.Sign(key(name), digest)})
			}
		}
		list = append(list, in)
	}
	return list
}

func guestName(id string, seq uint32) string { return fmt.Sprint(id, "guest", seq) }

// createMsg is a good creation of the next VM of an account, changed as wanted before it is dealt.
func (w *world) createMsg(owner apptest.Account, name string, change ...func(*computetypes.MsgCreateVM)) *computetypes.MsgCreateVM {
	w.t.Helper()
	w.serial++
	nonce := sha256.Sum256(fmt.Append(nil, "nonce", w.serial))
	host := uint32(1 + w.serial)
	addr, err := w.block(owner).Block().Addr(host)
	if err != nil {
		w.t.Fatal(err)
	}
	m := &computetypes.MsgCreateVM{Owner: owner.Address, Nonce: nonce[:vm.NonceSize], Spec: computetypes.VMSpec{
		Name: name, Plan: "spark", Image: "debian-12", SshKeys: []string{"laptop"}, MeshAddress: addr.String(), HostCa: public("host-ca"),
		Power: computetypes.Power_POWER_ON, Agent: computetypes.AgentMode_AGENT_MODE_GUEST,
	}}
	derived, err := vm.NewID(m.Owner, m.Nonce)
	if err != nil {
		w.t.Fatal(err)
	}
	id := string(derived)
	m.Instances = w.instances(owner.Address, id, 1, 8)
	for _, c := range change {
		c(m)
	}
	return m
}

func (w *world) create(owner apptest.Account, name string, change ...func(*computetypes.MsgCreateVM)) string {
	w.t.Helper()
	var r computetypes.MsgCreateVMResponse
	if err := w.MustDeliver(owner, w.createMsg(owner, name, change...)).Response(0, &r); err != nil {
		w.t.Fatal(err)
	}
	return r.Id
}

func (w *world) vm(id string) computetypes.VM {
	w.t.Helper()
	r, err := w.compute.VM(w.Ctx(), &computetypes.QueryVMRequest{Id: id})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Vm
}

// is checks a VM's phase and, if one is wanted, its reason.
func (w *world) is(id string, p vm.Phase, reason string) computetypes.VM {
	w.t.Helper()
	v := w.vm(id)
	if v.Status.Phase.Core() != p || v.Status.Reason != reason {
		w.t.Fatalf("%s: VM is %s (%s: %s), want %s (%s)", w, v.Status.Phase.Core(), v.Status.Reason, v.Status.Message, p, reason)
	}
	return v
}

// says is a report of a VM as it now stands on chain.
func (w *world) says(id string, p vm.Phase) computetypes.VMReport {
	w.t.Helper()
	v := w.vm(id)
	return computetypes.VMReport{
		VmId: id, InstanceSeq: v.Status.InstanceSeq, ObservedGeneration: v.Generation, ObservedRebootSeq: v.Spec.RebootSeq,
		SizeGeneration: v.Generation, Phase: computetypes.PhaseOf(p),
	}
}

// proven adds the guest's signature of the newest block to a report.
func (w *world) proven(r computetypes.VMReport) computetypes.VMReport {
	h := w.Height()
	r.Proof = &computetypes.ProofReport{Height: h, Signature: vm.SignProof(key(guestName(r.VmId, r.InstanceSeq)), apptest.ChainID, vm.ID(r.VmId), r.InstanceSeq, h, apptest.BlockHash(h))}
	return r
}

func (w *world) holder(id string) apptest.Account {
	w.t.Helper()
	held := w.vm(id).Status.Miner
	for i := range 6 {
		if a := apptest.Named(fmt.Sprintf("miner%d", i)); a.Address == held {
			return a
		}
	}
	w.t.Fatalf("%s: VM %s is held by %q", w, id, held)
	return apptest.Account{}
}

// try delivers a miner's batch. The error of a report that is alone in it and refused matches the registered one.
func (w *world) try(miner apptest.Account, reports ...computetypes.VMReport) ([]computetypes.ReportResult, error) {
	w.t.Helper()
	r, err := w.Deliver(miner, &computetypes.MsgReportVM{Miner: miner.Address, Reports: reports})
	if err != nil {
		return nil, err
	}
	var out computetypes.MsgReportVMResponse
	if err := r.Response(0, &out); err != nil {
		w.t.Fatal(err)
	}
	if r := out.Results; len(r) == 1 && r[0].Code != 0 {
		return r, errorsmod.ABCIError(r[0].Codespace, r[0].Code, "report of VM "+r[0].VmId)
	}
	return out.Results, nil
}

// report delivers what the VM's holder says; all of it must be good.
func (w *world) report(reports ...computetypes.VMReport) {
	w.t.Helper()
	results, err := w.try(w.holder(reports[0].VmId), reports...)
	if err != nil {
		w.t.Fatalf("%s: %v", w, err)
	}
	for _, r := range results {
		if r.Code != 0 {
			w.t.Fatalf("%s: %s: %s error %d", w, r.VmId, r.Codespace, r.Code)
		}
	}
}

// boot takes an assigned VM to Running, with its first proof.
func (w *world) boot(id string) {
	w.t.Helper()
	w.report(w.says(id, vm.Provisioning))
	w.report(w.proven(w.says(id, vm.Running)))
}

// running creates a VM and boots it.
func (w *world) running(owner apptest.Account, name string, change ...func(*computetypes.MsgCreateVM)) string {
	w.t.Helper()
	id := w.create(owner, name, change...)
	w.boot(id)
	return id
}

// alive lets time pass with a batch of the miners every so many seconds, so that they are seen.
func (w *world) alive(seconds, every int64, miners ...apptest.Account) {
	w.t.Helper()
	for ; seconds > 0; seconds -= every {
		w.NextBlock(min(every, seconds))
		for _, m := range miners {
			if _, err := w.try(m); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// billed is what an account was charged and owes, in ucredit·seconds per hour.
func (w *world) billed(a apptest.Account) uint64 {
	w.t.Helper()
	st := w.statement(a)
	return st.OwedUnits + st.Meter.Consumed*credit.UnitsPerUcredit
}

// leave takes credits of an account until only so much is left, and has its meter looked at accordingly.
func (w *world) leave(a apptest.Account, ucredit uint64) {
	w.t.Helper()
	k := w.App.Keepers
	if err := k.Credits.Consume(w.Ctx(), a.Address, w.statement(a).BalanceUcredit-ucredit, a.Address); err != nil {
		w.t.Fatal(err)
	}
	if err := k.Marketplace.AfterBuy(w.Ctx(), a.Address); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) rate(a apptest.Account) uint64 {
	w.t.Helper()
	return w.statement(a).UcreditPerHour
}

func (w *world) statement(a apptest.Account) *markettypes.QueryMeterResponse {
	w.t.Helper()
	r, err := w.market.Meter(w.Ctx(), &markettypes.QueryMeterRequest{Account: a.Address})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) registered(a apptest.Account) registrytypes.Miner {
	w.t.Helper()
	m, err := w.App.Keepers.Registry.Miner(w.Ctx(), a.Address)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// refused delivers messages that must fail with an error.
func (w *world) refused(want error, signer apptest.Account, msgs ...sdk.Msg) {
	w.t.Helper()
	_, err := w.Deliver(signer, msgs...)
	if !errors.Is(err, want) {
		w.t.Fatalf("%s: %T: got %v, want %v", w, msgs[0], err, want)
	}
	if err != nil && testing.Verbose() {
		w.t.Logf("%v", err)
	}
}
