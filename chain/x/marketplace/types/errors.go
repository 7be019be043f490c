package types

import errorsmod "cosmossdk.io/errors"

// Errors of x/marketplace. A code is never reused.
var (
	// ErrInvalid is a message or parameter out of bounds.
	ErrInvalid = errorsmod.Register(ModuleName, 2, "invalid")
	// ErrUnknownPlan is a plan that is not offered.
	ErrUnknownPlan = errorsmod.Register(ModuleName, 3, "unknown plan")
	// ErrUnknownImage is an image that is not offered.
	ErrUnknownImage = errorsmod.Register(ModuleName, 4, "unknown image")
	// ErrUnknownApp is an application that is not offered.
	ErrUnknownApp = errorsmod.Register(ModuleName, 5, "unknown application")
	// ErrInsufficient is an account without the credits for what it wants to run.
	ErrInsufficient = errorsmod.Register(ModuleName, 6, "not enough credits")
	// ErrUnauthorized is a change that only governance may make.
	ErrUnauthorized = errorsmod.Register(ModuleName, 7, "not allowed")
	// ErrMeter is a change to a meter that does not add up.
	ErrMeter = errorsmod.Register(ModuleName, 8, "meter")
)
