package agent

import "github.com/hippius/compute/internal/store"

// Migrations lead from the first schema of the miner's database to the newest. None is ever taken away.
func Migrations() []store.Migration { return nil }
