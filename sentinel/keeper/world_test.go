package keeper

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"math"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	grantv1 "github.com/hippius/compute/api/node/grant/v1"
	"github.com/hippius/compute/api/node/grants"
	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/core/grant"
	"github.com/hippius/compute/core/instance"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/peer"
	"github.com/hippius/compute/internal/sealbox"
	"github.com/hippius/compute/internal/secretshare"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/internal/wallet"
)

const chainID = "test-1"

// chainState is a small chain that tests change as they like.
type chainState struct {
	mu        sync.Mutex
	vms       map[vm.ID]*vm.VM
	miners    map[string]node.Miner
	poor      map[string]bool
	covers    map[string]int // VMs that a balance does for, where it is not without end
	committee node.Committee
	time      time.Time
	down      bool
}

var errDown = errors.New("node away")

func (c *chainState) lock() (func(), error) {
	c.mu.Lock()
	if c.down {
		c.mu.Unlock()
		return nil, errDown
	}
	return c.mu.Unlock, nil
}

func (c *chainState) VM(_ context.Context, id vm.ID) (vm.VM, bool, error) {
	unlock, err := c.lock()
	if err != nil {
		return vm.VM{}, false, err
	}
	defer unlock()
	v, ok := c.vms[id]
	if !ok {
		return vm.VM{}, false, nil
	}
	return *v, true, nil
}

func (c *chainState) Miner(_ context.Context, operator string) (node.Miner, error) {
	unlock, err := c.lock()
	if err != nil {
		return node.Miner{}, err
	}
	defer unlock()
	m, ok := c.miners[operator]
	if !ok {
		return node.Miner{}, errors.New("no such miner")
	}
	return m, nil
}

func (c *chainState) MayCreate(_ context.Context, owner string) (int, error) {
	unlock, err := c.lock()
	if err != nil {
		return 0, err
	}
	defer unlock()
	switch n, ok := c.covers[owner]; {
	case c.poor[owner]:
		return 0, nil
	case ok:
		return n, nil
	}
	return math.MaxInt, nil
}

func (c *chainState) CommitteeOf(_ context.Context, epoch uint64) (node.Committee, bool, error) {
	unlock, err := c.lock()
	if err != nil {
		return node.Committee{}, false, err
	}
	defer unlock()
	return c.committee, epoch == c.committee.Epoch, nil
}

func (c *chainState) Time(context.Context) (time.Time, error) {
	unlock, err := c.lock()
	if err != nil {
		return time.Time{}, err
	}
	defer unlock()
	return c.time, nil
}

func (c *chainState) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}

// world is one keeper, second of a committee of three with threshold two, on a loopback port, a chain, an owner with a
// VM nonce, and a miner.
type world struct {
	t       testing.TB
	chain   *chainState
	limits  Limits
	path    string
	db      *store.DB
	keeper  *Keeper
	addr    string
	id      ed25519.PrivateKey
	sealing *sealbox.Key
	owner   *wallet.Wallet
	nonce   []byte
	vmID    vm.ID
	client  ed25519.PrivateKey
	miner   ed25519.PrivateKey
	stop    func()
}

func newWorld(t testing.TB, change ...func(*Limits)) *world {
	t.Helper()
	limits := DefaultLimits()
	for _, c := range change {
		c(&limits)
	}
	sealing, err := sealbox.NewKey()
	require.NoError(t, err)
	w := &world{
		t: t, limits: limits, path: filepath.Join(t.TempDir(), "keeper.db"),
		id: newKey(t), client: newKey(t), miner: newKey(t), sealing: sealing, owner: newWallet(t), nonce: random(16),
		chain: &chainState{vms: map[vm.ID]*vm.VM{}, miners: map[string]node.Miner{}, poor: map[string]bool{}, covers: map[string]int{}, time: time.Now()},
	}
	w.chain.committee = node.Committee{Epoch: 4, Threshold: 2, Keepers: []node.Keeper{
		{Identity: pub(newKey(t)), HPKEKey: sealing.Public(), Shares: 1},
		{Identity: pub(w.id), HPKEKey: sealing.Public(), Shares: 1},
		{Identity: pub(newKey(t)), HPKEKey: sealing.Public(), Shares: 1},
	}}
	w.chain.miners["miner-1"] = node.Miner{Operator: "miner-1", Offer: node.Offer{Identity: pub(w.miner)}}
	w.vmID, err = vm.NewID(w.owner.Address(), w.nonce)
	require.NoError(t, err)
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

// start opens the database and serves; stop ends it, and start again is a restart.
func (w *world) start() {
	w.t.Helper()
	db, err := store.Open(w.path, Migrations()...)
	require.NoError(w.t, err)
	w.db = db
	w.keeper = New(Config{
		ChainID: chainID, Identity: w.id, Sealing: w.sealing, DB: db, Chain: w.chain, Limits: w.limits,
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	s := peer.NewServer(w.id)
	keeperv1.RegisterKeeperServer(s, w.keeper)
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a test's listener
	require.NoError(w.t, err)
	w.addr = l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	w.stop = func() {
		s.Stop()
		require.NoError(w.t, <-done)
		require.NoError(w.t, db.Close())
	}
}

// as is the service seen by the holder of a key.
func (w *world) as(key ed25519.PrivateKey) keeperv1.KeeperClient {
	w.t.Helper()
	conn, err := peer.NewClient(w.addr, key, pub(w.id))
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	return keeperv1.NewKeeperClient(conn)
}

func (w *world) grant(purpose grant.Purpose, change ...func(*grant.Grant)) *grantv1.Grant {
	w.t.Helper()
	g := grant.Grant{
		Purpose: purpose, ChainID: chainID, VMID: w.vmID, Audience: pub(w.id), ClientKey: pub(w.client),
		ExpiresAt: time.Now().Add(time.Minute).Unix(),
	}
	for _, c := range change {
		c(&g)
	}
	out, err := grants.Sign(w.owner, g)
	require.NoError(w.t, err)
	return out
}

// dealt is one instance as the dealer knows it.
type dealt struct {
	wire   *keeperv1.DealtInstance
	secret secretshare.Secret
	shares []secretshare.Share
	record vm.Instance
}

// instance deals one: the shares of the committee's second member, sealed to this keeper for this place.
func (w *world) instance(seq uint32) dealt {
	w.t.Helper()
	c := w.chain.committee
	secret, shares, commitment, err := secretshare.Deal(int(c.Threshold), c.Shares())
	require.NoError(w.t, err)
	rawC, err := commitment.MarshalBinary()
	require.NoError(w.t, err)
	bundle := random(500)
	hc, hb := sha256.Sum256(rawC), sha256.Sum256(bundle)
	return dealt{
		secret: secret, shares: shares,
		wire: &keeperv1.DealtInstance{
			Seq: seq, Commitment: rawC, SealedBundle: bundle,
			SealedShares: w.sealAll(shares[c.Keepers[0].Shares:][:c.Keepers[1].Shares], instance.ShareAAD(chainID, w.owner.Address(), w.vmID, seq, pub(w.id), 4)),
		},
		record: vm.Instance{Seq: seq, CommitmentHash: hc[:], BundleHash: hb[:], CommitteeEpoch: 4},
	}
}

func (w *world) seal(s secretshare.Share, aad []byte) []byte {
	w.t.Helper()
	return w.sealAll([]secretshare.Share{s}, aad)
}

func (w *world) sealAll(shares []secretshare.Share, aad []byte) []byte {
	w.t.Helper()
	raw, err := secretshare.MarshalShares(shares)
	require.NoError(w.t, err)
	box, err := sealbox.Seal(w.sealing.Public(), instance.ShareInfo, aad, raw)
	require.NoError(w.t, err)
	return box
}

func (w *world) request(list ...dealt) *keeperv1.DealRequest {
	w.t.Helper()
	r := &keeperv1.DealRequest{Grant: w.grant(grant.Deal), Owner: w.owner.Address(), Nonce: w.nonce, CommitteeEpoch: 4}
	for _, d := range list {
		r.Instances = append(r.Instances, d.wire)
	}
	return r
}

func (w *world) deal(list ...dealt) error {
	w.t.Helper()
	_, err := w.as(w.client).Deal(w.t.Context(), w.request(list...))
	return err
}

// hand deals without a connection, for tests that deal as many.
func (w *world) hand(list ...dealt) error {
	w.t.Helper()
	_, err := w.keeper.Deal(peer.InProcess(w.t.Context(), w.client), w.request(list...))
	return err
}

// order puts the VM on chain, held by miner-1, provisioning instance 1.
func (w *world) order(list ...dealt) *vm.VM {
	v := &vm.VM{
		ID: w.vmID, Owner: w.owner.Address(),
		Status: vm.Status{Phase: vm.Provisioning, Miner: "miner-1", InstanceSeq: 1},
	}
	for _, d := range list {
		v.Instances = append(v.Instances, d.record)
	}
	w.chain.mu.Lock()
	defer w.chain.mu.Unlock()
	w.chain.vms[w.vmID] = v
	return v
}

func (w *world) release(key ed25519.PrivateKey, seq uint32) (*keeperv1.ReleaseResponse, error) {
	w.t.Helper()
	return w.as(key).Release(w.t.Context(), &keeperv1.ReleaseRequest{VmId: string(w.vmID), Seq: seq})
}

func (w *world) holds() bool {
	w.t.Helper()
	_, ok, err := w.keeper.vault.holding(w.vmID)
	require.NoError(w.t, err)
	return ok
}

func requireCode(t *testing.T, err error, want codes.Code, sentence string) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, want, status.Code(err), "%v", err)
	require.ErrorContains(t, err, sentence)
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

func newWallet(t testing.TB) *wallet.Wallet {
	t.Helper()
	w, err := wallet.FromKey(random(32))
	require.NoError(t, err)
	return w
}

func pub(key ed25519.PrivateKey) ed25519.PublicKey { return ed25519.PublicKey(key[ed25519.SeedSize:]) }

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
