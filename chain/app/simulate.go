package app

import (
	"errors"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
)

// tried checks a simulated transaction as if it were sent: signed, paid for, and with no more gas than it states. So whoever has
// a node try transactions spends the gas that its own limit names, and not that of others' accounts.
type tried struct{}

func (tried) AnteHandle(ctx sdk.Context, tx sdk.Tx, simulate bool, next sdk.AnteHandler) (after sdk.Context, err error) {
	if !simulate {
		return next(ctx, tx, simulate)
	}
	fee, ok := tx.(sdk.FeeTx)
	if !ok {
		return ctx, sdkerrors.ErrTxDecode.Wrap("the transaction states no gas")
	}
	metered := ctx.WithGasMeter(storetypes.NewGasMeter(fee.GetGas()))
	defer func() { // whoever has it tried is told what the checks used, also if they ended in a panic
		if r := recover(); r != nil {
			out, ran := r.(storetypes.ErrorOutOfGas)
			if !ran {
				panic(r)
			}
			err = sdkerrors.ErrOutOfGas.Wrapf("the checks used %d of %d gas, at %s", metered.GasMeter().GasConsumed(), fee.GetGas(), out.Descriptor)
		}
		if err != nil {
			after, err = metered, refused{err}
		}
	}()
	return next(metered, tx, false)
}

// refused is why the checks of a tried transaction failed.
type refused struct{ error }

func (r refused) Unwrap() error { return r.error }

// Try tries a transaction on a copy of the state. Executed tells whether its checks passed, so that its messages were run; an error
// is then that of the messages.
func (a *App) Try(raw []byte) (gas sdk.GasInfo, res *sdk.Result, executed bool, err error) {
	gas, res, err = a.Simulate(raw)
	var r refused
	// Without a gas limit of its context, a transaction did not even come to the checks.
	return gas, res, err == nil || gas.GasWanted > 0 && !errors.As(err, &r), err
}

// SimulateMethod is the one query that tries a transaction.
const SimulateMethod = "/cosmos.tx.v1beta1.Service/Simulate"
