package computetest

import (
	"testing"

	"cosmossdk.io/collections"
	sdkmath "cosmossdk.io/math"
	sdk "github.com/cosmos/cosmos-sdk/types"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	"github.com/hippius/compute/chain/x/entry"
	meshtypes "github.com/hippius/compute/chain/x/mesh/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
	"github.com/hippius/compute/core/vm"
)

// A bond that cannot be paid out stops neither the chain nor the other bonds, and is tried again an hour later.
func TestBondThatCannotBeReturned(t *testing.T) {
	w := newWorld(t, map[string]string{"registry": `{"params":{"unbonding_seconds":"60"}}`})
	first, second := w.miner("miner0"), w.miner("miner1")
	w.MustDeliver(first, &registrytypes.MsgUnbondMiner{Operator: first.Address})
	w.MustDeliver(second, &registrytypes.MsgUnbondMiner{Operator: second.Address})
	w.Break()
	// The module's account holds one bond of two, and nobody has the one that is not registered.
	half := sdk.NewCoins(sdk.NewCoin(registrytypes.Denom, sdkmath.NewInt(bond)))
	away := apptest.Named("away")
	if err := w.App.Keepers.Bank.SendCoinsFromModuleToAccount(w.Ctx(), registrytypes.ModuleName, away.Acc(), half); err != nil {
		t.Fatal(err)
	}
	w.setKey("registry", registrytypes.UnbondingPrefix(), collections.PairKeyCodec(collections.Int64Key, collections.StringKey),
		collections.Join(int64(1), apptest.Named("nobody").Address))
	w.NextBlock(61)
	w.failedEntries(2, registrytypes.ModuleName)
	gone := 0
	for _, m := range []apptest.Account{first, second} {
		if w.status(m) == registrytypes.StatusGone {
			gone++
		}
	}
	if gone != 1 {
		t.Fatalf("%d of two bonds were returned", gone)
	}
	// Not in every block, and once there are coins it is returned.
	w.NextBlock(60)
	w.failedEntries(0, registrytypes.ModuleName)
	if err := w.App.Keepers.Bank.SendCoinsFromAccountToModule(w.Ctx(), away.Acc(), registrytypes.ModuleName, half); err != nil {
		t.Fatal(err)
	}
	w.NextBlock(3600)
	w.failedEntries(0, registrytypes.ModuleName)
	if a, b := w.status(first), w.status(second); a != registrytypes.StatusGone || b != registrytypes.StatusGone {
		t.Fatalf("%v, %v", a, b)
	}
}

// A tombstone whose VM is not there stops neither the chain nor the forgetting of others.
func TestTombstoneWithoutVM(t *testing.T) {
	w := newWorld(t, nil)
	m := w.miner("miner0")
	a := w.tenant("tenant")
	id := w.create(a, "gone", func(c *computetypes.MsgCreateVM) { c.Spec.Miners = []string{m.Address} })
	w.MustDeliver(a, &computetypes.MsgTerminateVM{Owner: a.Address, VmId: id})
	w.report(w.says(id, vm.Terminated))
	w.Break()
	w.setKey("compute", computetypes.TombstonesPrefix(), collections.PairKeyCodec(collections.Int64Key, collections.StringKey),
		collections.Join(int64(1), "no-such-vm"))
	w.NextBlock(1)
	w.failedEntries(1, computetypes.ModuleName)
	w.NextBlock(7*24*3600 + 1)
	w.failedEntries(0, computetypes.ModuleName)
	if _, err := w.compute.VM(w.Ctx(), &computetypes.QueryVMRequest{Id: id}); err == nil {
		t.Error("the VM that ended is still there")
	}
}

// A head that cannot be read, the oldest or the newest, stops neither the chain nor the proofs.
func TestHeadThatCannotBeRead(t *testing.T) {
	w := newWorld(t, nil)
	w.Break()
	for _, newest := range []bool{false, true} {
		height := int64(0)
		if newest {
			height = w.Height() + 1
		}
		key, err := collections.EncodeKeyWithPrefix(computetypes.HeadsPrefix(), collections.Int64Key, height)
		if err != nil {
			t.Fatal(err)
		}
		w.Store("compute").Set(key, []byte("no head"))
		w.NextBlock(1)
		w.failedEntries(1, computetypes.ModuleName)
		w.NextBlock(1)
		w.failedEntries(0, computetypes.ModuleName)
	}
}

// So does a halt that cannot be read.
func TestHaltThatCannotBeRead(t *testing.T) {
	w := newWorld(t, nil)
	w.Break()
	key, err := collections.EncodeKeyWithPrefix(computetypes.HaltsPrefix(), collections.Int64Key, 60)
	if err != nil {
		t.Fatal(err)
	}
	w.Store("compute").Set(key, []byte("no time"))
	w.NextBlock(100)
	w.failedEntries(1, computetypes.ModuleName)
	w.NextBlock(1)
	w.failedEntries(0, computetypes.ModuleName)
}

// A block whose tenant is not there, has VMs or cannot be read stops neither the chain nor other releases.
func TestReleaseThatIsNotDue(t *testing.T) {
	w := newWorld(t, nil)
	w.miner("miner0")
	a, b := w.tenant("tenant"), w.tenant("other")
	w.create(a, "web-1")
	w.Break()
	pair := collections.PairKeyCodec(collections.Int64Key, collections.StringKey)
	for _, name := range []string{"nobody", "tenant", "unreadable"} {
		w.setKey("mesh", meshtypes.ReleasesPrefix(), pair, collections.Join(int64(1), apptest.Named(name).Address))
	}
	key, err := collections.EncodeKeyWithPrefix(meshtypes.TenantsPrefix(), collections.StringKey, apptest.Named("unreadable").Address)
	if err != nil {
		t.Fatal(err)
	}
	w.Store("mesh").Set(key, []byte("no tenant"))
	w.NextBlock(1)
	w.failedEntries(3, meshtypes.ModuleName)
	w.block(a) // has its VM, so keeps its block
	w.NextBlock(24 * 3600)
	w.failedEntries(0, meshtypes.ModuleName)
	if _, err := w.mesh.Tenant(w.Ctx(), &meshtypes.QueryTenantRequest{Owner: b.Address}); err == nil {
		t.Error("the other tenant's block was not released")
	}
}

// setKey writes a key of a set as no message would.
func (w *world) setKey(module string, prefix collections.Prefix, codec interface {
	Encode(buffer []byte, key collections.Pair[int64, string]) (int, error)
	Size(key collections.Pair[int64, string]) int
}, key collections.Pair[int64, string],
) {
	w.t.Helper()
	bz := make([]byte, codec.Size(key))
	if _, err := codec.Encode(bz, key); err != nil {
		w.t.Fatal(err)
	}
	w.Store(module).Set(append(prefix.Bytes(), bz...), []byte{})
}

// failedEntries of a module in the last block.
func (w *world) failedEntries(want int, module string) {
	w.t.Helper()
	got := 0
	for _, e := range w.Events(entry.EventFailed) {
		if e[entry.AttributeModule] == module {
			got++
		}
	}
	if got != want {
		w.t.Fatalf("%d entries of x/%s failed, want %d", got, module, want)
	}
}

func (w *world) status(m apptest.Account) registrytypes.MinerStatus {
	w.t.Helper()
	r, err := w.registry.Miner(w.Ctx(), &registrytypes.QueryMinerRequest{Operator: m.Address})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Miner.Status
}

// garble makes a record unreadable, and gives what it was.
func (w *world) garble(module string, prefix collections.Prefix, key string) (restore func()) {
	w.t.Helper()
	at, err := collections.EncodeKeyWithPrefix(prefix, collections.StringKey, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.garbleAt(module, at)
}

func (w *world) garbleAt(module string, at []byte) (restore func()) {
	w.t.Helper()
	w.Break()
	was := w.Store(module).Get(at)
	w.Store(module).Set(at, []byte("no record"))
	return func() {
		if was == nil {
			w.Store(module).Delete(at)
			return
		}
		w.Store(module).Set(at, was)
	}
}
