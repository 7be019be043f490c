package types

// The statuses of a miner, by shorter names.
const (
	StatusNone      = MinerStatus_MINER_STATUS_UNSPECIFIED
	StatusActive    = MinerStatus_MINER_STATUS_ACTIVE
	StatusDraining  = MinerStatus_MINER_STATUS_DRAINING
	StatusUnbonding = MinerStatus_MINER_STATUS_UNBONDING
	StatusGone      = MinerStatus_MINER_STATUS_GONE
)

// Word is the status in a sentence.
func (x MinerStatus) Word() string {
	switch x {
	case StatusActive:
		return "active"
	case StatusDraining:
		return "draining"
	case StatusUnbonding:
		return "unbonding"
	case StatusGone:
		return "gone"
	case StatusNone:
		return "without status"
	default:
		return "of unknown status"
	}
}
