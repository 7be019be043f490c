package app_test

import (
	"bytes"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"github.com/hippius/compute/chain/app/apptest"
)

// Only a transaction that its signer could send is tried, and with the gas that it states.
func TestSimulationNeedsASignature(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Ucredit: 10 * credit, Uhip: credit}}})
	a := apptest.Named("a")
	send := &banktypes.MsgSend{FromAddress: a.Address, ToAddress: apptest.Named("b").Address, Amount: sdk.NewCoins(uhip(10))}
	good := h.Sign(a, send)
	if _, _, err := h.App.Simulate(good); err != nil {
		t.Fatal(err)
	}
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	if _, _, err := h.App.Simulate(forged); err == nil {
		t.Error("a transaction with a wrong signature was tried")
	}
	sign := func(gas uint64) []byte {
		h.NextBlock(0) // the same sequence again
		return h.SignWith(a, func(b txBuilder) { b.SetGasLimit(gas) }, send)
	}
	if _, _, err := h.App.Simulate(sign(0)); err == nil {
		t.Error("a transaction without a gas limit was tried")
	}
	_, _, err := h.App.Simulate(sign(60_000))
	wantErr(t, err, sdkerrors.ErrOutOfGas)
	// By consensus' own query nobody's budget is known.
	good = sign(apptest.Gas)
	for _, path := range []string{"/app/simulate", "/cosmos.tx.v1beta1.Service/Simulate"} {
		res, err := h.App.Query(t.Context(), &abci.RequestQuery{Path: path, Data: good})
		if err != nil || res.Code == abci.CodeTypeOK {
			t.Errorf("%s: %+v, %v", path, res, err)
		}
	}
}

// A trial that its checks end says what they used, also if its gas ran out in them: whoever has it tried is told what it took.
func TestTrialOutOfGasInItsChecksSaysWhatItUsed(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Ucredit: 10 * credit, Uhip: credit}}})
	a := apptest.Named("a")
	send := &banktypes.MsgSend{FromAddress: a.Address, ToAddress: apptest.Named("b").Address, Amount: sdk.NewCoins(uhip(10))}
	for _, gas := range []uint64{1000, 20_000} { // the second is enough for the transaction's bytes
		used, _, executed, err := h.App.Try(h.SignWith(a, func(b txBuilder) { b.SetGasLimit(gas) }, send))
		wantErr(t, err, sdkerrors.ErrOutOfGas)
		if executed || used.GasWanted != gas || used.GasUsed < gas || used.GasUsed > 10*gas {
			t.Errorf("with a limit of %d: %+v, executed %v", gas, used, executed)
		}
		h.NextBlock(0) // the same sequence again
	}
	forged := h.Sign(a, send)
	forged[len(forged)-1] ^= 1
	used, _, executed, err := h.App.Try(forged)
	wantErr(t, err, sdkerrors.ErrUnauthorized)
	if executed || used.GasWanted != apptest.Gas || used.GasUsed < 1000 || used.GasUsed >= apptest.Gas {
		t.Errorf("with a wrong signature: %+v, executed %v", used, executed)
	}
}
