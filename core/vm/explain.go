package vm

// Explain gives a status its message in words if it has none and its reason is one that the chain gives as a code alone.
// What a miner said stays as it is; of a reason without words the message stays empty.
func (s Status) Explain() string {
	if s.Message != "" {
		return s.Message
	}
	switch s.Reason {
	case ReasonNoCapacity:
		return "it waits its turn for a miner with room for it"
	case ReasonSecretsNeeded:
		return "every instance that was dealt is used up; deal further ones"
	case ReasonRetryWait:
		return "only miners that failed it have room; they are tried again"
	case ReasonNotProvisioned, ReasonAttempts:
		return s.lastFailed() + " did not begin in time"
	case ReasonNoAgent:
		return "its guest ran on several miners and its agent was heard on none; check its image and its user data"
	case ReasonCreditRunOut:
		return "the account's credit came down to its hold-back; buy credits, then start the VM"
	case ReasonBootTimeout:
		if s.Phase == Failed && s.HasData {
			return "its guest gave no proof within the time that a start has, and it is off: see its console, then start it"
		}
		return ""
	case ReasonFetchingImage:
		return "its host fetches the image, and starts it then"
	case ReasonHostGone:
		return "its host was not seen for too long, and its disk is lost: rebuild the VM, or terminate it"
	case ReasonGuestSilent:
		if s.Phase == Rebooting {
			return "its guest gave no proof for too long, and is rebooted"
		}
		return "its guest gave no proof for too long, and it is off: see its console, then start it"
	case ReasonUnpaid:
		return "the credit held back for its disk is spent"
	default:
		return ""
	}
}

// lastFailed names the miner that failed it last.
func (s Status) lastFailed() string {
	if len(s.Excluded) == 0 {
		return "the miner"
	}
	return "miner " + s.Excluded[len(s.Excluded)-1]
}
