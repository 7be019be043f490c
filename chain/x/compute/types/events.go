package types

// Events of the module. Every operation on a VM gives one.
const (
	EventKeyAdded       = "hippius.compute.key_added"
	EventKeyRemoved     = "hippius.compute.key_removed"
	EventVMCreated      = "hippius.compute.vm_created"
	EventInstancesDealt = "hippius.compute.instances_dealt"
	// EventVMRequested is a tenant's start, stop, reboot, rename, resize, rebuild or terminate.
	EventVMRequested = "hippius.compute.vm_requested"
	// EventVMPhase is a change of phase, whoever caused it.
	EventVMPhase = "hippius.compute.vm_phase"
	// EventVMReady is the first accepted proof of a run: charging begins.
	EventVMReady = "hippius.compute.vm_ready"
	// EventVMSilent is a guest that gave no proof for too long, and what was done.
	EventVMSilent = "hippius.compute.vm_silent"
	// EventVMResized is a size that came into effect: its rate is charged from now on.
	EventVMResized  = "hippius.compute.vm_resized"
	EventVMAssigned = "hippius.compute.vm_assigned"
	EventVMWaiting  = "hippius.compute.vm_waiting"
	EventVMForgot   = "hippius.compute.vm_forgotten"
	EventReported   = "hippius.compute.reported"
)

// Attributes of the module's events.
const (
	AttributeOwner       = "owner"
	AttributeName        = "name"
	AttributeFingerprint = "fingerprint"
	AttributeVM          = "vm"
	AttributeMiner       = "miner"
	AttributeOperation   = "operation"
	AttributePhase       = "phase"
	AttributeFrom        = "from"
	AttributeReason      = "reason"
	AttributeInstance    = "instance_seq"
	AttributeUnproven    = "unproven"
	AttributeGeneration  = "generation"
	AttributeAt          = "at"
	AttributeCount       = "count"
	AttributeRefused     = "refused"
	AttributePlan        = "plan"
	AttributeRate        = "running_rate"
)
