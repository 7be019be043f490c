package app

import (
	"fmt"

	errorsmod "cosmossdk.io/errors"
	"github.com/cosmos/cosmos-sdk/baseapp"
	sdk "github.com/cosmos/cosmos-sdk/types"
	sdkerrors "github.com/cosmos/cosmos-sdk/types/errors"
)

// governedRouter carries out what governance decided. x/gov stores the text of an error for which a proposal fails, and that is
// consensus data: it is given the code alone. The text is logged.
type governedRouter struct{ baseapp.MessageRouter }

// Handler of a message; nil if there is none.
func (r governedRouter) Handler(m sdk.Msg) baseapp.MsgServiceHandler {
	return coded(r.MessageRouter.Handler(m))
}

// HandlerByTypeURL is Handler by the name of the message's type.
func (r governedRouter) HandlerByTypeURL(url string) baseapp.MsgServiceHandler {
	return coded(r.MessageRouter.HandlerByTypeURL(url))
}

func coded(handle baseapp.MsgServiceHandler) baseapp.MsgServiceHandler {
	if handle == nil {
		return nil
	}
	return func(ctx sdk.Context, m sdk.Msg) (res *sdk.Result, err error) {
		defer func() {
			if r := recover(); r != nil {
				err = errorsmod.Wrapf(sdkerrors.ErrPanic, "%v", r)
			}
			if err == nil {
				return
			}
			ctx.Logger().Info("a decision of governance could not be carried out", "message", sdk.MsgTypeURL(m), "error", err)
			codespace, code, _ := errorsmod.ABCIInfo(err, false)
			res, err = nil, &codeError{err: err, codespace: codespace, code: code}
		}()
		return handle(ctx, m)
	}
}

// codeError is an error whose text is its code, as "module/code".
type codeError struct {
	err       error
	codespace string
	code      uint32
}

func (e *codeError) Error() string { return fmt.Sprintf("%s/%d", e.codespace, e.code) }

func (e *codeError) Unwrap() error { return e.err }
