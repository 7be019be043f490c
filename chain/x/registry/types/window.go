package types

import "github.com/hippius/compute/core/place"

// Window is a part of the ring that was looked at.
type Window struct {
	// Miners of it that are alive. Looked counts also those that are silent.
	Miners []Miner
	Looked int
	// Pass as far as it has come with the window; Whole if nothing of the ring is left.
	Pass  place.Pass
	Whole bool
}
