package app_test

import (
	"bytes"
	"strings"
	"testing"

	"cosmossdk.io/math"
	"github.com/cosmos/cosmos-sdk/client"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"

	"github.com/hippius/compute/chain/app/apptest"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	rankingtypes "github.com/hippius/compute/chain/x/ranking/types"
)

type txBuilder = client.TxBuilder

func uhip(n int64) sdk.Coin { return sdk.NewCoin("uhip", math.NewInt(n)) }

func TestBounds(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Ucredit: 10 * credit, Uhip: credit}}})
	a := apptest.Named("a")
	msg := &rankingtypes.MsgClaimEarnings{Operator: a.Address}
	many := make([]sdk.Msg, 17)
	for i := range many {
		many[i] = msg
	}
	for name, c := range map[string]struct {
		change func(txBuilder)
		msgs   []sdk.Msg
		want   error
		says   string
	}{
		"no gas":     {func(b txBuilder) { b.SetGasLimit(0) }, nil, sdkerrors.ErrInvalidGasLimit, "accepted are 1 to"},
		"much gas":   {func(b txBuilder) { b.SetGasLimit(50_000_001) }, nil, sdkerrors.ErrInvalidGasLimit, "accepted are 1 to"},
		"fee":        {func(b txBuilder) { b.SetFeeAmount(sdk.NewCoins(uhip(1))) }, nil, sdkerrors.ErrInvalidRequest, "follows from gas"},
		"granter":    {func(b txBuilder) { b.SetFeeGranter(apptest.Named("b").Acc()) }, nil, sdkerrors.ErrInvalidRequest, "granter"},
		"memo":       {func(b txBuilder) { b.SetMemo(strings.Repeat("m", 257)) }, nil, sdkerrors.ErrMemoTooLarge, ""},
		"large":      {func(b txBuilder) { b.SetMemo(strings.Repeat("m", 130<<10)) }, nil, sdkerrors.ErrTxTooLarge, "at most"},
		"messages":   {func(txBuilder) {}, many, sdkerrors.ErrInvalidRequest, "17 messages"},
		"timeout":    {func(b txBuilder) { b.SetTimeoutHeight(1) }, nil, sdkerrors.ErrTxTimeoutHeight, ""},
		"form":       {func(txBuilder) {}, []sdk.Msg{&creditstypes.MsgBuy{Buyer: a.Address, Recipient: a.Address}}, creditstypes.ErrInvalid, "0 uhip"},
		"fee payer":  {func(b txBuilder) { b.SetFeePayer(apptest.Named("b").Acc()) }, nil, sdkerrors.ErrUnauthorized, "number of signers"},
		"unordered":  {func(b txBuilder) { b.SetUnordered(true) }, nil, sdkerrors.ErrNotSupported, ""},
		"empty memo": {func(txBuilder) {}, nil, rankingtypes.ErrNothingToClaim, ""}, // reaches the message
	} {
		t.Run(name, func(t *testing.T) {
			msgs := c.msgs
			if msgs == nil {
				msgs = []sdk.Msg{msg}
			}
			res, err := h.DeliverAll(h.SignWith(a, c.change, msgs...))
			if err != nil {
				t.Fatal(err)
			}
			wantErr(t, apptest.Outcome(res[0]), c.want, c.says)
		})
	}
}

func TestSignatures(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Ucredit: 10 * credit, Uhip: credit}, {Name: "b", Ucredit: credit}}})
	a, b := apptest.Named("a"), apptest.Named("b")
	send := &banktypes.MsgSend{FromAddress: a.Address, ToAddress: b.Address, Amount: sdk.NewCoins(uhip(10))}
	deliver := func(tx []byte) error {
		t.Helper()
		res, err := h.DeliverAll(tx)
		if err != nil {
			t.Fatal(err)
		}
		return apptest.Outcome(res[0])
	}
	before := balance(t, h, a)
	// Another's coins.
	if err := deliver(h.Sign(b, send)); err == nil {
		t.Fatal("b sent a's coins")
	}
	// A changed byte: the signature no longer fits, whatever the byte was.
	good := h.Sign(a, send)
	for i := 0; i < len(good); i += 7 {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if err := deliver(bad); err == nil {
			t.Fatalf("byte %d changed and accepted", i)
		}
	}
	if after := balance(t, h, a); after != before {
		t.Fatalf("forged transactions cost a: %+v, %+v", before, after)
	}
	good = h.Sign(a, send)
	if err := h.Check(good); err != nil {
		t.Fatal(err)
	}
	if err := deliver(good); err != nil {
		t.Fatal(err)
	}
	wantErr(t, deliver(good), sdkerrors.ErrWrongSequence)
	if after := balance(t, h, a); before.Ucredit-after.Ucredit != apptest.Fee(good) {
		t.Errorf("one transaction cost %d", before.Ucredit-after.Ucredit)
	}
	// Direct mode only.
	amino := h.SignWith(a, func(txBuilder) {}, send)
	tx, err := h.App.TxConfig().TxDecoder()(amino)
	if err != nil {
		t.Fatal(err)
	}
	w, err := h.App.TxConfig().WrapTxBuilder(tx)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.SetSignatures(signing.SignatureV2{PubKey: a.Key.PubKey(), Sequence: 1, Data: &signing.SingleSignatureData{
		SignMode: signing.SignMode_SIGN_MODE_LEGACY_AMINO_JSON, Signature: make([]byte, 64),
	}}); err != nil {
		t.Fatal(err)
	}
	raw, err := h.App.TxConfig().TxEncoder()(w.GetTx())
	if err != nil {
		t.Fatal(err)
	}
	if deliver(raw) == nil {
		t.Error("amino-signed transaction accepted")
	}
}
