package app

import (
	"bytes"
	"context"

	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"

	computetypes "github.com/hippius/compute/chain/x/compute/types"
	creditskeeper "github.com/hippius/compute/chain/x/credits/keeper"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
)

// ReportGate says whether a miner may report now without paying; x/compute
// offers it. It counts the report.
type ReportGate interface {
	AllowReport(ctx context.Context, miner string) error
}

// feeCredits is what fees need of x/credits.
type feeCredits interface {
	ChargeFee(ctx context.Context, account string, size creditskeeper.Size) error
	PrepayBuy(ctx sdk.Context, m *creditstypes.MsgBuy, size creditskeeper.Size) (sdk.Context, error)
}

// feeAccounts is what fees need of x/auth.
type feeAccounts interface {
	HasAccount(ctx context.Context, addr sdk.AccAddress) bool
}

// fees takes what a transaction costs from its first signer, in credits or, if
// they are not enough, in coins. A transaction that is one MsgBuy pays out of what
// it buys; one that is one MsgReportVM of a registered miner is free, as often as
// the gate allows.
type fees struct {
	accounts feeAccounts
	credits  feeCredits
	gate     ReportGate
}

func (f fees) AnteHandle(ctx sdk.Context, tx sdk.Tx, simulate bool, next sdk.AnteHandler) (sdk.Context, error) {
	signed, ok := tx.(authsigning.SigVerifiableTx)
	if !ok {
		return ctx, sdkerrors.ErrTxDecode.Wrap("the transaction carries no signatures")
	}
	signers, err := signed.GetSigners()
	if err != nil {
		return ctx, err
	}
	if len(signers) == 0 {
		return ctx, sdkerrors.ErrNoSignatures.Wrap("the transaction has no signer")
	}
	first := sdk.AccAddress(signers[0])
	size := creditskeeper.Size{Bytes: uint64(len(ctx.TxBytes()))}
	fee, ok := tx.(sdk.FeeTx)
	if !ok {
		return ctx, sdkerrors.ErrTxDecode.Wrap("the transaction states no gas")
	}
	size.Gas = fee.GetGas()
	if len(fee.FeePayer()) > 0 && !bytes.Equal(fee.FeePayer(), first) {
		return ctx, sdkerrors.ErrInvalidRequest.Wrap("the first signer pays the fee; leave the fee payer empty")
	}
	for _, s := range signers {
		if addr := sdk.AccAddress(s); !f.accounts.HasAccount(ctx, addr) {
			return ctx, creditstypes.ErrNoAccount.Wrapf("%s has no account yet: its first credits or coins create it, so have credits bought for it, for example with 'hippius billing buy'", addr)
		}
	}
	if ctx, err = f.charge(ctx, tx.GetMsgs(), first, size); err != nil {
		return ctx, err
	}
	return next(ctx, tx, simulate)
}

func (f fees) charge(ctx sdk.Context, msgs []sdk.Msg, payer sdk.AccAddress, size creditskeeper.Size) (sdk.Context, error) {
	if len(msgs) == 1 {
		switch m := msgs[0].(type) {
		case *creditstypes.MsgBuy:
			return f.credits.PrepayBuy(ctx, m, size)
		case *computetypes.MsgReportVM:
			return ctx, f.gate.AllowReport(ctx, m.Miner)
		}
	}
	return ctx, f.credits.ChargeFee(ctx, payer.String(), size)
}
