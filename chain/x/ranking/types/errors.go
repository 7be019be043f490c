package types

import errorsmod "cosmossdk.io/errors"

// Errors of x/ranking. A code is never reused.
var (
	// ErrInvalid is a message out of bounds.
	ErrInvalid = errorsmod.Register(ModuleName, 2, "invalid")
	// ErrNothingToClaim is a claim of an operator that has earned nothing since the last.
	ErrNothingToClaim = errorsmod.Register(ModuleName, 3, "nothing to claim")
)
