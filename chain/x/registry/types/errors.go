package types

import errorsmod "cosmossdk.io/errors"

// Errors of x/registry. A code is never reused.
var (
	// ErrInvalid is a message or parameter out of bounds.
	ErrInvalid = errorsmod.Register(ModuleName, 2, "invalid")
	// ErrUnauthorized is a change that only governance may make.
	ErrUnauthorized = errorsmod.Register(ModuleName, 3, "not allowed")
	// ErrUnknownMiner is an account that is no registered miner.
	ErrUnknownMiner = errorsmod.Register(ModuleName, 4, "not a registered miner")
	// ErrIdentityTaken is an identity key that another operator uses.
	ErrIdentityTaken = errorsmod.Register(ModuleName, 5, "identity key already in use")
	// ErrBond is a bond below the minimum.
	ErrBond = errorsmod.Register(ModuleName, 6, "bond too small")
	// ErrBondFunds is an operator without the uhip it wants to bond.
	ErrBondFunds = errorsmod.Register(ModuleName, 7, "not enough uhip to bond")
	// ErrHoldsVMs is a miner that still holds VMs.
	ErrHoldsVMs = errorsmod.Register(ModuleName, 8, "miner holds VMs")
	// ErrStatus is a request that does not fit a miner's status.
	ErrStatus = errorsmod.Register(ModuleName, 9, "does not fit the miner's status")
	// ErrNotValidator is a keeper whose operator runs no bonded validator.
	ErrNotValidator = errorsmod.Register(ModuleName, 10, "not a bonded validator's operator")
	// ErrNoCapacity is a miner without the capacity for what is to be placed on it.
	ErrNoCapacity = errorsmod.Register(ModuleName, 11, "miner lacks the capacity")
	// ErrUnknownCommittee is an epoch of which the chain knows no committee, or none any more.
	ErrUnknownCommittee = errorsmod.Register(ModuleName, 12, "no such keeper committee")
	// ErrKeeperLocked is a keeper that may hold shares of VMs' secrets, so its keys and its operator's stake stay.
	ErrKeeperLocked = errorsmod.Register(ModuleName, 13, "the keeper may hold shares")
)
