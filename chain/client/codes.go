package client

import "strconv"

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

	// The framework's own, which decide what the client does next.
	inMempool   Refusal = "sdk/19"
	mempoolFull Refusal = "sdk/20"
	wrongSeq    Refusal = "sdk/32"
)

// Error makes a Refusal something to compare an error with.
func (r Refusal) Error() string { return "refused: " + string(r) }

func refusalOf(codespace string, code uint32) Refusal {
	return Refusal(codespace + "/" + strconv.FormatUint(uint64(code), 10))
}
