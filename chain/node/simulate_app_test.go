package node

import (
	"bytes"
	"context"
	"testing"

	"github.com/cosmos/cosmos-sdk/client"
	sdk "github.com/cosmos/cosmos-sdk/types"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hippius/compute/chain/app"
	"github.com/hippius/compute/chain/app/apptest"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
)

// What the checks refuse takes no more of a network's budget than the checks did: a stranger cannot spend it for its neighbours.
func TestRefusedTransactionTakesLittleOfTheBudget(t *testing.T) {
	h := apptest.New(t, apptest.Options{Accounts: []apptest.Funds{{Name: "a", Ucredit: 1_000_000_000, Uhip: 1_000_000}}})
	a := apptest.Named("a")
	good := h.SignWith(a, func(b client.TxBuilder) { b.SetGasLimit(app.MaxTxGas * 9 / 10) }, &banktypes.MsgSend{
		FromAddress: a.Address, ToAddress: apptest.Named("b").Address, Amount: sdk.NewCoins(sdk.NewInt64Coin("uhip", 10)),
	})
	unsigned := bytes.Clone(good)
	unsigned[len(unsigned)-1] ^= 1
	h.NextBlock(0) // the same sequence number again: only its message is wrong
	senseless := h.SignWith(a, func(b client.TxBuilder) { b.SetGasLimit(app.MaxTxGas * 9 / 10) }, &creditstypes.MsgAddToReserve{Sender: a.Address})
	s, _ := newTried(0)
	s.decode, s.run = h.App.TxDecode, h.App.Try
	try := func(by context.Context, tx []byte) codes.Code {
		_, err := s.Simulate(by, &txtypes.SimulateRequest{TxBytes: tx})
		t.Log(err)
		return status.Code(err)
	}
	for _, tx := range [][]byte{unsigned, senseless, unsigned, senseless} {
		if got := try(from("192.0.2.1:1"), tx); got != codes.Unknown {
			t.Errorf("a bad transaction: %v", got)
		}
	}
	if got := try(from("192.0.2.2:1"), good); got != codes.OK {
		t.Errorf("a neighbour's good transaction: %v", got)
	}
	if got := try(from("192.0.2.2:1"), good); got != codes.ResourceExhausted {
		t.Errorf("a good one takes nothing: %v", got)
	}
}
