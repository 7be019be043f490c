package app

import (
	"bytes"
	"context"
	"math"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	authsigning "github.com/cosmos/cosmos-sdk/x/auth/signing"

	computetypes "github.com/hippius/compute/chain/x/compute/types"
	creditskeeper "github.com/hippius/compute/chain/x/credits/keeper"
	creditstypes "github.com/hippius/compute/chain/x/credits/types"
	"github.com/hippius/compute/core/credit"
)

// ReportGate says whether a miner's batch is free of a fee; x/compute offers it. It counts a free one.
type ReportGate interface {
	FreeReport(ctx context.Context, m *computetypes.MsgReportVM, gas uint64) (bool, error)
}

// feeCredits is what fees need of x/credits.
type feeCredits interface {
	Fee(ctx context.Context, size creditskeeper.Size) (uint64, error)
	ChargeFee(ctx context.Context, account string, size creditskeeper.Size) error
	PrepayBuy(ctx sdk.Context, m *creditstypes.MsgBuy, size creditskeeper.Size) (sdk.Context, error)
}

// feeAccounts is what fees need of x/auth.
type feeAccounts interface {
	HasAccount(ctx context.Context, addr sdk.AccAddress) bool
}

// fees takes what a transaction costs from its first signer, in credits or, if
// they are not enough, in coins. A transaction that is one MsgBuy pays out of what
// it buys; one that is one MsgReportVM of a registered miner is free as long as
// the gate says so, and pays after that.
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
	if ctx, err = f.ordered(ctx, size); err != nil {
		return ctx, err
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
			free, err := f.gate.FreeReport(ctx, m, size.Gas)
			if free || err != nil {
				return ctx.WithPriority(math.MaxInt64), err
			}
		}
	}
	return ctx, f.credits.ChargeFee(ctx, payer.String(), size)
}

// ordered gives a transaction at its first check the place that it has among those that wait: by the fee for its gas.
func (f fees) ordered(ctx sdk.Context, size creditskeeper.Size) (sdk.Context, error) {
	if !ctx.IsCheckTx() || size.Gas == 0 {
		return ctx, nil
	}
	fee, err := f.credits.Fee(ctx.WithGasMeter(storetypes.NewInfiniteGasMeter()), size)
	if err != nil {
		return ctx, err
	}
	return ctx.WithPriority(credit.PerGas(fee, size.Gas)), nil
}
