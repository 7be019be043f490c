package types

import errorsmod "cosmossdk.io/errors"

// Errors of x/credits. A code is never reused.
var (
	// ErrInvalid is a message or parameter out of bounds.
	ErrInvalid = errorsmod.Register(ModuleName, 2, "invalid")
	// ErrInsufficient is an account without the credits for what it wants.
	ErrInsufficient = errorsmod.Register(ModuleName, 3, "not enough credits")
	// ErrNoAccount is a signer the chain has never heard of.
	ErrNoAccount = errorsmod.Register(ModuleName, 4, "no such account")
	// ErrReferenceUsed is a purchase with a reference that was used before.
	ErrReferenceUsed = errorsmod.Register(ModuleName, 5, "reference already used")
	// ErrSalePaused is a purchase while the reserve covers too little.
	ErrSalePaused = errorsmod.Register(ModuleName, 6, "sale of credits paused")
	// ErrTooLittle is a purchase below the minimum.
	ErrTooLittle = errorsmod.Register(ModuleName, 7, "purchase too small")
	// ErrDeposit is a buyer without the uhip it wants to deposit.
	ErrDeposit = errorsmod.Register(ModuleName, 8, "not enough uhip")
	// ErrRecipient is a recipient that may not hold credits.
	ErrRecipient = errorsmod.Register(ModuleName, 9, "recipient not allowed")
	// ErrUnauthorized is a change that only governance may make.
	ErrUnauthorized = errorsmod.Register(ModuleName, 10, "not allowed")
	// ErrPriceChange is a change of the price that is too large or too soon.
	ErrPriceChange = errorsmod.Register(ModuleName, 11, "change of price refused")
	// ErrBuffer is more than the buffer has.
	ErrBuffer = errorsmod.Register(ModuleName, 12, "not enough in the buffer")
)
