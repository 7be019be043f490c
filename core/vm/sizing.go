package vm

import (
	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/plan"
)

// Sizing is the size a VM has, the one it is to have, and what they cost.
type Sizing struct {
	// Size in effect, and its rates in force.
	Size  plan.Size  `json:"size"`
	Rates plan.Rates `json:"rates"`
	// Resize was ordered and is not in effect yet; nil for none.
	Resize *SizeChange `json:"resize,omitempty"`
}

// SizeChange is a change of size on its way.
type SizeChange struct {
	// Generation of the spec that ordered it.
	Generation uint64     `json:"generation"`
	Size       plan.Size  `json:"size"`
	Rates      plan.Rates `json:"rates"`
	// Restart: a running VM is restarted for it. Without, its disk grows while it runs.
	Restart bool `json:"restart"`
}

// WantedSize is the size once what was ordered is in effect.
func (s Sizing) WantedSize() plan.Size {
	if s.Resize != nil {
		return s.Resize.Size
	}
	return s.Size
}

// Demand is what the VM takes of its host to run: until a resize is in effect,
// what either size needs.
func (s Sizing) Demand() node.Demand {
	d := s.Size.Demand()
	if s.Resize != nil {
		d = d.Both(s.Resize.Size.Demand())
	}
	return d
}

// HeldRate is what the hold-back has to pay of the VM when it is stopped, in ucredit per hour.
func (s Sizing) HeldRate() uint64 {
	if s.Resize != nil {
		return max(s.Rates.Stopped, s.Resize.Rates.Stopped)
	}
	return s.Rates.Stopped
}

// Resizing reports whether a restart into another size is still to be seen by
// a miner that runs the size of a generation.
func (s Sizing) Resizing(generation uint64) bool {
	return s.Resize != nil && s.Resize.Restart && generation < s.Resize.Generation
}
