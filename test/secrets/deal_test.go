// Package secrets tries the secrets of VMs on their whole way: dealt by tenants, kept by real keepers, collected by a
// miner, and wanted by thieves in between.
package secrets

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/cli/connect"
	"github.com/hippius/compute/core/committee"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/peer"
	"github.com/hippius/compute/internal/sealbox"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/internal/wallet"
	"github.com/hippius/compute/miner/secrets"
	"github.com/hippius/compute/sentinel/keeper"
	"github.com/hippius/compute/tenant"
)

const chainID = "test-1"

// network is a committee of real keepers on loopback, and the chain they and a miner look at.
type network struct {
	mu        sync.Mutex
	vms       map[vm.ID]*vm.VM
	miner     node.Miner
	committee node.Committee
	stops     []func()
}

func (n *network) find(id vm.ID) *vm.VM {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.vms[id]
}

// keeperView is the network as keepers see it, minerView as a miner does.
type keeperView struct{ *network }

func (n keeperView) VM(_ context.Context, id vm.ID) (vm.VM, bool, error) {
	if v := n.find(id); v != nil {
		return *v, true, nil
	}
	return vm.VM{}, false, nil
}

func (n keeperView) Miner(context.Context, string) (node.Miner, error) { return n.miner, nil }

func (n keeperView) MayCreate(context.Context, string) (int, error) { return math.MaxInt, nil }

func (n keeperView) CommitteeOf(_ context.Context, epoch uint64) (node.Committee, bool, error) {
	return n.committee, epoch == n.committee.Epoch, nil
}

func (n keeperView) Time(context.Context) (time.Time, error) { return time.Now(), nil }

type minerView struct{ *network }

func (n minerView) VM(_ context.Context, id vm.ID) (vm.VM, error) {
	if v := n.find(id); v != nil {
		return *v, nil
	}
	return vm.VM{}, errors.New("no such VM")
}

func (n minerView) CommitteeOf(context.Context, uint64) (node.Committee, error) {
	return n.committee, nil
}

// newNetwork starts n keepers with a share each, two thirds of which open a secret.
func newNetwork(t *testing.T, n int, minerKey ed25519.PrivateKey) *network {
	t.Helper()
	return newCommittee(t, minerKey, slices.Repeat([]int{1}, n)...)
}

// newCommittee starts keepers with so many shares.
func newCommittee(t *testing.T, minerKey ed25519.PrivateKey, shares ...int) *network {
	t.Helper()
	w := &network{
		vms: map[vm.ID]*vm.VM{}, committee: node.Committee{Epoch: 7},
		miner: node.Miner{Operator: "miner-1", Offer: node.Offer{Identity: pub(minerKey)}},
	}
	for i, held := range shares {
		id := newKey(t)
		sealing, err := sealbox.NewKey()
		require.NoError(t, err)
		db, err := store.Open(filepath.Join(t.TempDir(), "keeper.db"))
		require.NoError(t, err)
		s := peer.NewServer(id)
		keeperv1.RegisterKeeperServer(s, keeper.New(keeper.Config{
			ChainID: chainID, Identity: id, Sealing: sealing, DB: db, Chain: keeperView{w}, Limits: keeper.DefaultLimits(),
			Now: time.Now, Log: slog.New(slog.DiscardHandler),
		}))
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's listener
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() { done <- s.Serve(l) }()
		stop := sync.OnceFunc(func() {
			s.Stop()
			require.NoError(t, <-done)
			require.NoError(t, db.Close())
		})
		t.Cleanup(stop)
		w.stops = append(w.stops, stop)
		w.committee.Keepers = append(w.committee.Keepers, node.Keeper{
			Operator: fmt.Sprint("operator-", i), Name: fmt.Sprint("keeper-", i), Identity: pub(id), HPKEKey: sealing.Public(), Endpoint: l.Addr().String(),
			Shares: held,
		})
	}
	w.committee.Threshold = uint32(committee.Threshold(w.committee.Shares()))
	return w
}

// order puts a dealt VM on chain, held by the miner at instance seq.
func (n *network) order(w *wallet.Wallet, d tenant.Dealt, u tenant.UserData, seq uint32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.vms[d.VMID] = &vm.VM{
		ID: d.VMID, Owner: w.Address(), Spec: vm.Spec{UserDataHash: u.Hash()}, Instances: d.Instances,
		Status: vm.Status{Phase: vm.Provisioning, Miner: "miner-1", InstanceSeq: seq},
	}
}

func (n *network) collector(key ed25519.PrivateKey) *secrets.Collector {
	return secrets.New(secrets.Config{
		ChainID: chainID, Chain: minerView{n}, Dial: secrets.NewPeers(key), Log: slog.New(slog.DiscardHandler),
		Timeout: 2 * time.Second, Pause: 20 * time.Millisecond,
	})
}

// bundles makes bundles and remembers them.
type bundles struct {
	vmID vm.ID
	made map[uint32]instance.Bundle
}

func (b *bundles) make(seq uint32) (instance.Bundle, tenant.Public, error) {
	out := instance.Bundle{
		VMID: b.vmID, Seq: seq, ProofKey: random(32), DiskKey: random(32), CheckpointKey: random(32),
		MeshCA: "ca", MeshCert: "cert", MeshKey: "key", SSHHostKey: "host key", SSHHostCert: "host cert",
	}
	b.made[seq] = out
	return out, tenant.Public{GuestKey: pub(ed25519.NewKeyFromSeed(out.ProofKey)), MeshFingerprint: random(32)}, nil
}

// party is a tenant with one VM.
type party struct {
	wallet *wallet.Wallet
	client *tenant.Client
	nonce  []byte
	vmID   vm.ID
	made   *bundles
}

func newParty(t *testing.T, keepers tenant.Keepers) *party {
	t.Helper()
	w, err := wallet.FromKey(random(32))
	require.NoError(t, err)
	out := &party{wallet: w, client: tenant.New(tenant.Config{ChainID: chainID, Wallet: w, Keepers: keepers, Now: time.Now}), nonce: random(16)}
	out.vmID, err = vm.NewID(w.Address(), out.nonce)
	require.NoError(t, err)
	out.made = &bundles{vmID: out.vmID, made: map[uint32]instance.Bundle{}}
	return out
}

func (a *party) order(n *network, first uint32, count int, u tenant.UserData) tenant.Deal {
	return tenant.Deal{Nonce: a.nonce, First: first, Count: count, Committee: n.committee, Bundle: a.made.make, UserData: u}
}

// Secrets dealt to a committee come back whole to the miner that holds the VM, with keepers missing up to the bound.
func TestDealAndCollect(t *testing.T) {
	for _, keepers := range []int{1, 4} {
		t.Run(fmt.Sprint(keepers, " keepers"), func(t *testing.T) {
			miner := newKey(t)
			n := newNetwork(t, keepers, miner)
			peers, err := connect.NewKeepers()
			require.NoError(t, err)
			a := newParty(t, peers)
			u, err := tenant.SealUserData(chainID, a.wallet.Address(), a.vmID, random(32), []byte("#cloud-config\n"))
			require.NoError(t, err)
			d, err := a.client.Deal(t.Context(), a.order(n, 1, tenant.FirstDeal, u))
			require.NoError(t, err)
			require.Equal(t, a.vmID, d.VMID)
			require.Empty(t, d.Missing)
			require.Len(t, d.Instances, tenant.FirstDeal)
			for _, i := range d.Instances {
				require.Len(t, i.Receipts, keepers)
			}

			n.order(a.wallet, d, u, 2)
			for range keepers - int(n.committee.Threshold) {
				n.stops[0]()
				n.stops = n.stops[1:]
			}
			for seq := uint32(1); seq <= 2; seq++ {
				got, userData, err := n.collector(miner).Collect(t.Context(), a.vmID, seq)
				require.NoError(t, err)
				want := a.made.made[seq]
				want.Version, want.UserDataKey = got.Version, u.Key
				require.Equal(t, want, got)
				require.Equal(t, "#cloud-config\n", string(userData))
			}
			_, _, err = n.collector(miner).Collect(t.Context(), a.vmID, 3)
			require.ErrorIs(t, err, secrets.ErrTooFew, "the instance after the current one")
			_, _, err = n.collector(newKey(t)).Collect(t.Context(), a.vmID, 1)
			require.ErrorIs(t, err, secrets.ErrTooFew, "a miner that does not hold the VM")
			require.ErrorContains(t, err, "not held by this miner")
			_, _, err = n.collector(miner).Collect(t.Context(), a.vmID, 9)
			require.ErrorIs(t, err, secrets.ErrNoInstance)

			n.stops[0]()
			_, _, err = n.collector(miner).Collect(t.Context(), a.vmID, 1)
			require.ErrorIs(t, err, secrets.ErrTooFew, "one keeper too few")
		})
	}
}

// The miner may ask before every keeper's node has seen its report.
func TestCollectWaitsForTheChain(t *testing.T) {
	miner := newKey(t)
	n := newNetwork(t, 1, miner)
	peers, err := connect.NewKeepers()
	require.NoError(t, err)
	a := newParty(t, peers)
	d, err := a.client.Deal(t.Context(), a.order(n, 1, 1, tenant.UserData{}))
	require.NoError(t, err)
	n.order(a.wallet, d, tenant.UserData{}, 1)
	n.vms[a.vmID].Status.Phase = vm.Assigned
	time.AfterFunc(200*time.Millisecond, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.vms[a.vmID] = &vm.VM{
			ID: a.vmID, Owner: a.wallet.Address(), Spec: vm.Spec{}, Instances: d.Instances,
			Status: vm.Status{Phase: vm.Provisioning, Miner: "miner-1", InstanceSeq: 1},
		}
	})
	_, _, err = n.collector(miner).Collect(t.Context(), a.vmID, 1)
	require.NoError(t, err)
}

func TestTopUp(t *testing.T) {
	miner := newKey(t)
	n := newNetwork(t, 1, miner)
	peers, err := connect.NewKeepers()
	require.NoError(t, err)
	a := newParty(t, peers)
	u, err := tenant.SealUserData(chainID, a.wallet.Address(), a.vmID, random(32), []byte("#cloud-config\n"))
	require.NoError(t, err)
	d, err := a.client.Deal(t.Context(), a.order(n, 1, 2, u))
	require.NoError(t, err)
	n.order(a.wallet, d, u, 3)
	// The key alone is enough: keepers have the user data.
	more, err := a.client.Deal(t.Context(), a.order(n, 3, 4, tenant.UserData{Key: u.Key}))
	require.NoError(t, err)
	require.Equal(t, uint32(3), more.Instances[0].Seq)
	n.mu.Lock()
	n.vms[a.vmID].Instances = append(n.vms[a.vmID].Instances, more.Instances...)
	n.mu.Unlock()
	got, userData, err := n.collector(miner).Collect(t.Context(), a.vmID, 3)
	require.NoError(t, err)
	require.Equal(t, a.made.made[3].DiskKey, got.DiskKey)
	require.Equal(t, "#cloud-config\n", string(userData))
}

func TestDealWithKeepersMissing(t *testing.T) {
	n := newNetwork(t, 4, newKey(t))
	peers, err := connect.NewKeepers()
	require.NoError(t, err)
	a := newParty(t, peers)
	n.stops[2]()
	d, err := a.client.Deal(t.Context(), a.order(n, 1, 2, tenant.UserData{}))
	require.NoError(t, err)
	require.Len(t, d.Missing, 1)
	require.Equal(t, "keeper-2", d.Missing[0].Name)
	require.Len(t, d.Instances[0].Receipts, 3)
	n.stops[0]()
	_, err = a.client.Deal(t.Context(), a.order(n, 1, 2, tenant.UserData{}))
	require.ErrorIs(t, err, tenant.ErrTooFewKeepers)
	require.ErrorContains(t, err, "keeper keeper-0")
}

// change makes a liar that only changes.
func change(fn func(*keeperv1.DealResponse)) liar {
	return func(r *keeperv1.DealResponse) error {
		fn(r)
		return nil
	}
}

// lying answers with what it is given instead of asking.
type lying struct {
	keeperv1.KeeperClient
	lie liar
}

// liar changes a good answer, or refuses it.
type liar func(*keeperv1.DealResponse) error

func (l lying) Deal(ctx context.Context, r *keeperv1.DealRequest, opts ...grpc.CallOption) (*keeperv1.DealResponse, error) {
	resp, err := l.KeeperClient.Deal(ctx, r, opts...)
	if err != nil {
		return nil, err
	}
	return resp, l.lie(resp)
}

type lyingDialer struct {
	*connect.Keepers
	lie liar
}

func (l lyingDialer) Keeper(k node.Keeper) (keeperv1.KeeperClient, func(), error) {
	c, release, err := l.Keepers.Keeper(k)
	return lying{c, l.lie}, release, err
}

func TestDealBelievesOnlyGoodReceipts(t *testing.T) {
	n := newNetwork(t, 1, newKey(t))
	peers, err := connect.NewKeepers()
	require.NoError(t, err)
	tries := 0
	for name, lie := range map[string]liar{
		"receipt for instance 2 is not valid": change(func(r *keeperv1.DealResponse) { r.Receipts = r.Receipts[:1] }),
		"receipt for instance 1 is not valid": change(func(r *keeperv1.DealResponse) { r.Receipts[0].Signature[3] ^= 1 }),
		"asleep": func(*keeperv1.DealResponse) error {
			tries++
			return status.Error(codes.Unavailable, "asleep")
		},
	} {
		a := newParty(t, lyingDialer{peers, lie})
		_, err := a.client.Deal(t.Context(), a.order(n, 1, 2, tenant.UserData{}))
		require.ErrorIs(t, err, tenant.ErrTooFewKeepers)
		require.ErrorContains(t, err, name)
	}
	require.Equal(t, 3, tries)
	a := newParty(t, lyingDialer{peers, change(func(r *keeperv1.DealResponse) {
		r.Receipts[0], r.Receipts[1] = r.Receipts[1], r.Receipts[0] // their order does not matter
	})})
	_, err = a.client.Deal(t.Context(), a.order(n, 1, 2, tenant.UserData{}))
	require.NoError(t, err)
}

func TestDealRefuses(t *testing.T) {
	peers, err := connect.NewKeepers()
	require.NoError(t, err)
	a := newParty(t, peers)
	sealing, err := sealbox.NewKey()
	require.NoError(t, err)
	n := &network{committee: node.Committee{Threshold: 1, Keepers: []node.Keeper{{HPKEKey: sealing.Public(), Identity: random(32), Shares: 1}}}}
	for want, alter := range map[string]func(*tenant.Deal){
		"nonce":               func(o *tenant.Deal) { o.Nonce = nil },
		"first instance is 1": func(o *tenant.Deal) { o.First = 0 },
		"1 to 16":             func(o *tenant.Deal) { o.Count = 17 },
		"0 instances":         func(o *tenant.Deal) { o.Count = 0 },
		"2 of 1 shares":       func(o *tenant.Deal) { o.Committee = node.Committee{Threshold: 2, Keepers: n.committee.Keepers} },
		"no keepers yet":      func(o *tenant.Deal) { o.Committee = node.Committee{Threshold: 1} },
		"sealed user data":    func(o *tenant.Deal) { o.UserData.Sealed = make([]byte, instance.MaxSealedUserData+1) },
		"instance 1: no bundle": func(o *tenant.Deal) {
			o.Bundle = func(uint32) (instance.Bundle, tenant.Public, error) {
				return instance.Bundle{}, tenant.Public{}, errors.New("no bundle")
			}
		},
		"seal to keeper": func(o *tenant.Deal) {
			o.Committee = node.Committee{Threshold: 1, Keepers: []node.Keeper{{HPKEKey: []byte{1}, Shares: 1}}}
		},
	} {
		o := a.order(n, 1, 1, tenant.UserData{})
		alter(&o)
		_, err := a.client.Deal(t.Context(), o)
		require.ErrorContains(t, err, want)
	}
	_, err = tenant.SealUserData(chainID, "o", "v", random(32), make([]byte, instance.MaxUserData+1))
	require.Error(t, err)
	u, err := tenant.SealUserData(chainID, "o", "v", random(32), nil)
	require.NoError(t, err)
	require.Nil(t, u.Hash())
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

func pub(key ed25519.PrivateKey) ed25519.PublicKey {
	return ed25519.PublicKey(bytes.Clone(key[ed25519.SeedSize:]))
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
