package app

import (
	"fmt"

	storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
)

// checked is what came of the checks of one of a block's transactions. All of a block's are made before any message of it runs,
// on the state and in the order in which a proposal is judged: so whatever a proposal was accepted for is paid for, and no
// message can take from a later transaction what that is paid with, or make its checks fail.
type checked struct {
	// tx is nil if it cannot be read.
	tx sdk.Tx
	// err says why it is not executed; then what its checks wrote is dropped, the fee included.
	err error
	// after is the context that the checks made, with their gas and their events; zero if they made none.
	after sdk.Context
}

// checkBlock makes the checks of a block's transactions: signatures, sequence numbers, fees.
func (a *App) checkBlock(ctx sdk.Context, txs [][]byte) []checked {
	out := make([]checked, len(txs))
	for i, raw := range txs {
		out[i] = a.checkOne(ctx.WithTxBytes(raw).WithTxIndex(i))
	}
	return out
}

func (a *App) checkOne(ctx sdk.Context) (c checked) {
	if c.tx, c.err = a.TxDecode(ctx.TxBytes()); c.err != nil {
		return checked{err: sdkerrors.ErrTxDecode.Wrap(c.err.Error())}
	}
	defer func() {
		if r := recover(); r != nil { // as the framework does it, so that no transaction stops the chain
			ctx.Logger().Error("panic in the checks of a transaction", "height", ctx.BlockHeight(), "transaction", ctx.TxIndex(), "panic", r)
			c.err = sdkerrors.ErrPanic.Wrap(fmt.Sprint(r))
		}
	}()
	for _, m := range c.tx.GetMsgs() {
		if v, ok := m.(sdk.HasValidateBasic); ok {
			if c.err = v.ValidateBasic(); c.err != nil {
				return c
			}
		}
		if a.MsgServiceRouter().Handler(m) == nil {
			c.err = sdkerrors.ErrUnknownRequest.Wrapf("no message handler found for %T", m)
			return c
		}
	}
	branch := ctx.MultiStore().CacheMultiStore()
	c.after, c.err = a.checks(ctx.WithMultiStore(branch).WithEventManager(sdk.NewEventManager()), c.tx, false)
	if c.err == nil {
		branch.Write()
		c.after = c.after.WithMultiStore(ctx.MultiStore()) // so that the branch does not live as long as the block
	}
	return c
}

// ante is what the framework asks before it runs a transaction's messages. In a block it answers from the checks that were made.
func (a *App) ante(ctx sdk.Context, tx sdk.Tx, simulate bool) (sdk.Context, error) {
	if i := ctx.TxIndex(); ctx.ExecMode() == sdk.ExecModeFinalize && i >= 0 && i < len(a.checked) {
		return a.checked[i].into(ctx)
	}
	return a.checks(ctx, tx, simulate)
}

// into makes of a transaction's context what its checks made of theirs. Each call gives a gas meter of its own.
func (c checked) into(ctx sdk.Context) (sdk.Context, error) {
	if c.after.IsZero() {
		return ctx.WithGasMeter(storetypes.NewGasMeter(0)), c.err
	}
	if c.err != nil {
		return ctx.WithGasMeter(c.after.GasMeter()), c.err
	}
	meter := storetypes.NewGasMeter(c.after.GasMeter().Limit())
	meter.ConsumeGas(c.after.GasMeter().GasConsumed(), "checks") // within the limit, or they had failed
	ctx.EventManager().EmitEvents(c.after.EventManager().Events())
	return ctx.WithContext(c.after.Context()).WithGasMeter(meter).WithPriority(c.after.Priority()), nil
}
