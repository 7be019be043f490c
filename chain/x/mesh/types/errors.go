package types

import errorsmod "cosmossdk.io/errors"

// Errors of x/mesh. A code is never reused.
var (
	// ErrInvalid is a message or parameter out of bounds.
	ErrInvalid = errorsmod.Register(ModuleName, 2, "invalid")
	// ErrUnauthorized is a change that only governance may make.
	ErrUnauthorized = errorsmod.Register(ModuleName, 3, "not allowed")
	// ErrNoTenant is an account without an address block.
	ErrNoTenant = errorsmod.Register(ModuleName, 4, "no address block")
	// ErrDeviceExists is a device name already in use.
	ErrDeviceExists = errorsmod.Register(ModuleName, 5, "device name taken")
	// ErrNoDevice is a device that is not there.
	ErrNoDevice = errorsmod.Register(ModuleName, 6, "no such device")
	// ErrDevicesFull is a block without room for one more device.
	ErrDevicesFull = errorsmod.Register(ModuleName, 7, "no room for another device")
	// ErrRevocationsFull is a tenant with as many revocations as are kept.
	ErrRevocationsFull = errorsmod.Register(ModuleName, 8, "too many revocations")
	// ErrNoLighthouse is an account that runs no lighthouse.
	ErrNoLighthouse = errorsmod.Register(ModuleName, 9, "no such lighthouse")
	// ErrLighthousesFull is a network with as many lighthouses as it accepts.
	ErrLighthousesFull = errorsmod.Register(ModuleName, 10, "no room for another lighthouse")
	// ErrBlocksFull is a network whose every block is allocated.
	ErrBlocksFull = errorsmod.Register(ModuleName, 11, "no address block left")
	// ErrRent is a lighthouse's rent for no day, or for too long.
	ErrRent = errorsmod.Register(ModuleName, 12, "rent out of bounds")
)
