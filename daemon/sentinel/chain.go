package sentinel

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hippius/compute/chain/client"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/wallet"
)

const (
	// paramsAge is how old the minimum to create a VM may be.
	paramsAge = time.Minute
	// staleAfter is when a sentinel that hears nothing of the chain calls itself not ready.
	staleAfter = 2 * time.Minute
)

// view is the chain as the keeper sees it.
type view struct {
	*client.Client
	now   func() time.Time
	heard atomic.Int64 // unix second of the last block time asked for with success

	mu        sync.Mutex
	minCreate uint64
	readAt    time.Time
}

func newView(c *client.Client, now func() time.Time) *view { return &view{Client: c, now: now} }

// VM by id, and whether there is one.
func (v *view) VM(ctx context.Context, id vm.ID) (vm.VM, bool, error) {
	got, err := v.Client.VM(ctx, id)
	if errors.Is(err, client.ErrNotFound) {
		return vm.VM{}, false, nil
	}
	return got, err == nil, err
}

// CommitteeOf an epoch, and whether the chain knows it.
func (v *view) CommitteeOf(ctx context.Context, epoch uint64) (node.Committee, bool, error) {
	got, err := v.Client.CommitteeOf(ctx, epoch)
	if errors.Is(err, client.ErrNotFound) {
		return node.Committee{}, false, nil
	}
	return got, err == nil, err
}

// MayCreate says for how many VMs together the account's balance reaches what the chain asks for at a creation. The
// chain takes nothing of it; a keeper sets it aside for each VM that it holds shares of and that is not ordered.
func (v *view) MayCreate(ctx context.Context, owner string) (int, error) {
	least, err := v.least(ctx)
	if err != nil {
		return 0, err
	}
	b, err := v.Balance(ctx, owner)
	if err != nil {
		return 0, err
	}
	if least == 0 {
		return math.MaxInt, nil
	}
	have := b.Ucredit + min(b.FeesSincePurchase, math.MaxUint64-b.Ucredit)
	return int(min(have/least, math.MaxInt)), nil
}

func (v *view) least(ctx context.Context) (uint64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := v.now(); v.readAt.IsZero() || now.Sub(v.readAt) > paramsAge {
		p, err := v.Params(ctx)
		if err != nil {
			return 0, err
		}
		v.minCreate, v.readAt = p.MinCreateUcredit, now
	}
	return v.minCreate, nil
}

// Time of the newest block.
func (v *view) Time(ctx context.Context) (time.Time, error) {
	h, err := v.Head(ctx)
	if err != nil {
		return time.Time{}, err
	}
	v.heard.Store(v.now().Unix())
	return time.Unix(h.Time, 0), nil
}

func (v *view) ready() error {
	if age := v.now().Unix() - v.heard.Load(); age > int64(staleAfter.Seconds()) {
		return errors.New("no chain node answers")
	}
	return nil
}

// registerOnce registers the keeper unless the chain has it as it is.
func (s *sentinel) registerOnce(ctx context.Context) error {
	w, err := wallet.LoadPlain(s.set.Wallet)
	if err != nil {
		return fmt.Errorf("operator's wallet: %w", err)
	}
	k, err := s.chain.Keeper(ctx, w.Address())
	if err != nil && !errors.Is(err, client.ErrNotFound) {
		return err
	}
	me := node.Keeper{
		Operator: w.Address(), Name: s.set.Name, Identity: s.identity[ed25519.SeedSize:], HPKEKey: s.sealing.Public(), Endpoint: s.set.Public,
		Leaving: s.set.Leaving,
	}
	if k.Operator == me.Operator && k.Name == me.Name && k.Endpoint == me.Endpoint && k.Leaving == me.Leaving &&
		bytes.Equal(k.Identity, me.Identity) && bytes.Equal(k.HPKEKey, me.HPKEKey) {
		return nil
	}
	return s.chain.NewSender(w).RegisterKeeper(ctx, me, s.set.AbandonShares)
}
