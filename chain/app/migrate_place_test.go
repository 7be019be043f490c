package app_test

import (
	"testing"

	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"
	"github.com/cosmos/gogoproto/proto"

	"github.com/hippius/compute/chain/app/apptest"
	computetypes "github.com/hippius/compute/chain/x/compute/types"
	registrytypes "github.com/hippius/compute/chain/x/registry/types"
)

// A chain of the version before, which did not count the miners on its rings nor bound what placement looks at, goes on
// with an upgrade.
func TestUpgradeCountsTheMinersOnTheRings(t *testing.T) {
	const bond = 1000 * credit
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Uhip: 2 * bond, Ucredit: 10 * credit}, {Name: "b", Uhip: 2 * bond, Ucredit: 10 * credit}}})
	for _, name := range []string{"a", "b"} {
		key := make([]byte, 32)
		key[0] = name[0]
		h.MustDeliver(apptest.Named(name), &registrytypes.MsgRegisterMiner{
			Operator: apptest.Named(name).Address, Name: name, Identity: key, Roles: []string{"compute"}, Endpoint: name + ".example:7070", Region: "region-" + name,
			BondUhip: bond,
			Capacity: registrytypes.Capacity{Cores: 4, MemoryMib: 16 << 10, DiskGib: 200, Arch: "amd64", Acceleration: "tcg", CpuModel: "test", DiskWriteBytesPerSecond: 1},
		})
	}
	k := h.App.Keepers
	store := h.Store(registrytypes.StoreKey)
	for _, ring := range []string{"", "region-a", "region-b"} {
		store.Delete(append(registrytypes.RingSizesPrefix().Bytes(), ring...))
	}
	p, err := k.Compute.Params(h.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	p.MaxCandidatesPerBlock, p.ExcludeSeconds, p.ProvenSeconds, p.UnprovenMiners = 0, 0, 0, 0
	put := func(module string, key []byte, m proto.Message) {
		t.Helper()
		bz, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		h.Store(module).Set(key, bz)
	}
	put(computetypes.StoreKey, computetypes.ParamsPrefix().Bytes(), &p)
	rp, err := k.Registry.Params(h.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	rp.BondPerCoreUhip, rp.BondPerMemoryGibUhip, rp.BondPerDiskGibUhip, rp.NewcomerVms, rp.NewcomerProvenVms = 0, 0, 0, 0, 0
	put(registrytypes.StoreKey, registrytypes.ParamsPrefix().Bytes(), &rp)
	versions, err := k.Upgrade.GetModuleVersionMap(h.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	versions[registrytypes.ModuleName], versions[computetypes.ModuleName] = 1, 1
	if err := k.Upgrade.SetModuleVersionMap(h.Ctx(), versions); err != nil {
		t.Fatal(err)
	}
	if err := k.Registry.CheckInvariants(h.Ctx()); err == nil {
		t.Fatal("rings that are not counted are not noticed")
	}

	rate := append(computetypes.ReportRatesPrefix().Bytes(), apptest.Named("a").Address...)
	h.Store(computetypes.StoreKey).Set(rate, []byte{0, 0, 1, 0xac, 0, 0, 0, 7}) // version 1 counted messages by the minute

	// A record that counted whole VMs: 3 that booted, 2 that failed.
	miner := append(registrytypes.MinersPrefix().Bytes(), apptest.Named("b").Address...)
	counted := []byte{15<<3 | 2, 4, 2 << 3, 3, 3 << 3, 2}
	h.Store(registrytypes.StoreKey).Set(miner, append(h.Store(registrytypes.StoreKey).Get(miner), counted...))

	if err := k.Upgrade.ApplyUpgrade(h.Ctx(), upgradetypes.Plan{Name: apptest.Upgrade, Height: h.Height()}); err != nil {
		t.Fatal(err)
	}
	h.NextBlock(1) // the invariants hold after it
	for ring, want := range map[string]uint64{"": 2, "region-a": 1, "region-b": 1, "region-c": 0} {
		if n, err := k.Registry.RingSize(h.Ctx(), ring); err != nil || n != want {
			t.Errorf("%d miners on the ring of %q, want %d: %v", n, ring, want, err)
		}
	}
	h.MustDeliver(apptest.Named("a"), &computetypes.MsgReportVM{Miner: apptest.Named("a").Address})
	if p, err = k.Compute.Params(h.Ctx()); err != nil || p.Validate() != nil {
		t.Errorf("%+v, %v", p, err)
	}
	if rp, err = k.Registry.Params(h.Ctx()); err != nil || rp != registrytypes.DefaultParams() {
		t.Errorf("%+v, %v", rp, err)
	}
	if m, err := k.Registry.Miner(h.Ctx(), apptest.Named("b").Address); err != nil || m.Record != (registrytypes.Record{}) {
		t.Errorf("%+v, %v", m.Record, err)
	}
}
