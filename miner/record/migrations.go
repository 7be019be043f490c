package record

import (
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/internal/store"
)

// Migrations lead from the first schema of the miner's database to the newest. None is ever taken away. In the first
// schema a VM was kept as the chain's message, which decode reads.
func Migrations(decode func(message []byte) (vm.VM, error)) []store.Migration {
	return []store.Migration{
		func(tx *store.Tx) error { return messagesToVMs(tx, decode) },
	}
}
