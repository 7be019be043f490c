package agent

import (
	"errors"
	"fmt"

	"github.com/hippius/compute/core/node"
	"github.com/hippius/compute/core/vm"
	"github.com/hippius/compute/miner/provision"
	"github.com/hippius/compute/miner/record"
)

// errNoCapacity: this miner was given more VMs than it registered capacity for.
var errNoCapacity = errors.New("no capacity on this miner")

// admit holds what a new VM takes of the capacity that is registered, or
// refuses the VM. The chain counts too, and places no more than fits; this is
// for the day it is wrong, or was told of a larger host. A VM that has its
// disk here was admitted before: less on offer does not turn it out.
func (a *Agent) admit(r record.Record, b provision.Built) error {
	if a.c.Offer == nil || r.Local.Built != nil {
		return nil
	}
	offer, known := a.c.Offer()
	if !known {
		return nil // nothing is registered yet, so nothing new was placed here
	}
	records, err := a.State.All()
	if err != nil {
		return err
	}
	id, wanted := r.VM.ID, b.Demand()
	a.mu.Lock()
	defer a.mu.Unlock()
	var taken node.Usage
	for _, other := range records {
		demand, held := a.admitted[other.VM.ID]
		if other.Local.Built != nil {
			demand, held = other.Local.Built.Demand(), true
		}
		if other.VM.Off() {
			demand = demand.DiskOnly() // as the chain counts
		}
		if !held || other.VM.ID == id {
			continue
		}
		if taken, err = taken.Add(demand); err != nil {
			return err
		}
	}
	// How many vCPUs share a core is the chain's to say, up to a bound.
	left := node.AvailableCapacity(offer, taken, node.MaxOvercommit)
	if !left.Fits(wanted) {
		return fmt.Errorf("%w: the VM takes %d vCPUs, %d MiB and %d GiB; beside %d others %d vCPUs, %d MiB and %d GiB are left of what is registered",
			errNoCapacity, wanted.VCPUs, wanted.MemoryMiB, wanted.DiskGiB, taken.VMs, left.VCPUs, left.MemoryMiB, left.DiskGiB)
	}
	a.admitted[id] = wanted
	return nil
}

// discharge gives back what admit held; a disk holds it by itself.
func (a *Agent) discharge(id vm.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.admitted, id)
}
