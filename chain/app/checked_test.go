package app_test

import (
	"testing"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	upgradetypes "github.com/cosmos/cosmos-sdk/x/upgrade/types"
	"github.com/cosmos/gogoproto/proto"

	"github.com/hippius/compute/chain/app/apptest"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	rankingtypes "github.com/hippius/compute/chain/x/ranking/types"
)

func sequenceOf(h *apptest.Harness, a apptest.Account) uint64 {
	return h.App.Keepers.Auth.GetAccount(h.Ctx(), a.Acc()).GetSequence()
}

// A panic in the checks of one transaction stops neither the chain nor the others of its block, and leaves nothing of what the checks wrote.
func TestPanicInTheChecks(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Ucredit: 10 * credit}, {Name: "b", Ucredit: 10 * credit}}})
	a, b := apptest.Named("a"), apptest.Named("b")
	h.App.WrapChecks(func(checks sdk.AnteHandler) sdk.AnteHandler {
		return func(ctx sdk.Context, tx sdk.Tx, simulate bool) (sdk.Context, error) {
			after, err := checks(ctx, tx, simulate)
			if m, ok := tx.(sdk.TxWithMemo); ok && m.GetMemo() == "panic" {
				panic("in the checks")
			}
			return after, err
		}
	})
	claim := func(by apptest.Account, memo string) []byte {
		return h.SignWith(by, func(x txBuilder) { x.SetMemo(memo) }, &rankingtypes.MsgClaimEarnings{Operator: by.Address})
	}
	txs := [][]byte{claim(a, "panic"), claim(b, "")}
	before := sequenceOf(h, a)
	results, err := h.DeliverAll(txs...)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, apptest.Outcome(results[0]), sdkerrors.ErrPanic)
	wantErr(t, apptest.Outcome(results[1]), rankingtypes.ErrNothingToClaim)
	if got := balance(t, h, a).Ucredit; got != 10*credit || sequenceOf(h, a) != before {
		t.Errorf("the account whose transaction's checks panicked has %d ucredit and sequence %d", got, sequenceOf(h, a))
	}
	if got, want := balance(t, h, b).Ucredit, 10*credit-coinFee(t, txs[1], apptest.Gas); got != want {
		t.Errorf("the other has %d ucredit, want %d", got, want)
	}
}

// A transaction with a message that is wrong by itself is not executed, and so pays nothing.
func TestMessageThatIsWrongByItself(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Ucredit: 10 * credit, Uhip: credit}}})
	a := apptest.Named("a")
	before := sequenceOf(h, a)
	tx := h.Sign(a, &creditstypes.MsgAddToReserve{Sender: a.Address, Uhip: 1}, &creditstypes.MsgAddToReserve{Sender: a.Address})
	if _, _, executed, err := h.App.Try(tx); err == nil || executed {
		t.Errorf("tried: executed %t, %v", executed, err)
	}
	if h.Accepts(tx) {
		t.Error("a block with it is accepted")
	}
	results, err := h.DeliverAll(tx)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, apptest.Outcome(results[0]), creditstypes.ErrInvalid)
	if got := balance(t, h, a); got.Ucredit != 10*credit || got.FeesSincePurchase != 0 || sequenceOf(h, a) != before || uhipOf(h, a.Address) != credit {
		t.Errorf("it cost something: %+v, sequence %d", got, sequenceOf(h, a))
	}
}

// The transactions of the block that makes an upgrade are checked by the rules after it.
func TestBlockWithUpgradeAndTransactions(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Ucredit: 10 * credit}}})
	a, k := apptest.Named("a"), h.App.Keepers
	p := creditstypes.DefaultParams()
	p.FeePerMillionGasUcredit, p.FeePerKibUcredit = 0, 0 // as in version 1
	bz, err := proto.Marshal(&p)
	if err != nil {
		t.Fatal(err)
	}
	h.Store(creditstypes.StoreKey).Set(creditstypes.ParamsPrefix().Bytes(), bz)
	versions, err := k.Upgrade.GetModuleVersionMap(h.Ctx())
	if err != nil {
		t.Fatal(err)
	}
	versions[creditstypes.ModuleName] = 1
	if err := k.Upgrade.SetModuleVersionMap(h.Ctx(), versions); err != nil {
		t.Fatal(err)
	}
	if err := k.Upgrade.ScheduleUpgrade(h.Ctx(), upgradetypes.Plan{Name: apptest.Upgrade, Height: h.Height() + 1}); err != nil {
		t.Fatal(err)
	}
	tx := h.Sign(a, &rankingtypes.MsgClaimEarnings{Operator: a.Address})
	results, err := h.DeliverAll(tx)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, apptest.Outcome(results[0]), rankingtypes.ErrNothingToClaim)
	if got, want := balance(t, h, a).FeesSincePurchase, coinFee(t, tx, apptest.Gas); got != want {
		t.Errorf("the transaction paid %d ucredit, want %d", got, want)
	}
	if name, _, err := k.Upgrade.GetLastCompletedUpgrade(h.Ctx()); err != nil || name != apptest.Upgrade {
		t.Errorf("the block made the upgrade %q, %v", name, err)
	}
}
