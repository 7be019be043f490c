package tenant

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/mesh"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/params"
	"github.com/hippius/compute/core/plan"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/sealbox"
	"github.com/hippius/compute/internal/wallet"
)

const (
	chainID = "test-1"
	phrase  = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
	block   = mesh.Block(7)
)

// world is a chain with one account, its keepers, and the mesh's certificates.
type world struct {
	tenant    *mesh.Tenant
	vms       []vm.VM
	keys      []vm.SSHKey
	committee node.Committee
	miners    []node.Miner
	quote     plan.Quote
	// sent names the transactions in order; refuse is what the next of a name meets.
	sent   []string
	refuse map[string]error
	made   vm.VM

	keepers map[string]*keeperFake
	key     ed25519.PrivateKey
	wallet  *wallet.Wallet
	now     time.Time
}

func newWorld(t *testing.T, keepers int) (*world, *Client) {
	t.Helper()
	w, err := wallet.FromPhrase(phrase)
	if err != nil {
		t.Fatal(err)
	}
	out := &world{
		wallet: w, key: newKey(t), now: time.Unix(1_900_000_000, 0), refuse: map[string]error{}, keepers: map[string]*keeperFake{},
		committee: node.Committee{Epoch: 3, Threshold: uint32((2*keepers + 2) / 3)},
	}
	for i := range keepers {
		name := string(rune('a' + i))
		k := &keeperFake{t: t, key: newKey(t), owner: w.Address()}
		sealing, err := sealbox.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		out.keepers[name] = k
		out.committee.Keepers = append(out.committee.Keepers, node.Keeper{Name: name, Identity: public(k.key), HPKEKey: sealing.Public(), Shares: 1})
	}
	c := New(Config{
		ChainID: chainID, Chain: out, Sender: out, Wallet: w, Keepers: out, Certificates: certificates{}, Now: func() time.Time { return out.now },
	})
	c.pause = time.Millisecond
	return out, c
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(key ed25519.PrivateKey) ed25519.PublicKey {
	return ed25519.PublicKey(slices.Clone(key[ed25519.SeedSize:]))
}

func (w *world) Tenant(context.Context, string) (mesh.Tenant, bool, error) {
	if w.tenant == nil {
		return mesh.Tenant{}, false, w.refuse["Tenant"]
	}
	return *w.tenant, true, w.refuse["Tenant"]
}

func (w *world) VMs(_ context.Context, _ string, terminated bool) ([]vm.VM, error) {
	return slices.DeleteFunc(slices.Clone(w.vms), func(v vm.VM) bool { return !terminated && v.Status.Phase == vm.Terminated }), nil
}

func (w *world) VMByName(_ context.Context, _, name string) (vm.VM, bool, error) {
	for _, v := range w.vms {
		if v.Spec.Name == name && v.Status.Phase != vm.Terminated {
			return v, true, nil
		}
	}
	return vm.VM{}, false, nil
}

func (w *world) SSHKeys(context.Context, string) ([]vm.SSHKey, error)      { return w.keys, nil }
func (w *world) Committee(context.Context) (node.Committee, error)         { return w.committee, nil }
func (w *world) Miners(context.Context) ([]node.Miner, error)              { return w.miners, nil }
func (w *world) Apps(context.Context) ([]plan.App, error)                  { return plan.DefaultApps(), nil }
func (w *world) Quote(context.Context, string, string) (plan.Quote, error) { return w.quote, nil }

func (w *world) Params(context.Context) (params.Params, error) {
	return params.Params{Prices: plan.DefaultPrices(), CPUOvercommit: 100, SilenceSeconds: 60, MinBondUhip: 10}, nil
}

func (w *world) Plans(context.Context) ([]plan.Priced, error) {
	var out []plan.Priced
	for _, p := range plan.Defaults() {
		out = append(out, plan.Priced{Plan: p})
	}
	return out, nil
}

func (w *world) Images(context.Context) ([]plan.Image, error) {
	return []plan.Image{
		{Name: "debian-12", Arch: "amd64", VirtualSizeBytes: 2 << 30}, {Name: "huge", Arch: "amd64", VirtualSizeBytes: 19 << 30},
	}, nil
}

func (w *world) Miner(_ context.Context, operator string) (node.Miner, error) {
	for _, m := range w.miners {
		if m.Operator == operator {
			return m, nil
		}
	}
	return node.Miner{}, errors.New("no such miner")
}

// take notes a transaction, or refuses it.
func (w *world) take(what string) error {
	if err := w.refuse[what]; err != nil {
		return err
	}
	w.sent = append(w.sent, what)
	return nil
}

func (w *world) RegisterTenant(_ context.Context, ca []byte) error {
	if err := w.take("RegisterTenant"); err != nil {
		return err
	}
	w.tenant = &mesh.Tenant{Owner: w.wallet.Address(), Block: block, Networks: block.Networks(), CAPublicKey: ca}
	return nil
}

func (w *world) SetTenantCA(_ context.Context, certificate []byte) error {
	if err := w.take("SetTenantCA"); err != nil {
		return err
	}
	w.tenant.CACertificate = certificate
	return nil
}

func (w *world) AddDevice(_ context.Context, name string) (mesh.Device, error) {
	if err := w.take("AddDevice"); err != nil {
		return mesh.Device{}, err
	}
	host := uint32(mesh.FirstDevice + len(w.tenant.Devices))
	addr, err := block.Addr(host)
	d := mesh.Device{Name: name, Host: host, Address: addr}
	w.tenant.Devices = append(w.tenant.Devices, d)
	return d, err
}

func (w *world) CreateVM(_ context.Context, nonce []byte, spec vm.Spec, instances []vm.Instance) (vm.ID, error) {
	if err := w.take("CreateVM"); err != nil {
		return "", err
	}
	id, err := vm.NewID(w.wallet.Address(), nonce)
	w.made = vm.VM{ID: id, Owner: w.wallet.Address(), Nonce: nonce, Spec: spec, Instances: instances, Status: vm.Status{Phase: vm.Pending}}
	return id, err
}

func (w *world) DealInstances(_ context.Context, id vm.ID, instances []vm.Instance) error {
	if err := w.take("DealInstances"); err != nil {
		return err
	}
	w.made = vm.VM{ID: id, Instances: instances}
	return nil
}

// Keeper and Key make the world the way to its keepers.
func (w *world) Keeper(k node.Keeper) (keeperv1.KeeperClient, func(), error) {
	return w.keepers[k.Name], func() {}, nil
}

func (w *world) Key() ed25519.PublicKey { return public(w.key) }

// keeperFake signs for whatever it is given, unless it is away. What keepers look at, test/secrets does with real ones.
type keeperFake struct {
	keeperv1.KeeperClient
	t     *testing.T
	key   ed25519.PrivateKey
	owner string
	away  bool

	mu    sync.Mutex
	taken []*keeperv1.DealRequest
}

func (k *keeperFake) Deal(_ context.Context, r *keeperv1.DealRequest, _ ...grpc.CallOption) (*keeperv1.DealResponse, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.away {
		return nil, status.Error(codes.Unavailable, "away")
	}
	id, err := vm.NewID(r.GetOwner(), r.GetNonce())
	if err != nil {
		return nil, err
	}
	k.taken = append(k.taken, r)
	out := &keeperv1.DealResponse{}
	for _, in := range r.GetInstances() {
		commitment, bundle := sha256.Sum256(in.GetCommitment()), sha256.Sum256(in.GetSealedBundle())
		digest := instance.ReceiptDigest(chainID, k.owner, id, in.GetSeq(), r.GetCommitteeEpoch(), commitment[:], bundle[:])
		out.Receipts = append(out.Receipts, &keeperv1.Receipt{Seq: in.GetSeq(), Signature: ed25519.Sign(k.key, digest)})
	}
	return out, nil
}

// certificates are those of an authority that is its seed; the mesh's own are tried in cli/connect.
type certificates struct{}

func (certificates) PublicKey(seed []byte) ([]byte, error) {
	return append([]byte("key "), seed...), nil
}

func (certificates) Make(seed []byte, networks []netip.Prefix, name string, _ time.Time) (Authority, error) {
	return authority(string(seed) + name + networks[0].String()), nil
}

func (certificates) Open(seed, certificate []byte) (Authority, error) {
	if len(certificate) < len(seed) || string(certificate[:len(seed)]) != string(seed) {
		return nil, errors.New("of another seed")
	}
	return authority(certificate), nil
}

type authority string

func (a authority) Certificate() []byte { return []byte(a) }

func (a authority) PEM() string { return "CA" }

func (a authority) Issue(m Member, now time.Time) (Identity, error) {
	sum := sha256.Sum256([]byte(m.Name + m.Group + m.Addr.String() + rand.Text()))
	return Identity{
		Cert: m.Group + " " + m.Name + " " + m.Addr.String(), Key: rand.Text(), Fingerprint: sum[:], NotAfter: now.Add(m.Validity),
	}, nil
}
