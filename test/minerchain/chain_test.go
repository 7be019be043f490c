// Package minerchain puts the chain, as a miner's program asks it, through the suite that the fake chain of the agent's
// tests passes, too.
package minerchain

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	abciv1beta1 "github.com/hippius/compute/api/cosmos/base/abci/v1beta1"
	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/credit"
	"github.com/hippius/compute/core/instance"
	corenode "github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/daemon/miner"
	"github.com/hippius/compute/internal/testkit"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/miner/agent/chaintest"
)

const bond = 1_000_000_000

// roomy is a plan beside the default ones: the smallest with a larger disk.
const roomy = "roomy"

func TestChain(t *testing.T) {
	chaintest.Run(t, open)
}

// world is a chain with one keeper, a miner and a tenant.
type world struct {
	node   *node
	client *client.Client
	miner  *client.Sender
	tenant *client.Sender
	serial uint32
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{node: &node{results: map[string]*abciv1beta1.TxResponse{}}}
	w.node.Harness = apptest.New(t, apptest.Options{Genesis: genesis, Accounts: []apptest.Funds{
		{Name: "miner", Uhip: 10 * bond, Ucredit: 20 * credit.PerCredit}, {Name: "tenant", Uhip: bond, Ucredit: 1000 * credit.PerCredit},
	}})
	var err error
	w.client, err = client.Over(client.Config{Network: client.Network{
		Name: "test", ChainID: apptest.ChainID, GRPC: []client.Endpoint{{Address: "127.0.0.1:1", Plain: true}},
	}}, w.node)
	testkit.Check(t, err)
	w.miner, w.tenant = w.sender(t, "miner"), w.sender(t, "tenant")
	ctx := t.Context()
	testkit.Check(t, w.miner.RegisterMiner(ctx, corenode.Offer{
		Name: "miner", Identity: public(key("miner")), Roles: []string{corenode.RoleCompute}, Endpoint: "miner.example:7070", Region: "eu",
		Capacity: corenode.Capacity{Cores: 8, MemoryMiB: 64 << 10, DiskGiB: 500},
		Hardware: corenode.Hardware{Arch: "amd64", Acceleration: "tcg", CPUModel: "test", DiskWriteBytesPerSecond: 1},
	}, bond))
	testkit.Check(t, w.tenant.RegisterTenant(ctx, public(key("tenant CA"))))
	line, err := ssh.NewPublicKey(public(key("laptop")))
	testkit.Check(t, err)
	_, err = w.tenant.AddSSHKey(ctx, "laptop", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))))
	testkit.Check(t, err)
	return w
}

func genesis(g *app.Genesis) {
	large := plan.Defaults()[0]
	large.Name, large.DiskGiB, large.Order = roomy, 30, 9
	g.Plans = append(plan.Defaults(), large)
	g.Images = []plan.Image{{
		Name: "tiny", OS: "tiny", Version: "1", URLs: []string{"https://images.example/tiny"}, SHA256: sum("tiny"), Format: "qcow2",
		SizeBytes: 1 << 20, VirtualSizeBytes: 1 << 30, Arch: "amd64", User: "hippius",
	}}
	g.Keepers = []app.GenesisKeeper{{
		Operator: apptest.Operator(0).Address, Identity: public(key("keeper")), HPKEKey: sum("hpke"), Endpoint: "127.0.0.1:7000", Name: "keeper",
	}}
}

func (w *world) sender(t *testing.T, name string) *client.Sender {
	t.Helper()
	wal, err := wallet.FromKey(apptest.Named(name).Key.Key)
	testkit.Check(t, err)
	return w.client.NewSender(wal)
}

// key is always the same for the same name.
func key(name string) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(sum(name)) }

func public(k ed25519.PrivateKey) ed25519.PublicKey { return ed25519.PublicKey(k[ed25519.SeedSize:]) }

func sum(name string) []byte {
	s := sha256.Sum256([]byte(name))
	return s[:]
}

func open(t *testing.T) *chaintest.Harness {
	t.Helper()
	w := newWorld(t)
	return &chaintest.Harness{
		Chain: miner.Chain{Client: w.client, Sender: w.miner}, ChainID: apptest.ChainID, Miner: w.miner.Address(),
		Create: w.create, Order: w.order, Resize: w.resize, Pass: w.pass, Forget: w.forget,
	}
}

func (w *world) create(t *testing.T, mode vm.AgentMode) vm.ID {
	t.Helper()
	w.serial++
	nonce := sum(fmt.Sprint("nonce", w.serial))[:vm.NonceSize]
	id, err := vm.NewID(w.tenant.Address(), nonce)
	testkit.Check(t, err)
	owner, err := w.client.Tenant(t.Context(), w.tenant.Address())
	testkit.Check(t, err)
	at, err := owner.Block.Addr(1 + w.serial)
	testkit.Check(t, err)
	committee, err := w.client.Committee(t.Context())
	testkit.Check(t, err)
	var dealt []vm.Instance
	for seq := uint32(1); seq <= chaintest.Instances; seq++ {
		in := vm.Instance{
			Seq: seq, CommitmentHash: sum(fmt.Sprint(id, "commitment", seq)), BundleHash: sum(fmt.Sprint(id, "bundle", seq)),
			GuestKey: public(chaintest.GuestKey(id, seq)), MeshCertFingerprint: sum(fmt.Sprint(id, "mesh", seq)), CommitteeEpoch: committee.Epoch,
		}
		digest := instance.ReceiptDigest(apptest.ChainID, w.tenant.Address(), id, seq, committee.Epoch, in.CommitmentHash, in.BundleHash)
		in.Receipts = []vm.Receipt{{Keeper: public(key("keeper")), Signature: ed25519.Sign(key("keeper"), digest)}}
		dealt = append(dealt, in)
	}
	got, err := w.tenant.CreateVM(t.Context(), nonce, vm.Spec{
		Name: fmt.Sprint("web-", w.serial), Plan: "spark", Image: "tiny", SSHKeys: []string{"laptop"}, MeshAddress: at.String(),
		HostCA: public(key("host CA")), Agent: mode, On: true,
	}, dealt)
	testkit.Check(t, err)
	if got != id {
		t.Fatalf("created VM %s, want %s", got, id)
	}
	return id
}

func (w *world) order(t *testing.T, id vm.ID, ev vm.Event) {
	t.Helper()
	ctx := t.Context()
	var err error
	switch ev { //nolint:exhaustive // the rest is no order
	case vm.Start:
		err = w.tenant.StartVM(ctx, id)
	case vm.Stop:
		err = w.tenant.StopVM(ctx, id)
	case vm.Reboot:
		err = w.tenant.RebootVM(ctx, id)
	case vm.Rebuild:
		_, err = w.tenant.RebuildVM(ctx, id, "tiny", nil)
	case vm.Terminate:
		err = w.tenant.TerminateVM(ctx, id)
	default:
		err = errors.New("it is no order")
	}
	if err != nil {
		t.Fatalf("%s: %v", ev, err)
	}
}

func (w *world) resize(t *testing.T, id vm.ID, restart bool) {
	t.Helper()
	to := roomy
	if restart {
		to = "pulse"
	}
	_, err := w.tenant.ResizeVM(t.Context(), id, to)
	testkit.Check(t, err)
}

func (w *world) pass(t *testing.T, d time.Duration) {
	t.Helper()
	time.Sleep(d)
	w.node.NextBlock(int64(d / time.Second))
}

// forget lets the week pass for which it is remembered what left a miner.
func (w *world) forget(t *testing.T) {
	t.Helper()
	w.pass(t, 8*24*time.Hour)
}
