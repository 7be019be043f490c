package app

import sdk "github.com/cosmos/cosmos-sdk/types"

// WrapChecks puts something around the checks of every transaction.
func (a *App) WrapChecks(wrap func(sdk.AnteHandler) sdk.AnteHandler) { a.checks = wrap(a.checks) }
