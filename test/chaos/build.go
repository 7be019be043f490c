package chaos

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/plan"
)

const bond = 1_000_000_000

// build makes the network: its chain, keepers, miners and tenants.
func (w *world) build(ctx context.Context, t testing.TB) error {
	t.Helper()
	w.every = w.chance.between(1, 4)
	w.ill, w.lively = 2+w.chance.IntN(12), 3+w.chance.IntN(10)
	miners, renters := 2+w.chance.IntN(3), 2+w.chance.IntN(2)
	for i := range keepers {
		k, err := newKeeper(w, i)
		if err != nil {
			return err
		}
		w.keepers = append(w.keepers, k)
	}
	var funds []apptest.Funds
	for i := range miners {
		funds = append(funds, apptest.Funds{Name: fmt.Sprintf("miner%d", i), Uhip: 10 * bond, Ucredit: 20_000_000})
	}
	for i := range renters {
		credits := uint64(100_000_000)
		if i > 0 { // enough for some minutes
			credits = 60_000 + w.chance.Uint64N(200_000)
		}
		funds = append(funds, apptest.Funds{Name: fmt.Sprintf("tenant%d", i), Uhip: bond, Ucredit: credits})
	}
	for _, f := range funds {
		w.purses = append(w.purses, apptest.Named(f.Name).Address)
	}
	w.chain = newChain(w, apptest.New(t, apptest.Options{Accounts: funds, Validators: keepers, Genesis: w.genesis}))
	w.chain.liar = w.chance.word("liar") % (nodes + 1)
	w.god = w.chain.client("god", true)
	w.supply = w.chain.Supply()
	for _, k := range w.keepers {
		if err := k.start(); err != nil {
			return err
		}
	}
	for i := range miners {
		h, err := newHost(w, i)
		if err != nil {
			return err
		}
		w.hosts = append(w.hosts, h)
	}
	for i := range renters {
		r, err := newTenant(w, fmt.Sprintf("tenant%d", i))
		if err != nil {
			return err
		}
		w.tenants = append(w.tenants, r)
	}
	return w.register(ctx)
}

func (w *world) genesis(g *app.Genesis) {
	g.Overrides = prices()
	sum := sha256.Sum256([]byte("tiny"))
	g.Images = []plan.Image{{
		Name: "tiny", OS: "tiny", Version: "1", URLs: []string{"https://images.example/tiny"}, SHA256: sum[:], Format: "qcow2",
		SizeBytes: 1 << 20, VirtualSizeBytes: 1 << 30, Arch: "amd64", User: "hippius",
	}}
	for i, k := range w.keepers {
		g.Keepers = append(g.Keepers, app.GenesisKeeper{
			Operator: apptest.Operator(i).Address, Identity: public(k.identity), HPKEKey: k.sealing.Public(), Endpoint: "127.0.0.1:7000", Name: k.name,
		})
	}
}

// register puts miners and tenants on chain while nothing goes wrong.
func (w *world) register(ctx context.Context) error {
	var mu sync.Mutex
	var errs error
	for _, h := range w.hosts {
		offer := node.Offer{
			Name: h.name, Identity: public(h.identity), Roles: []string{node.RoleCompute}, Endpoint: h.name + ".example:7070", Region: "eu",
			Capacity: node.Capacity{Cores: uint32(1 + w.chance.IntN(3)), MemoryMiB: 16 << 10, DiskGiB: 200}, //nolint:gosec // up to 3
			Hardware: node.Hardware{Arch: "amd64", Acceleration: "tcg", CPUModel: "test", DiskWriteBytesPerSecond: 1},
		}
		w.tasks.Go(func() {
			c := w.chain.client(h.name, false)
			err := c.NewSender(h.wallet).RegisterMiner(ctx, offer, bond)
			mu.Lock()
			defer mu.Unlock()
			errs = errors.Join(errs, err)
		})
	}
	for _, t := range w.tenants {
		w.tasks.Go(func() {
			err := t.join(ctx)
			mu.Lock()
			defer mu.Unlock()
			errs = errors.Join(errs, err)
		})
	}
	for range 20 {
		w.pass(time.Second)
		if err := w.makeBlock(ctx); err != nil {
			return err
		}
	}
	w.turn.Add(1)
	w.tasks.Wait()
	for _, h := range w.hosts {
		errs = errors.Join(errs, h.start())
	}
	return errs
}
