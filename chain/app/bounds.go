package app

// Bounds of transactions and blocks, for the test that compares them with what must fit in.
const (
	MaxTxGas      = maxTxGas
	MaxBlockGas   = maxBlockGas
	MaxBlockBytes = maxBlockBytes
	LanePercent   = lanePercent

	MaxWaitingBytes = maxWaitingBytes
)

// A block's gas and bytes have two lanes: miners' reports, and everything else. Each lane owns a part of both. What a lane leaves
// unused the other may take while nobody waits for it, up to a part of the block that a proposal never exceeds: so the rest is
// always there for the other lane.
const (
	lanePercent    = 50
	laneMaxPercent = 75
)

// Bounds of what waits for a block on a node, of each lane: transactions and bytes. A full lane takes another for one that
// pays less for its gas, or for the last of the account that has most there, if that has more than its share. It drops at most so
// many until consensus has forgotten them too.
const (
	maxWaiting      = 5000
	maxWaitingBytes = 32 << 20
	maxEvicted      = 1000

	// maxAccountPart of a full lane is an account's share: one part in so many.
	maxAccountPart = 8
)

// What consensus must have room for, so that it never refuses what a lane has room for.
const (
	MempoolTxs   = int(lanes)*(maxWaiting+maxEvicted) + 1000
	MempoolBytes = int64(lanes)*(maxWaitingBytes+maxEvicted*MaxTxBytes) + 1000*MaxTxBytes
)
