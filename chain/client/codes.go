package client

import (
	"fmt"
	"strconv"
	"strings"
)

// Refusal names one reason for which the chain refuses, as "module/code". A module's codes never change their meaning;
// errors.Is(err, client.NameTaken) tells whether a transaction was refused for it.
type Refusal string

// The refusals that programs tell apart.
const (
	NoCredits       Refusal = "credits/3"
	NoCreditAccount Refusal = "credits/4"
	ReferenceUsed   Refusal = "credits/5"
	SalePaused      Refusal = "credits/6"
	NotEnoughUhip   Refusal = "credits/8"

	UnknownPlan  Refusal = "marketplace/3"
	UnknownImage Refusal = "marketplace/4"
	UnknownApp   Refusal = "marketplace/5"

	MalformedKey  Refusal = "compute/7"
	KeyExists     Refusal = "compute/8"
	UnknownKey    Refusal = "compute/9"
	KeyInUse      Refusal = "compute/10"
	NameTaken     Refusal = "compute/12"
	UnknownRegion Refusal = "compute/13"
	ImageTooLarge Refusal = "compute/14"
	UnknownMiner  Refusal = "compute/16"
	TooManyVMs    Refusal = "compute/18"
	AddressTaken  Refusal = "compute/20"
	WrongPhase    Refusal = "compute/27"
	SameSize      Refusal = "compute/35"
	HostFull      Refusal = "compute/36"
	ImageArch     Refusal = "compute/37"
	NoRoomOnHost  Refusal = "compute/40"

	// Of one report in a batch.
	UnknownVM     Refusal = "compute/25"
	NotHolder     Refusal = "compute/28"
	OldInstance   Refusal = "compute/29"
	BadTransition Refusal = "compute/30"
	BadProof      Refusal = "compute/31"
	StaleProof    Refusal = "compute/32"
	BadReport     Refusal = "compute/33"
	BadCharge     Refusal = "compute/39"

	// The framework's own, which decide what the client does next.
	inMempool   Refusal = "sdk/19"
	mempoolFull Refusal = "sdk/20"
	wrongSeq    Refusal = "sdk/32"
	// fault is what is no refusal of any module.
	fault Refusal = "undefined/1"
)

// Error makes a Refusal something to compare an error with.
func (r Refusal) Error() string { return "refused: " + string(r) }

// words say what the code of a refusal means, where the chain gives the code alone.
func (r Refusal) words() string {
	switch r { //nolint:exhaustive // the others come with a sentence of the chain's
	case UnknownVM:
		return "the chain has no such VM"
	case NotHolder:
		return "this miner does not hold the VM: it keeps nothing of it"
	case OldInstance:
		return "the report is of another instance than the VM's present one"
	case BadTransition:
		return "the reported phase cannot follow the VM's present one"
	case BadProof:
		return "the proof is no signature of the guest's over the block that it names"
	case StaleProof:
		return "the proof is of a block that is unknown, too old or proven already"
	case BadReport:
		return "the report is out of bounds, or of a generation or reboot that the VM has not reached"
	case BadCharge:
		return "the attested time does not add up"
	case NoRoomOnHost:
		return "the VM is off, and its host has no room to run it"
	case fault:
		return "the chain could not take the report in: the logs of its nodes say why"
	default:
		return fmt.Sprintf("the chain refused it: %s", strings.Replace(string(r), "/", " error ", 1))
	}
}

func refusalOf(codespace string, code uint32) Refusal {
	return Refusal(codespace + "/" + strconv.FormatUint(uint64(code), 10))
}
