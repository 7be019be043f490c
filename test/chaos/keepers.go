package chaos

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	keeperv1 "github.com/hippius/compute/api/node/keeper/v1"
	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/peer"
	"github.com/hippius/compute/internal/sealbox"
	"github.com/hippius/compute/internal/store"
	"github.com/hippius/compute/sentinel/keeper"
)

// keepers there are; two of the three open a secret.
const keepers = 3

// keeperHost is a keeper's server: what is on its disk, and the process if it runs.
type keeperHost struct {
	w        *world
	name     string
	identity ed25519.PrivateKey
	sealing  *sealbox.Key
	path     string
	db       *store.DB
	svc      *keeper.Keeper // nil while it is down
}

func newKeeper(w *world, i int) (*keeperHost, error) {
	sealing, err := sealbox.NewKey()
	if err != nil {
		return nil, err
	}
	return &keeperHost{
		w: w, name: fmt.Sprintf("keeper%d", i), identity: key(fmt.Sprintf("keeper%d", i)), sealing: sealing,
		path: filepath.Join(w.dir, fmt.Sprintf("keeper%d.db", i)),
	}, nil
}

func (k *keeperHost) start() error {
	var err error
	if k.db, err = store.Open(k.path); err != nil {
		return err
	}
	k.svc = keeper.New(keeper.Config{
		ChainID: k.w.chain.client(k.name, false).ChainID(), Identity: k.identity, Sealing: k.sealing, DB: k.db,
		Chain: keeperView{k.w.chain.client(k.name, false)}, Limits: keeper.DefaultLimits(), Now: time.Now,
		Log: slog.New(slog.DiscardHandler),
	})
	return nil
}

func (k *keeperHost) stop() error {
	k.svc = nil
	return k.db.Close()
}

// keeperView is the chain as a keeper asks it.
type keeperView struct{ *client.Client }

// VM implements keeper.Chain.
func (v keeperView) VM(ctx context.Context, id vm.ID) (vm.VM, bool, error) {
	got, err := v.Client.VM(ctx, id)
	if errors.Is(err, client.ErrNotFound) {
		return vm.VM{}, false, nil
	}
	return got, err == nil, err
}

// CommitteeOf implements keeper.Chain.
func (v keeperView) CommitteeOf(ctx context.Context, epoch uint64) (node.Committee, bool, error) {
	got, err := v.Client.CommitteeOf(ctx, epoch)
	if errors.Is(err, client.ErrNotFound) {
		return node.Committee{}, false, nil
	}
	return got, err == nil, err
}

// MayCreate implements keeper.Chain.
func (v keeperView) MayCreate(ctx context.Context, owner string) (int, error) {
	p, err := v.Params(ctx)
	if err != nil {
		return 0, err
	}
	b, err := v.Balance(ctx, owner)
	return int((b.Ucredit + b.FeesSincePurchase) / max(p.MinCreateUcredit, 1)), err
}

// Time implements keeper.Chain.
func (v keeperView) Time(ctx context.Context) (time.Time, error) {
	h, err := v.Head(ctx)
	return time.Unix(h.Time, 0), err
}

// dialer reaches keepers as one program, which proves a key.
type dialer struct {
	w   *world
	who string
	key ed25519.PrivateKey
}

// Key implements tenancy.Keepers.
func (d dialer) Key() ed25519.PublicKey { return public(d.key) }

// Keeper implements tenancy.Keepers and secrets.Dialer.
func (d dialer) Keeper(k node.Keeper) (keeperv1.KeeperClient, func(), error) {
	for _, h := range d.w.keepers {
		if h.name == k.Name {
			return keeperLine{dialer: d, to: h}, func() {}, nil
		}
	}
	return nil, nil, fmt.Errorf("keeper %q is nowhere", k.Name)
}

// keeperLine is a connection to a keeper. What a call did may be lost on its way back.
type keeperLine struct {
	dialer
	to *keeperHost
}

func call[Q, R any](ctx context.Context, l keeperLine, what string, q *Q, f func(keeperv1.KeeperServer, context.Context, *Q) (*R, error)) (*R, error) {
	l.w.observe()
	svc := l.to.svc
	if svc == nil || !l.w.reach(l.who, l.to.name) {
		return nil, status.Error(codes.Unavailable, "no route to the keeper")
	}
	r, err := f(svc, peer.InProcess(ctx, l.key), q)
	l.w.observe()
	if l.w.chance.word(l.who, l.to.name, what, time.Now().UnixNano()) < l.w.chain.lost/2 {
		return nil, status.Error(codes.Unavailable, "the connection broke")
	}
	return r, err
}

// Deal implements keeperv1.KeeperClient.
func (l keeperLine) Deal(ctx context.Context, q *keeperv1.DealRequest, _ ...grpc.CallOption) (*keeperv1.DealResponse, error) {
	return call(ctx, l, "deal", q, keeperv1.KeeperServer.Deal)
}

// Release implements keeperv1.KeeperClient.
func (l keeperLine) Release(ctx context.Context, q *keeperv1.ReleaseRequest, _ ...grpc.CallOption) (*keeperv1.ReleaseResponse, error) {
	return call(ctx, l, "release", q, keeperv1.KeeperServer.Release)
}

// OwnerRelease implements keeperv1.KeeperClient.
func (l keeperLine) OwnerRelease(ctx context.Context, q *keeperv1.OwnerReleaseRequest, _ ...grpc.CallOption) (*keeperv1.ReleaseResponse, error) {
	return call(ctx, l, "owner", q, keeperv1.KeeperServer.OwnerRelease)
}

// Log implements keeperv1.KeeperClient.
func (l keeperLine) Log(ctx context.Context, q *keeperv1.LogRequest, _ ...grpc.CallOption) (*keeperv1.LogResponse, error) {
	return call(ctx, l, "log", q, keeperv1.KeeperServer.Log)
}
