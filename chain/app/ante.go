package app

import (
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
	"github.com/cosmos/cosmos-sdk/x/auth/ante"
)

// Bounds of one transaction: bytes, gas and messages.
const (
	MaxTxBytes    = 128 << 10
	maxTxGas      = 50_000_000
	maxTxMessages = 16
)

// anteHandler decides who may have a transaction executed and who pays. The
// SDK's decorators check form and signatures; our fee, which nobody states, takes
// the place of theirs.
func (a *App) anteHandler() sdk.AnteHandler {
	k := a.Keepers
	return sdk.ChainAnteDecorators(
		ante.NewSetUpContextDecorator(), // must be the outermost
		tried{},
		bounds{},
		ante.NewExtensionOptionsDecorator(nil),
		ante.NewValidateBasicDecorator(),
		ante.NewTxTimeoutHeightDecorator(),
		ante.NewValidateMemoDecorator(k.Auth),
		ante.NewConsumeGasForTxSizeDecorator(k.Auth),
		fees{accounts: k.Auth, credits: k.Credits, gate: k.Compute},
		ante.NewSetPubKeyDecorator(k.Auth),
		ante.NewValidateSigCountDecorator(k.Auth),
		ante.NewSigGasConsumeDecorator(k.Auth, ante.DefaultSigVerificationGasConsumer),
		ante.NewSigVerificationDecorator(k.Auth, a.txConfig.SignModeHandler()),
		ante.NewIncrementSequenceDecorator(k.Auth),
		room{a.pool},
	)
}

// bounds refuses transactions that are larger than any honest one.
type bounds struct{}

func (bounds) AnteHandle(ctx sdk.Context, tx sdk.Tx, simulate bool, next sdk.AnteHandler) (sdk.Context, error) {
	if n := len(ctx.TxBytes()); n > MaxTxBytes {
		return ctx, sdkerrors.ErrTxTooLarge.Wrapf("the transaction has %d bytes; at most %d", n, MaxTxBytes)
	}
	if n := len(tx.GetMsgs()); n == 0 || n > maxTxMessages {
		return ctx, sdkerrors.ErrInvalidRequest.Wrapf("the transaction has %d messages; accepted are 1 to %d", n, maxTxMessages)
	}
	fee, ok := tx.(sdk.FeeTx)
	if !ok {
		return ctx, sdkerrors.ErrTxDecode.Wrap("the transaction states no gas")
	}
	if gas := fee.GetGas(); gas == 0 || gas > maxTxGas {
		return ctx, sdkerrors.ErrInvalidGasLimit.Wrapf("the gas limit is %d; accepted are 1 to %d", gas, maxTxGas)
	}
	if !fee.GetFee().IsZero() || len(fee.FeeGranter()) > 0 {
		return ctx, sdkerrors.ErrInvalidRequest.Wrap("the fee follows from gas limit and bytes and is taken from the first signer, in credits or uhip; leave fee amount and granter empty")
	}
	return next(ctx, tx, simulate)
}
