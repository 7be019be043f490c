package types

import errorsmod "cosmossdk.io/errors"

// Errors of x/compute. A code is never reused. Unknown plans, images and
// applications, and too little credit, are x/marketplace's to name.
var (
	// ErrInvalid is a message or parameter out of bounds.
	ErrInvalid = errorsmod.Register(ModuleName, 2, "invalid")
	// ErrUnauthorized is a change that only governance may make.
	ErrUnauthorized = errorsmod.Register(ModuleName, 3, "not allowed")

	// ErrPrivateKey is a private key where a public one belongs.
	ErrPrivateKey = errorsmod.Register(ModuleName, 4, "private key")
	// ErrWeakKey is an RSA key that is too short.
	ErrWeakKey = errorsmod.Register(ModuleName, 5, "weak SSH key")
	// ErrKeyType is a kind of SSH key that is not accepted.
	ErrKeyType = errorsmod.Register(ModuleName, 6, "SSH key type not accepted")
	// ErrMalformedKey is text that is no SSH public key.
	ErrMalformedKey = errorsmod.Register(ModuleName, 7, "no SSH public key")
	// ErrKeyExists is a key whose name, or which itself, the account has already.
	ErrKeyExists = errorsmod.Register(ModuleName, 8, "SSH key exists")
	// ErrUnknownKey is a key the account does not have.
	ErrUnknownKey = errorsmod.Register(ModuleName, 9, "no such SSH key")
	// ErrKeyInUse is a key that VMs name.
	ErrKeyInUse = errorsmod.Register(ModuleName, 10, "SSH key in use")
	// ErrTooManyKeys is an account with as many keys as it may have.
	ErrTooManyKeys = errorsmod.Register(ModuleName, 11, "too many SSH keys")

	// ErrNameTaken is a name another VM of the account has.
	ErrNameTaken = errorsmod.Register(ModuleName, 12, "name taken")
	// ErrUnknownRegion is a region without active miners.
	ErrUnknownRegion = errorsmod.Register(ModuleName, 13, "no such region")
	// ErrImageTooLarge is an image that does not fit on the plan's disk.
	ErrImageTooLarge = errorsmod.Register(ModuleName, 14, "image larger than the disk")
	// ErrAppImage is an application that does not work on the image.
	ErrAppImage = errorsmod.Register(ModuleName, 15, "application not for this image")
	// ErrUnknownMiner is a wanted miner that is not registered.
	ErrUnknownMiner = errorsmod.Register(ModuleName, 16, "no such miner")
	// ErrVMExists is a VM id that exists: its nonce was used before.
	ErrVMExists = errorsmod.Register(ModuleName, 17, "VM exists")
	// ErrTooManyVMs is an account with as many VMs as it may have.
	ErrTooManyVMs = errorsmod.Register(ModuleName, 18, "too many VMs")
	// ErrAddress is a mesh address outside the tenant's block, or not a VM's.
	ErrAddress = errorsmod.Register(ModuleName, 19, "mesh address not usable")
	// ErrAddressTaken is a mesh address another VM of the account has.
	ErrAddressTaken = errorsmod.Register(ModuleName, 20, "mesh address taken")

	// ErrInstances are instances out of order or too many.
	ErrInstances = errorsmod.Register(ModuleName, 21, "instances not acceptable")
	// ErrReceipts are instances without enough good receipts of keepers.
	ErrReceipts = errorsmod.Register(ModuleName, 22, "keepers' receipts not acceptable")
	// ErrOldCommittee are instances dealt to another committee than the present.
	ErrOldCommittee = errorsmod.Register(ModuleName, 23, "not the present keeper committee")
	// ErrNoCommittee is a network without keepers.
	ErrNoCommittee = errorsmod.Register(ModuleName, 24, "no keeper committee")

	// ErrUnknownVM is a VM that is not there.
	ErrUnknownVM = errorsmod.Register(ModuleName, 25, "no such VM")
	// ErrNotOwner is another tenant's VM.
	ErrNotOwner = errorsmod.Register(ModuleName, 26, "another tenant's VM")
	// ErrWrongPhase is an operation that does not fit the VM's phase.
	ErrWrongPhase = errorsmod.Register(ModuleName, 27, "wrong phase")

	// ErrNotHolder is a report of a miner that does not hold the VM.
	ErrNotHolder = errorsmod.Register(ModuleName, 28, "miner does not hold the VM")
	// ErrOldInstance is a report for another instance than the present.
	ErrOldInstance = errorsmod.Register(ModuleName, 29, "not the present instance")
	// ErrBadTransition is a report of a phase that cannot follow.
	ErrBadTransition = errorsmod.Register(ModuleName, 30, "phase cannot follow")
	// ErrBadProof is a proof whose signature is wrong.
	ErrBadProof = errorsmod.Register(ModuleName, 31, "wrong proof")
	// ErrStaleProof is a proof of an unknown, old or already proven block.
	ErrStaleProof = errorsmod.Register(ModuleName, 32, "stale proof")
	// ErrBadReport is a report out of bounds.
	ErrBadReport = errorsmod.Register(ModuleName, 33, "report not acceptable")

	// 34 was that of too many reports in a minute.

	// ErrSameSize is a resize that would change nothing.
	ErrSameSize = errorsmod.Register(ModuleName, 35, "nothing to resize")
	// ErrHostFull is a miner that holds the VM and lacks the capacity for a larger one.
	ErrHostFull = errorsmod.Register(ModuleName, 36, "the VM's host lacks the capacity")
	// ErrImageArch is an image for another architecture than the VM's host.
	ErrImageArch = errorsmod.Register(ModuleName, 37, "image for another architecture")

	// ErrNoKey is a rebuild of a VM that would let nobody in.
	ErrNoKey = errorsmod.Register(ModuleName, 38, "no SSH key left")

	// ErrAttestation is an attested time that does not add up.
	ErrAttestation = errorsmod.Register(ModuleName, 39, "attestation not acceptable")
	// ErrNoRoomOnHost is a VM that is off and whose host lacks the capacity to start it.
	ErrNoRoomOnHost = errorsmod.Register(ModuleName, 40, "no room on the VM's host")
)
