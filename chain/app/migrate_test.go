package app_test

import (
	"testing"

	sdkmath "cosmossdk.io/math"
	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"
	"github.com/cosmos/gogoproto/proto"

	"github.com/hippius/compute/chain/app/apptest"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
)

// A chain of the version before, whose reserve all shared and whose validators were taxed, goes on with an upgrade: each
// account has its part of the reserve, and the sums hold.
func TestUpgradeSharesOutTheReserve(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Ucredit: 10 * credit}, {Name: "b", Ucredit: 20 * credit}, {Name: "c", Uhip: credit}}})
	a, b := apptest.Named("a"), apptest.Named("b")
	ctx := h.Ctx()
	stores, ok := h.App.CommitMultiStore().(interface {
		StoreKeysByName() map[string]storetypes.StoreKey
	})
	if !ok {
		t.Fatal("the stores cannot be reached by name")
	}
	store := ctx.KVStore(stores.StoreKeysByName()[creditstypes.StoreKey])
	put := func(key []byte, m proto.Message) {
		bz, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		store.Set(key, bz)
	}
	// Three accounts' worth of a reserve that was reduced by a unit; no backings, no prices, a flat fee.
	v := totals(t, h)
	v.ReleasedUhip, v.ReleasedTreasuryUhip, v.ReserveUhip = 1, 1, v.ReserveUhip-1
	put(creditstypes.TotalsPrefix().Bytes(), &v)
	for _, x := range []apptest.Account{a, b} {
		old := balance(t, h, x)
		old.BackingUhip = 0
		put(append(creditstypes.BalancesPrefix().Bytes(), x.Address...), &old)
	}
	store.Delete(creditstypes.PricesPrefix().Bytes())
	p := creditstypes.DefaultParams()
	p.FeeUcredit, p.FeePerMillionGasUcredit, p.FeePerKibUcredit = 1000, 0, 0
	put(creditstypes.ParamsPrefix().Bytes(), &p)
	if err := h.App.Keepers.Bank.SendCoinsFromModuleToModule(ctx, creditstypes.ModuleName, creditstypes.TreasuryName, sdk.NewCoins(uhip(1))); err != nil {
		t.Fatal(err)
	}
	tax, err := h.App.Keepers.Distribution.Params.Get(ctx)
	if err != nil {
		t.Fatal(err)
	}
	tax.CommunityTax = sdkmath.LegacyNewDecWithPrec(2, 2)
	if err := h.App.Keepers.Distribution.Params.Set(ctx, tax); err != nil {
		t.Fatal(err)
	}
	versions, err := h.App.Keepers.Upgrade.GetModuleVersionMap(ctx)
	if err != nil {
		t.Fatal(err)
	}
	versions[creditstypes.ModuleName] = 1
	if err := h.App.Keepers.Upgrade.SetModuleVersionMap(ctx, versions); err != nil {
		t.Fatal(err)
	}

	if err := h.App.Keepers.Upgrade.ApplyUpgrade(ctx, upgradetypes.Plan{Name: apptest.Upgrade, Height: h.Height()}); err != nil {
		t.Fatal(err)
	}
	h.NextBlock(1) // the invariants hold after it
	if x, y := balance(t, h, a), balance(t, h, b); x.BackingUhip != 9_999_999 || y.BackingUhip != 19_999_999 {
		t.Errorf("%+v, %+v", x, y)
	}
	if v := totals(t, h); v.BufferUhip != 1 {
		t.Errorf("%+v", v)
	}
	if p, err := h.App.Keepers.Credits.Params(h.Ctx()); err != nil || p.FeePerMillionGasUcredit == 0 || p.FeePerKibUcredit == 0 || p.FeeUcredit != 1000 {
		t.Errorf("%+v, %v", p, err)
	}
	if tax, err = h.App.Keepers.Distribution.Params.Get(h.Ctx()); err != nil || !tax.CommunityTax.IsZero() {
		t.Errorf("%+v, %v", tax, err)
	}
}
