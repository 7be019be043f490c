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

// Bounds of what waits for a block on a node, of each lane: transactions and bytes. A full lane takes another only for one that
// pays less for its gas, of which it drops at most so many until consensus has forgotten them too.
const (
	maxWaiting      = 5000
	maxWaitingBytes = 32 << 20
	maxEvicted      = 1000
)

// What consensus must have room for, so that it never refuses what a lane has room for.
const (
	MempoolTxs   = int(lanes)*(maxWaiting+maxEvicted) + 1000
	MempoolBytes = int64(lanes)*(maxWaitingBytes+maxEvicted*MaxTxBytes) + 1000*MaxTxBytes
)
