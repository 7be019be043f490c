package node

import storetypes "github.com/cosmos/cosmos-sdk/store/v2/types"

// Bounds of a node's services, for the test that compares them with what must fit in.
const (
	MaxRequest    = maxRequest
	QueryGas      = queryGas
	SimulateBurst = simulateBurst
)

// ReadGas is what reading so many bytes in so many records takes of a query's gas at most: a walk charges a record when it comes to it,
// and when it goes on.
func ReadGas(bytes, records int) int {
	c := storetypes.KVGasConfig()
	return 2*int(c.ReadCostPerByte)*bytes + int(c.ReadCostFlat+c.IterNextCostFlat)*records
}
